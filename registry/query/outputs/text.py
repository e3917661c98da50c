"""Rows as text: an aligned table for people, CSV for everything else."""

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import BinaryIO, Final

import pyarrow as pa

from registry.query.outputs.geometry import geometry_columns
from registry.query.outputs.values import cell, columns_of

__all__ = ["write_csv", "write_table"]

LOOKED_AT: Final = 1000
"""Rows that decide how wide the columns of a table are."""

WIDEST: Final = 60
"""Characters of a cell in a table."""


def write_csv(schema: pa.Schema, batches: Iterator[pa.RecordBatch], out: BinaryIO) -> None:
    """Write rows as RFC 4180 asks, in UTF-8, with a heading.

    Args:
        schema: The columns. Geometries become WKT, bytes hex, nested values JSON, null nothing.
        batches: The rows.
        out: Where to.
    """
    text = io.TextIOWrapper(out, "utf-8", newline="", write_through=True)
    try:
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(schema.names)
        writer.writerows(_rows(schema, batches))
        text.flush()
    finally:
        text.detach()


def write_table(schema: pa.Schema, batches: Iterator[pa.RecordBatch], out: BinaryIO) -> None:
    """Write rows in aligned columns; long cells are cut.

    Args:
        schema: The columns, as in :func:`write_csv`.
        batches: The rows; the first thousand decide the widths.
        out: Where to.
    """
    rows = ([_short(text) for text in row] for row in _rows(schema, batches))
    first = list(islice(rows, LOOKED_AT))
    names = [_short(name) for name in schema.names]
    widths = [max(map(len, column)) for column in zip(names, *first, strict=True)]
    right = [_is_number(field.type) for field in schema]
    rule = ["-" * width for width in widths]
    everything = chain((names, rule), first, rows)
    out.writelines((_line(row, widths, right) + "\n").encode() for row in everything)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    cells = (
        text.rjust(width) if number else text.ljust(width)
        for text, width, number in zip(row, widths, right, strict=True)
    )
    return "  ".join(cells).rstrip()


def _rows(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> Iterator[list[str]]:
    wkb = geometry_columns(schema)
    for batch in batches:
        for row in zip(*columns_of(batch, wkb, text=True), strict=True):
            yield [cell(value) for value in row]


def _short(text: str) -> str:
    line = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
    return line if len(line) <= WIDEST else line[: WIDEST - 1] + "…"


def _is_number(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind))
