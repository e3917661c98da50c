"""Write rows in a format that is named, into a file that is whole or not there."""

import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

import pyarrow as pa

from registry.errors import InvalidInputError, UnavailableError
from registry.query.outputs.columnar import write_arrow, write_parquet
from registry.query.outputs.documents import write_geojson, write_json
from registry.query.outputs.geometry import plain, plain_schema
from registry.query.outputs.text import write_csv, write_table

__all__ = ["FORMATS", "write"]

Writer = Callable[[pa.Schema, Iterator[pa.RecordBatch], BinaryIO], None]

FORMATS: Final[dict[str, Writer]] = {
    "arrow": write_arrow,
    "csv": write_csv,
    "geojson": write_geojson,
    "json": write_json,
    "parquet": write_parquet,
    "table": write_table,
}
"""Writers by the name of their format."""

NAMED: Final = frozenset({"geojson", "json", "parquet"})
"""Formats in which a value is found by its column's name."""


def write(rows: pa.RecordBatchReader | pa.Table, format: str, out: Path | BinaryIO) -> int:  # noqa: A002 — the word users write
    r"""Write rows as they come.

    Args:
        rows: What :func:`registry.query.sql` returned, or any table.
        format: ``table``, ``csv``, ``json``, ``geojson``, ``parquet`` or ``arrow``.
        out: An open binary file, or a path; a file at the path is replaced when the last row has
            been written, and left alone if anything fails.

    Returns:
        How many rows.

    Raises:
        InvalidInputError: No such format, or the rows do not fit it.
        UnavailableError: The file cannot be written.

    Examples:
        >>> import io
        >>> out = io.BytesIO()
        >>> write(pa.table({"label": ["Forest"], "n": [600]}), "csv", out)
        1
        >>> out.getvalue()
        b'label,n\r\nForest,600\r\n'
    """
    if format not in FORMATS:
        raise InvalidInputError(
            f"{format!r} is no format of results", hint=f"take one of {', '.join(FORMATS)}"
        )
    if format in NAMED:
        _check_names(rows.schema.names, format)
    counter = _Counter(rows)
    with _opened(out) as file:
        FORMATS[format](plain_schema(rows.schema), counter.batches(), file)
    return counter.rows


def _check_names(names: list[str], format_: str) -> None:
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise InvalidInputError(
            f"{names.count(twice[0])} columns are called {twice[0]!r}, "
            f"of which {format_} would keep one",
            hint="name each by AS",
        )


class _Counter:
    def __init__(self, rows: pa.RecordBatchReader | pa.Table) -> None:
        self._source = rows.to_reader() if isinstance(rows, pa.Table) else rows
        self.rows = 0

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows while counting them."""
        for batch in self._source:
            self.rows += batch.num_rows
            yield plain(batch)


@contextmanager
def _opened(out: Path | BinaryIO) -> Iterator[BinaryIO]:
    if not isinstance(out, Path):
        yield out
        return
    try:
        with _replacing(out) as file:
            yield file
    except OSError as error:
        raise UnavailableError(
            f"{out} cannot be written: {error.strerror or error}",
            hint="name a file in a folder that exists and may be written to",
        ) from error


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(_usual_mode())
        Path(name).replace(path)
    finally:
        with suppress(FileNotFoundError):
            Path(name).unlink()


def _usual_mode() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
