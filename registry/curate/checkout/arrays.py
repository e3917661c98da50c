"""Stored arrays are written by several threads, few enough at a time that they fit in memory."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from registry.progress import Progress
from registry.tables import ChipIndex

if TYPE_CHECKING:
    from registry.catalog import Version
    from registry.tables import Chip

__all__ = ["write_each"]

_BATCH_ROWS: Final = 64
_BATCH_BYTES: Final = 64 << 20

Row = Mapping[str, Any]
Told = TypeVar("Told")


def write_each(
    version: "Version",
    rows: Sequence[Row],
    write: "Callable[[Row, Chip], Told]",
    *,
    progress: Progress,
) -> Iterator[Told]:
    """Hand the pixels of assets to a function that writes them.

    Args:
        version: Whose pixels.
        rows: Rows of ``assets`` that have pixels.
        write: Called in several threads, once a row.
        progress: Told of every row.

    Yields:
        What it returned, in the order of the rows.
    """
    progress.stage("writing files", total=len(rows), unit="files")
    if not rows:
        return
    index = ChipIndex.open(version.root)
    with ThreadPoolExecutor() as threads:
        for batch in _batched(rows):
            chips = index.read(row["pixels"] for row in batch)
            for told in threads.map(write, batch, chips):
                progress.advance()
                yield told


def _batched(rows: Sequence[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        size += math.prod(row["shape"] or ()) * np.dtype(row["dtype"] or "uint8").itemsize
        batch.append(row)
        if len(batch) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
