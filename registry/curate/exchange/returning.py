"""What somebody did to a table in another tool: rows that came back, against those given out.

A cell counts as edited only where it differs from what the file was given, within what formats and
tools lose by themselves; so what nobody touched stays bit for bit.
"""

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from registry.curate.exchange import labelling
from registry.curate.exchange.cells import GEOMETRY, cell_types, flat
from registry.curate.exchange.exporting import Leaving
from registry.curate.exchange.placing import same_shapes, tolerance_of
from registry.curate.exchange.reading import FileRows
from registry.errors import RejectedError
from registry.tables.equality import differing_cells
from registry.tables.errors import DuplicateKeyError
from registry.tables.rows import one_chunk, overlay
from registry.tables.schemas import TableSchema

__all__ = ["Returned", "keys_of", "returned", "theirs_of"]

Flags = npt.NDArray[np.bool_]
Key = tuple[object, ...]

_CLOSE: Final = 0.8
_MILLISECOND: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """What came back of the rows that were given out."""

    changed: pa.Table
    """Rows with an edited cell, whole; columns of the table but for the derived ones."""

    fresh: npt.NDArray[np.int64]
    """Places in the file of rows that were not given out."""

    missing: pa.Table
    """Keys of rows that were given out and are not in the file."""

    unchanged: int
    """Rows of the file in which nothing was edited."""

    notes: tuple[str, ...]
    """What else whoever confirms should know."""


def keys_of(file: FileRows, schema: TableSchema) -> list[Key | None]:
    """Return the key of each row of a file; None for rows that are new and have none.

    Args:
        file: The rows.
        schema: The table's.

    Raises:
        RejectedError: A column of the key is missing, or a row has only a part of its key.
        DuplicateKeyError: Two rows have one key.
    """
    for name in schema.key:
        if name not in file.rows.column_names:
            raise RejectedError(
                f"{file.name} has no column {name!r}, which names the rows of {schema.name!r}",
                hint="export the table again, and keep that column",
            )
    columns = [file.rows.column(name).to_pylist() for name in schema.key]
    seen: dict[Key, int] = {}
    keys: list[Key | None] = []
    for number, values in enumerate(zip(*columns, strict=True)):
        if any(value is None or (isinstance(value, str) and not value.strip()) for value in values):
            if schema.key != ("id",):
                raise RejectedError(
                    f"{file.name}, {file.places[number]}: it has no "
                    f"{' and '.join(schema.key)}, which name a row of {schema.name!r}",
                    hint="fill it in, or delete the row",
                )
            keys.append(None)
            continue
        if values in seen:
            raise DuplicateKeyError(
                f"{file.name}: {file.places[seen[values]]} and {file.places[number]} both have "
                f"{', '.join(schema.key)} {', '.join(map(repr, values))}",
                hint="empty the id of the one that is a copy, and it becomes a new row",
            )
        seen[values] = number
        keys.append(values)
    return keys


def returned(
    file: FileRows, given: Leaving, schema: TableSchema, keys: Sequence[Key | None]
) -> Returned:
    """Return what was edited.

    Args:
        file: The rows that came back; samples by their own ids.
        given: The rows as they were given out, in the file's system.
        schema: The table's.
        keys: Of the file's rows, from :func:`keys_of`.

    Raises:
        RejectedError: A column of the file looks like one of the table under another name.
    """
    cells = [name for name in cell_types(schema) if name in file.rows.column_names]
    notes = _column_notes(file, schema, cells)
    known = {key: n for n, key in enumerate(_keys(given.rows, schema))}
    at_file = [n for n, key in enumerate(keys) if key is not None and key in known]
    at_base = [known[key] for n in at_file if (key := keys[n]) is not None]
    before = given.rows.take(pa.array(at_base, pa.int64()))
    after = file.rows.take(pa.array(at_file, pa.int64()))
    masks = {
        cell: _edited(cell, flat(before, [cell]), after.select([cell]), file)
        for cell in cells
        if cell not in schema.key and cell != GEOMETRY
    }
    values = {cell: one_chunk(after.column(cell)) for cell in masks}
    if GEOMETRY in cells and given.shapes is not None:
        mask, column = _edited_shapes(after, before, given, np.array(at_base, np.int64), notes)
        masks[GEOMETRY], values[GEOMETRY] = mask, column
    _couple(masks, values, before, notes)
    edited = np.zeros(len(at_file), dtype=bool)
    for mask in masks.values():
        edited |= mask
    gone = np.ones(given.rows.num_rows, dtype=bool)
    gone[at_base] = False
    touched = set(at_file)
    fresh = [n for n in range(len(keys)) if n not in touched]
    rows = overlay(before, theirs_of(before, values), list(masks.items()))
    stored = [name for name in schema.arrow.names if name not in schema.derived]
    return Returned(
        changed=rows.select(stored).filter(pa.array(edited)),
        fresh=np.array(fresh, np.int64),
        missing=given.rows.select(list(schema.key)).filter(pa.array(gone)),
        unchanged=int((~edited).sum()),
        notes=tuple(notes),
    )


def _keys(rows: pa.Table, schema: TableSchema) -> list[Key]:
    return list(zip(*(rows.column(name).to_pylist() for name in schema.key), strict=True))


def _column_notes(file: FileRows, schema: TableSchema, cells: Sequence[str]) -> list[str]:
    absent = [name for name in cell_types(schema) if name not in cells]
    for name in file.extra:
        near = difflib.get_close_matches(name, absent, n=1, cutoff=_CLOSE)
        if near and name not in schema.derived:
            raise RejectedError(
                f"{file.name} has a column {name!r} that {schema.name!r} has not, and none "
                f"called {near[0]!r}",
                hint=f"call it {near[0]!r} again, or remove it",
            )
    notes = []
    strange = [name for name in file.extra if name not in schema.derived]
    if strange:
        notes.append(f"columns that {schema.name} does not have are ignored: {_some(strange)}")
    if absent and file.format != "COCO":
        notes.append(f"columns that the file does not have stay as they are: {_some(absent)}")
    return notes


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")  # noqa: PLR2004 — a line


def theirs_of(like: pa.Table, values: Mapping[str, pa.Array]) -> pa.Table:
    """Return rows with columns put in, fields of ``properties`` in their struct.

    Args:
        like: As many rows of the table.
        values: By cell.
    """
    rows = like
    for name in [name for name in values if name in like.column_names]:
        at = rows.column_names.index(name)
        rows = rows.set_column(at, like.schema.field(at), values[name])
    inner = {c.removeprefix("properties."): c for c in values if c.startswith("properties.")}
    if inner:
        at = rows.column_names.index("properties")
        kind = rows.schema.field(at).type
        parts = [
            values[inner[f.name]] if f.name in inner else pa.nulls(rows.num_rows, f.type)
            for f in kind
        ]
        void = np.ones(rows.num_rows, dtype=bool)
        for part in parts:
            void &= np.asarray(part.is_null())
        column = pa.StructArray.from_arrays(parts, fields=list(kind), mask=pa.array(void))
        rows = rows.set_column(at, rows.schema.field(at), column)
    return rows


def _edited(cell: str, before: pa.Table, after: pa.Table, file: FileRows) -> Flags:
    """Return in which rows a cell was edited."""
    was, is_ = (table.rename_columns(["cell"]) for table in (before, after))
    mask = differing_cells(was, is_, ["cell"])["cell"].copy()
    places = np.flatnonzero(mask)
    if not len(places):
        return mask
    kind = before.schema.field(0).type
    same = _SAME.get(str(kind), _same_otherwise)
    sides = [one_chunk(t.column(0)).take(pa.array(places)) for t in (was, is_)]
    if pa.types.is_timestamp(kind):
        sides, same = [side.cast(pa.int64()) for side in sides], _same_time
    for place, given, found in zip(places, *(side.to_pylist() for side in sides), strict=True):
        alike = file.format == "COCO" and labelling.same_cell(cell, given, found)
        mask[place] = not (alike or same(given, found, file))
    return mask


def _same_text(given: Any, found: Any, file: FileRows) -> bool:  # noqa: ANN401 — text or None
    if file.blank_is_null and not given and not found:
        return True
    if given is None or found is None:
        return False
    cut: str = given.partition("\0")[0] if "\0" in given and file.format != "Parquet" else given
    if cut.replace("\r\n", "\n").replace("\r", "\n") == found.replace("\r\n", "\n"):
        return True
    if found[:1] in {"{", "["}:  # GIS tools write text that looks like JSON anew
        try:
            return bool(json.loads(given) == json.loads(found))
        except (ValueError, RecursionError):
            return False
    return False


def _same_number(given: Any, found: Any, file: FileRows) -> bool:  # noqa: ANN401 — number or None
    # SQLite has no NaN, and JSON no infinity either
    return (
        found is None
        and given is not None
        and file.format != "Parquet"
        and (not np.isfinite(given))
    )


def _same_time(given: Any, found: Any, file: FileRows) -> bool:  # noqa: ANN401 — instant or None
    # GIS tools keep milliseconds
    if given is None or found is None or file.format == "Parquet":
        return False
    return bool(found % _MILLISECOND == 0 and abs(found - given) < _MILLISECOND)


def _same_otherwise(given: Any, found: Any, file: FileRows) -> bool:  # noqa: ANN401 — any value
    return file.blank_is_null and given == b"" and found is None


_SAME: Final[Mapping[str, Callable[[Any, Any, FileRows], bool]]] = {
    "string": _same_text,
    "double": _same_number,
    "float": _same_number,
}


def _edited_shapes(
    after: pa.Table,
    before: pa.Table,
    given: Leaving,
    at_base: npt.NDArray[np.int64],
    notes: list[str],
) -> tuple[Flags, pa.Array]:
    """Return which geometries were edited, and all of them in the systems of their rows."""
    placing = given.placing
    column = one_chunk(before.column(GEOMETRY))
    found = shapely.from_wkb(after.column(GEOMETRY).to_numpy(zero_copy_only=False))
    was = given.shapes[at_base] if given.shapes is not None else np.array([], dtype=object)
    if len(found) and shapely.is_missing(found).all() and not shapely.is_missing(was).all():
        notes.append("the file has no geometry at all; they stay as they are")
        return np.zeros(len(found), dtype=bool), column
    same, found = same_shapes(was, found, tolerance_of(placing.crs))
    found[shapely.is_empty(found)] = None
    frames = before.column("frame").to_pylist() if "frame" in before.column_names else []
    names = before.column("sample").to_pylist() if "sample" in before.column_names else []
    moved_to = after.column("sample").to_pylist() if "sample" in after.column_names else names
    systems = [given.systems[n] for n in at_base]
    for number, (old, new) in enumerate(zip(names, moved_to, strict=True)):
        if old != new:  # on another sample, it is to be in that one's system
            systems[number] = placing.system_of(new, frames[number] if frames else None)
            same[number] &= systems[number] == given.systems[at_base[number]]
    mask = ~same
    if not mask.any():
        return mask, column
    places = np.flatnonzero(mask)
    back = placing.back(
        found[places],
        [moved_to[n] for n in places] if moved_to else [None] * len(places),
        [systems[n] for n in places],
    )
    old = shapely.from_wkb(before.column(GEOMETRY).to_numpy(zero_copy_only=False))[places]
    for number, place in enumerate(places):
        if systems[place] == given.systems[at_base[place]]:
            _keep_corners(back, number, old[number], was[place], found[place], placing.crs)
    values = column.to_pylist()
    for place, wkb in zip(places, shapely.to_wkb(back).tolist(), strict=True):
        values[place] = wkb
    return mask, pa.array(values, pa.binary())


def _keep_corners(
    back: npt.NDArray[np.object_],
    number: int,
    old: Any,  # noqa: ANN401 — a geometry or None
    was: Any,  # noqa: ANN401 — a geometry or None
    found: Any,  # noqa: ANN401 — a geometry or None
    crs: str | None,
) -> None:
    """Give corners that were not moved the coordinates that they had, to the last bit."""
    if any(one is None for one in (old, was, found, back[number])):
        return
    sides = [shapely.get_coordinates(one) for one in (old, was, found)]
    if old.geom_type != found.geom_type or len({len(side) for side in sides}) > 1:
        return
    still = (np.abs(sides[1] - sides[2]) <= tolerance_of(crs)).all(axis=1, keepdims=True)
    points = np.where(still, sides[0], shapely.get_coordinates(back[number]))
    back[number] = shapely.set_coordinates(back[number], points)


def _couple(
    masks: dict[str, Flags], values: dict[str, pa.Array], before: pa.Table, notes: list[str]
) -> None:
    """Let go of run lengths and the sign of a box where an outline was drawn anew."""
    moved = masks.get(GEOMETRY)
    if moved is None or not moved.any():
        return
    if "rle" in before.column_names:
        had = np.asarray(pc.is_valid(one_chunk(before.column("rle"))))
        stale = moved & had & ~masks.get("rle", np.zeros(len(moved), dtype=bool))
        if stale.any():
            notes.append(f"{int(stale.sum())} masks whose outline was drawn anew are outlines now")
            _set(masks, values, before, "rle", stale, value=None)
    if "isbox" in before.column_names:
        said = pc.fill_null(one_chunk(before.column("isbox")), fill_value=False)
        shapes = shapely.from_wkb(values[GEOMETRY].to_numpy(zero_copy_only=False))
        boxes = shapely.equals(shapes, shapely.envelope(shapes))
        untold = ~masks.get("isbox", np.zeros(len(moved), dtype=bool))
        no_more = moved & np.asarray(said) & ~np.asarray(boxes) & untold
        if no_more.any():
            _set(masks, values, before, "isbox", no_more, value=False)


def _set(
    masks: dict[str, Flags],
    values: dict[str, pa.Array],
    before: pa.Table,
    cell: str,
    where: Flags,
    *,
    value: object,
) -> None:
    kind = before.schema.field(cell).type
    current = values.get(cell, one_chunk(before.column(cell)))
    values[cell] = pc.if_else(pa.array(where), pa.scalar(value, kind), current)
    masks[cell] = masks.get(cell, np.zeros(len(where), dtype=bool)) | where
