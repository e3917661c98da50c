"""CSV: for spreadsheets too, which take text for numbers, dates and formulas if they may.

A text that a spreadsheet would make something else of gets an apostrophe before it, which is taken
away on the way back. The origin lies beside the file, since CSV has no place for it.

References:
    RFC 4180 (2005), Common Format and MIME Type for CSV Files; OWASP, CSV Injection.
"""

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import pyarrow as pa
import shapely

from registry.curate.exchange.cells import GEOMETRY
from registry.curate.exchange.feature_collection import plain_columns
from registry.curate.exchange.origin import MARK, Origin
from registry.curate.exchange.sheet import Found, Sheet, Wanted
from registry.errors import RejectedError

__all__ = ["beside", "guarded", "origin_in", "read", "unguarded", "write"]

_FORMULA: Final = frozenset("=+-@\t\r'\0")
_MONTH: Final = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}"
_LOOKS_ELSE: Final = re.compile(
    r"\s*(?:[+-]?[\d.,]+(?:e[+-]?\d+)?%?|true|false|wahr|falsch"  # numbers, logic
    rf"|\d{{1,4}}[-/. ]?(?:\d{{1,2}}|{_MONTH})(?:[-/. ]?\d{{1,4}})?(?:[T ][\d:.]+Z?)?"  # days
    rf"|{_MONTH}[-/. ]?\d{{1,4}}|\d{{1,2}}:\d\d(?::\d\d)?(?: ?[ap]m)?)\s*",
    re.IGNORECASE,
)
_PRECISE: Final = 10**15
_LONGEST_CELL: Final = 64 << 20
_WKT: Final = ("WKT", "wkt", "wkt_geom", "geom")
_SEPARATORS: Final = (",", ";", "\t", "|")


def beside(path: Path) -> Path:
    """Return where the origin of a CSV file lies."""
    return path.with_name(f"{path.name}.{MARK}.json")


def guarded(text: str) -> str:
    """Return a text as a cell that a spreadsheet leaves alone.

    Examples:
        >>> guarded("=1+1"), guarded("007"), guarded("ship 7")
        ("'=1+1", "'007", 'ship 7')
    """
    return f"'{text}" if _is_mistaken(text) else text


def unguarded(cell: str) -> str:
    """Return the text of a cell: what :func:`guarded` was given."""
    return cell[1:] if cell[:1] == "'" and _is_mistaken(cell[1:]) else cell


def _is_mistaken(text: str) -> bool:
    return bool((text and text[0] in _FORMULA) or _LOOKS_ELSE.fullmatch(text))


def write(sheet: Sheet, path: Path) -> None:
    """Write rows as UTF-8 with the mark that spreadsheets want, and the origin beside them.

    Args:
        sheet: The rows; geometries become WKT, to the last digit.
        path: A new file.
    """
    columns = plain_columns(sheet.rows)
    kinds = {field.name: field.type for field in sheet.rows.schema}
    texts = {name: _cells(values, kinds[name]) for name, values in columns.items()}
    if sheet.crs is not None:
        shapes = shapely.from_wkb(sheet.rows.column(GEOMETRY).to_numpy(zero_copy_only=False))
        texts[GEOMETRY] = ["" if one is None else one for one in _wkt(shapes)]
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file)
        table.writerow(texts)
        table.writerows(zip(*texts.values(), strict=True))
    said = {**json.loads(sheet.origin.to_json()), "crs": sheet.crs, "about": sheet.origin.sentence}
    beside(path).write_text(json.dumps(said, ensure_ascii=False, indent=1), encoding="utf-8")


def _wkt(shapes: object) -> Sequence[str | None]:
    texts: list[str | None] = shapely.to_wkt(shapes, rounding_precision=-1).tolist()  # type: ignore[call-overload]  # an array of geometries
    return texts


def _cells(values: Sequence[object], kind: pa.DataType) -> list[str]:
    if pa.types.is_boolean(kind):
        return ["" if v is None else str(v).lower() for v in values]
    if pa.types.is_integer(kind):
        return ["" if v is None else _whole(int(str(v))) for v in values]
    if pa.types.is_floating(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return ["" if v is None else str(v) for v in values]
    return ["" if v is None else guarded(str(v)) for v in values]


def _whole(number: int) -> str:
    # spreadsheets keep fifteen digits
    return str(number) if abs(number) < _PRECISE else f"'{number}"


def read(data: bytes, note: bytes | None, wanted: Wanted) -> Found:
    """Return the rows of a CSV file.

    Args:
        data: The file, in UTF-8 or UTF-16, with comma, semicolon, tab or bar between cells.
        note: What lies beside it; None if nothing does.
        wanted: What to look for.

    Raises:
        RejectedError: It is no such text, its rows have not as many cells as its head, or a
            geometry is no WKT.
    """
    csv.field_size_limit(_LONGEST_CELL)
    text = _text(data)
    separator, start = _separator(text, wanted)
    stream = io.StringIO(text[start:], newline="")
    names, rows, places = _rows(csv.reader(stream, delimiter=separator), wanted.most_rows)
    columns = {name: _column(rows, at, name, wanted) for at, name in enumerate(names)}
    said = _note(note)
    crs = said.get("crs")
    shapes = _shapes(columns) if GEOMETRY in wanted.cells else None
    return Found(
        columns=columns,
        places=places,
        geometries=None if shapes is None else [
            _wkb(one, where) for one, where in zip(shapes, places, strict=True)
        ],
        crs=crs if isinstance(crs, str) else None,
        origin=Origin.of(said.get(MARK)),
        decimal_comma=separator == ";",
        blank_is_null=True,
    )  # fmt: skip


def _shapes(columns: dict[str, list[str | None]]) -> list[str | None] | None:
    """Take the geometries out of the columns, whatever a GIS has called them.

    Returns:
        WKT, one a row; None if there is no such column.
    """
    name = next((one for one in (GEOMETRY, *_WKT) if one in columns), None)
    return None if name is None else columns.pop(name)


def _note(note: bytes | None) -> dict[str, object]:
    try:
        said = json.loads(note or b"{}")
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _text(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise RejectedError(
            f"it is not {encoding.upper().removesuffix('-SIG')}: {error.reason} at byte "
            f"{error.start:,}",
            hint="save it as 'CSV UTF-8'",
        ) from None


def _separator(text: str, wanted: Wanted) -> tuple[str, int]:
    """Return what stands between cells, and where the head begins."""
    start = 0
    if text[:4].lower() == "sep=" and (end := text.find("\n")) > 0:
        start = end + 1
    head = text[start:].split("\n", 1)[0].rstrip("\r")
    for separator in _SEPARATORS:
        cells = {cell.strip('"') for cell in head.split(separator)}
        if set(wanted.key) <= cells:
            return separator, start
    return max(_SEPARATORS, key=head.count), start


def _rows(lines: Iterator[list[str]], most: int) -> tuple[list[str], list[list[str]], list[str]]:
    try:
        names = next(lines, [])
        if len(set(names)) < len(names) or not names:
            raise RejectedError(
                f"its head names a column twice, or none: {', '.join(names)[:120]!r}",
                hint="give each column one name",
            )
        rows: list[list[str]] = []
        places: list[str] = []
        for cells in lines:
            if not any(cells):
                continue
            places.append(f"row {len(rows) + 2}")
            if len(cells) != len(names):
                raise RejectedError(
                    f"{places[-1]} has {len(cells)} cells, the head {len(names)}",
                    hint="put texts with separators or line ends in double quotes",
                )
            rows.append(cells)
            if len(rows) > most:
                raise RejectedError(
                    f"it has more than {most:,} rows", hint="export fewer: --where, --samples"
                )
    except csv.Error as error:
        raise RejectedError(f"it is no CSV: {error}", hint="save it as 'CSV UTF-8'") from error
    return names, rows, places


def _column(rows: Sequence[Sequence[str]], at: int, name: str, wanted: Wanted) -> list[str | None]:
    kind = wanted.cells.get(name)
    cells = [row[at] or None for row in rows]
    if name == GEOMETRY or kind is None or pa.types.is_floating(kind):
        return cells
    return [None if cell is None else unguarded(cell) for cell in cells]


def _wkb(text: object, place: str) -> bytes | None:
    if text is None:
        return None
    try:
        wkb: bytes = shapely.to_wkb(shapely.from_wkt(str(text)), output_dimension=3)
    except (shapely.errors.ShapelyError, TypeError) as error:
        raise RejectedError(
            f"{place}: its geometry is no WKT: {str(error).splitlines()[0][:120]}",
            hint="spreadsheets cut cells after 32,767 characters: edit outlines in a GIS",
        ) from error
    return wkb


def origin_in(note: bytes | None) -> Origin | None:
    """Return the origin that lies beside a file; None if none does."""
    return Origin.of(_note(note).get(MARK))
