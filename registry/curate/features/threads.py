"""Features by threads of this process: for versions that one machine reads in minutes."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from registry.curate.features.evaluating import evaluate
from registry.curate.features.inputs import engine, pointers, with_pixels
from registry.curate.features.work import Work
from registry.progress import Progress
from registry.tables import store
from registry.tables.chips import ChipIndex

__all__ = ["on_threads"]

_AHEAD: Final = 2  # batches a thread that wait to be written
_ROW_GROUP: Final = 65_536


def on_threads(work: Work, out: Path, progress: Progress, *, threads: int | None = None) -> None:
    """Do work on threads: a :class:`registry.curate.features.work.Runner`.

    Memory is bounded by what some batches of about 32 MB hold, whatever the version's size.

    Args:
        work: What to compute.
        out: Folder that gets one Parquet file of ``work.schema``.
        progress: Told of each batch.
        threads: How many; by default one a core, at most 8.
    """
    many = threads or min(8, os.cpu_count() or 1)
    out.mkdir(parents=True, exist_ok=True)
    index = ChipIndex.open(work.root) if work.arrays and store.exists(work.root, "pixels") else None
    with (
        engine() as connection,
        pq.ParquetWriter(out / "part-0.parquet", work.schema, compression="zstd") as writer,
        ThreadPoolExecutor(many, thread_name_prefix="features") as pool,
    ):
        rows = pointers(connection, work)
        try:
            for values in _in_order(pool, rows, partial(_values, work, index), many * _AHEAD):
                writer.write_batch(values, row_group_size=_ROW_GROUP)
                progress.advance(values.num_rows)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _values(work: Work, index: ChipIndex | None, batch: pa.RecordBatch) -> pa.RecordBatch:
    return evaluate(with_pixels(batch, index), work)


def _in_order(
    pool: ThreadPoolExecutor,
    batches: Iterator[pa.RecordBatch],
    call: "partial[pa.RecordBatch]",
    ahead: int,
) -> Iterator[pa.RecordBatch]:
    waiting: deque[Future[pa.RecordBatch]] = deque()
    for batch in batches:
        waiting.append(pool.submit(call, batch))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
