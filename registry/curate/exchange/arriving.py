"""Rows that were drawn in another tool: they get an id, a sample, and a place in its system."""

import hashlib
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from registry.curate.exchange.cells import GEOMETRY, cell_types
from registry.curate.exchange.pictures import systems_of
from registry.curate.exchange.placing import Placing
from registry.curate.exchange.reading import FileRows
from registry.curate.exchange.returning import theirs_of
from registry.curate.exchange.sheet import PIXELS
from registry.errors import RejectedError
from registry.geo.systems import CRS84
from registry.tables import store

if TYPE_CHECKING:
    from registry.tables.log import Root
    from registry.tables.schemas import TableSchema

__all__ = ["arrived", "check_samples"]

_DIGITS: Final = 10
_LONGEST_KEY: Final = 512
_DEGREES: Final = 360


def arrived(
    file: FileRows,
    places: npt.NDArray[np.int64],
    schema: "TableSchema",
    placing: Placing,
    *,
    root: "Root",
    taken: Collection[object] = (),
) -> pa.Table:
    """Return rows of a file that the table does not have, ready to be added.

    Args:
        file: All its rows; samples by their own ids.
        places: Which of them.
        schema: The table's.
        placing: The way of the file's geometries.
        root: Folder of the dataset as it is now.
        taken: Ids that a new row must not get.

    Returns:
        Rows with the columns of the table but for the derived ones. Ids that are missing are made
        from the sample and a hash of the row: the same row gets the same id again.

    Raises:
        RejectedError: A row has no sample and lies on none, or only on several, or its key cannot
            be one.
    """
    rows = file.rows.take(pa.array(places))
    where = [file.places[n] for n in places]
    whole = pa.schema([f for f in schema.arrow if f.name not in schema.derived])
    values: dict[str, Any] = {
        cell: _one(rows, cell) for cell in cell_types(schema) if cell in rows.column_names
    }
    shapes = None
    if GEOMETRY in values:
        shapes = shapely.from_wkb(np.array(values[GEOMETRY].to_pylist(), dtype=object))
        shapes[shapely.is_empty(shapes)] = None
    if "sample" in whole.names:
        values["sample"] = _samples(values.get("sample"), shapes, placing, (file.name, where), root)
    if shapes is not None:
        values |= _placed(shapes, values, whole, placing, root)
    empty = pa.table({f.name: pa.nulls(rows.num_rows, f.type) for f in whole})
    made = theirs_of(empty, values)
    if schema.key == ("id",):
        ids = _ids(made, (file.name, where), taken)
        made = made.set_column(made.column_names.index("id"), "id", ids)
    _check_keys(made, schema, (file.name, where))
    return made.cast(pa.schema([pa.field(f.name, f.type) for f in whole]))


def check_samples(
    rows: pa.Table, schema: "TableSchema", roots: Sequence["Root"], name: str
) -> None:
    """Refuse rows of samples that are not there.

    Args:
        rows: Rows of the table.
        schema: The table's.
        roots: Folders of the dataset; a sample may be in any of them.
        name: The file's.

    Raises:
        RejectedError: A row names a sample that the dataset does not have.
    """
    if "sample" not in schema.arrow.names or "sample" not in rows.column_names:
        return
    asked = {sample for sample in rows.column("sample").to_pylist() if sample}
    for root in roots:
        if asked and store.exists(root, "samples"):
            wanted = pc.field("id").isin(pa.array(asked, pa.string()))
            found = store.read(root, "samples", columns=["id"], filter=wanted)
            asked.difference_update(found.column("id").to_pylist())
    if asked:
        raise RejectedError(
            f"{name} has a row on sample {min(asked)!r}, which the branch does not have",
            hint="name a sample that is there; ids are in the table samples",
        )


def _one(rows: pa.Table, cell: str) -> pa.Array:
    column = rows.column(cell).combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def _samples(
    stated: pa.Array | None,
    shapes: npt.NDArray[np.object_] | None,
    placing: Placing,
    where: tuple[str, Sequence[str]],
    root: "Root",
) -> pa.Array:
    """Return each row's sample: the one that is stated, else the only one that it lies on.

    Raises:
        RejectedError: Nobody can say.
    """
    file, places = where
    found = [None] * len(places) if stated is None else [s or None for s in stated.to_pylist()]
    lost = [n for n, sample in enumerate(found) if sample is None]
    if lost and (shapes is None or placing.crs in {None, PIXELS}):
        raise RejectedError(
            f"{file}, {places[lost[0]]}: a new row without a sample", hint="fill in its sample"
        )
    if lost and shapes is not None:
        ids, footprints = _footprints(root)
        fixed = Placing(crs=placing.crs, systems={}, fixed=CRS84)
        asked = fixed.back(shapes[lost], [None] * len(lost), [CRS84] * len(lost))
        tree = shapely.STRtree(footprints)
        for number, shape in zip(lost, asked, strict=True):
            on: Any = [] if shape is None else tree.query(shapely.centroid(shape), "intersects")
            if len(on) != 1:
                raise RejectedError(
                    f"{file}, {places[number]}: a new row without a sample, and "
                    f"{len(on) or 'no'} sample{'s' * (len(on) != 1)} where it lies",
                    hint="fill in its sample",
                )
            found[number] = ids[on[0]]
    return pa.array(found, pa.string())


def _footprints(root: "Root") -> tuple[list[str], npt.NDArray[np.object_]]:
    rows = store.read(root, "samples", columns=["id", GEOMETRY])
    shapes = shapely.from_wkb(rows.column(GEOMETRY).to_numpy(zero_copy_only=False))
    return rows.column("id").to_pylist(), shapes


def _placed(
    shapes: npt.NDArray[np.object_],
    values: dict[str, Any],
    whole: pa.Schema,
    placing: Placing,
    root: "Root",
) -> dict[str, pa.Array]:
    count = len(shapes)
    samples = values["sample"].to_pylist() if "sample" in values else [None] * count
    now = systems_of(root, samples)
    known = Placing(crs=placing.crs, systems=now, pictures=placing.pictures, fixed=placing.fixed)
    frame = "pixel" if placing.crs == PIXELS and placing.pictures is None else None
    systems = [known.system_of(sample, frame) for sample in samples]
    moved = known.back(shapes, samples, systems)
    made = {GEOMETRY: pa.array(shapely.to_wkb(moved).tolist(), pa.binary())}
    if "frame" in whole.names:
        frames = ["pixel" if system == PIXELS else "crs" for system in systems]
        made["frame"] = pa.array(frames, pa.string())
    if "isbox" in whole.names:
        said = values["isbox"].to_pylist() if "isbox" in values else [None] * count
        made["isbox"] = pa.array([bool(one) for one in said], pa.bool_())
    return made


def _ids(rows: pa.Table, where: tuple[str, Sequence[str]], taken: Collection[object]) -> pa.Array:
    given = rows.column("id").to_pylist()
    used = {one for one in given if one and one.strip()} | set(taken)
    samples = rows.column("sample").to_pylist() if "sample" in rows.column_names else None
    ids: list[str] = []
    for number, one in enumerate(given):
        if one and one.strip():
            ids.append(one)
            continue
        if samples is None:
            raise RejectedError(
                f"{where[0]}, {where[1][number]}: a new row of samples, which has no pixels",
                hint="bring samples in by eolab ingest, or give the row its id",
            )
        digest = _digest(rows.slice(number, 1).drop_columns(["id"]).to_pylist()[0])
        made = f"{samples[number] or 'row'}-{digest}"
        again = 1
        while made in used:
            again += 1
            made = f"{samples[number] or 'row'}-{digest}-{again}"
        used.add(made)
        ids.append(made)
    return pa.array(ids, pa.string())


def _digest(row: dict[str, Any]) -> str:
    """Return what stands for a row: the same also where its place was rounded on the way."""
    if row.get(GEOMETRY) is not None:
        shape = shapely.from_wkb(row[GEOMETRY])
        points = shapely.get_coordinates(shape)
        digits = 6 if (np.abs(points) <= _DEGREES).all() else 2
        row = {**row, GEOMETRY: (shape.geom_type, (np.round(points, digits) + 0.0).tolist())}
    return hashlib.sha256(repr(sorted(row.items())).encode()).hexdigest()[:_DIGITS]


def _check_keys(rows: pa.Table, schema: "TableSchema", where: tuple[str, Sequence[str]]) -> None:
    for name in schema.key:
        for number, value in enumerate(rows.column(name).to_pylist()):
            if isinstance(value, str) and (len(value) > _LONGEST_KEY or not value.isprintable()):
                raise RejectedError(
                    f"{where[0]}, {where[1][number]}: {value[:40]!r} cannot be a {name}",
                    hint=f"give it at most {_LONGEST_KEY} printable characters, or none",
                )
