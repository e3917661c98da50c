"""A table as a file that other tools edit, made so that every row is found again."""

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import shapely

from registry.curate.exchange import (
    columnar,
    feature_collection,
    geopackage,
    labelling,
    spreadsheet,
)
from registry.curate.exchange.cells import GEOMETRY, cell_types, flat
from registry.curate.exchange.choosing import chosen_rows, ids_of
from registry.curate.exchange.origin import Origin
from registry.curate.exchange.pictures import Picture, Pictures, systems_of
from registry.curate.exchange.placing import Placing
from registry.curate.exchange.sheet import PIXELS, Sheet
from registry.errors import InvalidInputError, NotFoundError, UnavailableError
from registry.geo.systems import CRS84
from registry.tables import store

if TYPE_CHECKING:
    from registry.catalog import Registry, Version
    from registry.tables.log import Root
    from registry.tables.schemas import TableSchema

__all__ = ["FORMATS", "Exported", "Leaving", "export", "leaving", "reachable"]

FORMATS: Final = {
    "gpkg": "GeoPackage",
    "geojson": "GeoJSON",
    "coco": "COCO",
    "csv": "CSV",
    "parquet": "Parquet",
}
"""Formats by the name that a command takes."""

_SUFFIXES: Final = {
    ".gpkg": "gpkg",
    ".geojson": "geojson",
    ".csv": "csv",
    ".parquet": "parquet",
    ".geoparquet": "parquet",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export wrote."""

    path: Path
    """The file."""

    format: str
    """``gpkg``, ``geojson``, ``coco``, ``csv`` or ``parquet``."""

    origin: Origin
    """What it was made from."""

    rows: int
    """How many rows it has."""

    crs: str | None
    """System of its geometries; ``pixels`` for (column, row); None if it has none."""

    left_out: int
    """Rows that the format cannot say: points and lines, or without a picture, in COCO."""

    def to_text(self) -> str:
        """Return it for people."""
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        where = {None: "", PIXELS: ", in pixels"}.get(self.crs, f", in {str(self.crs)[:40]}")
        said = (
            f"{rows} of {self.origin.table} of {self.origin.ref} "
            f"at {self.origin.commit[:12]} in {self.path}{where}"
        )
        if self.left_out:
            said += f"\n{self.left_out:,} rows that COCO cannot say were left out"
        return f"{said}\nbring edits back: eolab edit {self.origin.ref} --from {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaving:
    """Rows as they leave, and the way that their geometries took."""

    rows: pa.Table
    """All columns of the table."""

    shapes: np.ndarray[Any, np.dtype[np.object_]] | None
    """Geometries in the file's system; None if the table has none."""

    systems: tuple[str, ...]
    """System of each row."""

    placing: Placing
    """The way."""

    left_out: int
    """Rows that the format cannot say."""


def export(
    registry: "Registry",
    version: "Version",
    table: str,
    out: str | Path,
    *,
    format: str | None = None,  # noqa: A002 — the word users write
    where: str = "",
    samples: str = "",
) -> Exported:
    """Write a table, or some of its rows, as a file that other tools edit.

    Args:
        registry: Where slices are kept.
        version: What to export.
        table: Any table but ``pixels``.
        out: The file; one that is there is replaced when the new one is whole.
        format: One of ``FORMATS``; by default as the file's suffix says, ``.json`` being COCO for
            annotations and GeoJSON else.
        where: SQL condition; all rows if empty.
        samples: A slice, or sample ids with commas between; all if empty.

    Returns:
        What was written.

    Raises:
        InvalidInputError: There is no such format, or the table does not fit it.
        NotFoundError: There is no such table.
        UnavailableError: The file cannot be written.
    """
    path = Path(out).expanduser()
    kind = _format(path, format, table)
    home = version.home_of(table)
    schema = store.schema_of(home, table)
    _check_table(schema, kind)
    commit = version.commit.id if home == version.root else str(version.derived_at)
    origin = Origin(
        dataset=version.dataset,
        ref=str(version.ref),
        commit=commit,
        table=table,
        where=where,
        samples=samples,
    )
    ids = ids_of(registry, samples) if samples else None
    rows = chosen_rows(home, schema, where=where, ids=ids)
    given = leaving(version.root, schema, rows, format=kind)
    if given.placing.crs == PIXELS:
        origin = replace(origin, frame="pixel")
    sheet = _sheet(given, schema, origin)
    pictures = _pictures(given, ids, where=where) if kind == "coco" else []
    _replace(path, sheet, kind, pictures, classes=version.spec.classes)
    return Exported(
        path=path,
        format=kind,
        origin=origin,
        rows=sheet.rows.num_rows,
        crs=sheet.crs,
        left_out=given.left_out,
    )


def leaving(
    root: "Root",
    schema: "TableSchema",
    rows: pa.Table,
    *,
    format: str,  # noqa: A002 — the word users write
    crs: str | None = None,
    placed: bool = True,
    also: Iterable[str | None] = (),
) -> Leaving:
    """Return rows as they leave in a format.

    Args:
        root: Folder of the dataset, for where its samples are.
        schema: The table's.
        rows: Rows with all columns of it.
        format: One of ``FORMATS``.
        crs: System of the file; by default the one system of all rows, else ``OGC:CRS84``.
        placed: Whether the file has geometries.
        also: Further samples of which the system is wanted.

    Raises:
        InvalidInputError: Some rows are in pixels and others are not.
    """
    if not (placed and GEOMETRY in schema.arrow.names):
        return Leaving(
            rows=rows, shapes=None, systems=(), placing=Placing(crs=None, systems={}), left_out=0
        )
    pictures = Pictures.of(root).by_sample if format == "coco" else None
    placing = Placing(
        crs=PIXELS if pictures is not None else crs,
        systems=systems_of(root, [*_samples(rows), *also]),
        pictures=pictures,
        fixed=CRS84 if schema.name == "samples" else None,
    )
    shapes = shapely.from_wkb(rows.column(GEOMETRY).to_numpy(zero_copy_only=False))
    left_out = 0
    if pictures is not None:
        keep = _sayable(rows, shapes, placing)
        left_out = rows.num_rows - int(keep.sum())
        rows, shapes = rows.filter(pa.array(keep)), shapes[keep]
    samples, systems = _systems(rows, placing)
    if placing.crs is None:
        placing = replace(placing, crs=_common(shapes, systems, format))
    moved = placing.out(shapes, samples, systems)
    if pictures is not None:
        moved = np.array(labelling.as_said(rows, moved.tolist()), dtype=np.object_)
    return Leaving(rows=rows, shapes=moved, systems=systems, placing=placing, left_out=left_out)


def reachable(root: "Root", rows: pa.Table, crs: str) -> pa.Table:
    """Return the rows that a file in a system can hold: those in pixels, or those in a CRS.

    Args:
        root: Folder of the dataset, for where its samples are.
        rows: Rows of a table.
        crs: The file's system.
    """
    if "frame" not in rows.column_names:
        return rows
    placing = Placing(crs=crs, systems=systems_of(root, _samples(rows)))
    _, systems = _systems(rows, placing)
    keep = [(system == PIXELS) == (crs == PIXELS) for system in systems]
    return rows.filter(pa.array(keep, pa.bool_()))


def _systems(rows: pa.Table, placing: Placing) -> tuple[list[str | None], tuple[str, ...]]:
    samples = _samples(rows)
    frames = (
        rows.column("frame").to_pylist() if "frame" in rows.column_names else [None] * rows.num_rows
    )
    pairs = zip(samples, frames, strict=True)
    return samples, tuple(placing.system_of(sample, frame) for sample, frame in pairs)


def _samples(rows: pa.Table) -> list[str | None]:
    """Return the sample of each row; None where a table does not speak of samples."""
    if "sample" not in rows.column_names:
        return [None] * rows.num_rows
    return list(rows.column("sample").to_pylist())


def _sayable(rows: pa.Table, shapes: Sequence[Any], placing: Placing) -> np.ndarray[Any, Any]:
    """Return which rows COCO can say: areas on a picture whose place is known."""
    samples, systems = _systems(rows, placing)
    pictures = placing.pictures or {}
    keep = []
    for shape, sample, system in zip(shapes, samples, systems, strict=True):
        picture = pictures.get(sample or "")
        placed = picture is not None and (system == PIXELS or picture.transform is not None)
        keep.append(placed and labelling.fits(shape))
    return np.array(keep, dtype=bool)


def _common(shapes: Sequence[Any], systems: Sequence[str], format_: str) -> str:
    """Return the system that fits all rows.

    Raises:
        InvalidInputError: None does.
    """
    used = {
        system for shape, system in zip(shapes, systems, strict=True) if shape is not None
    } or set(systems)
    if PIXELS in used and len(used) > 1:
        raise InvalidInputError(
            "some of these rows are in pixels and others in a CRS, which one file cannot be",
            hint="export each by itself: --where \"frame = 'pixel'\", --where \"frame = 'crs'\"",
        )
    if used == {PIXELS}:
        return PIXELS
    return used.pop() if len(used) == 1 and format_ != "geojson" else CRS84


def _sheet(given: Leaving, schema: "TableSchema", origin: Origin) -> Sheet:
    rows = flat(given.rows, list(cell_types(schema)))
    if given.shapes is not None:
        at = rows.column_names.index(GEOMETRY)
        wkb = pa.array(shapely.to_wkb(given.shapes).tolist(), pa.binary())
        rows = rows.set_column(at, GEOMETRY, wkb)
    return Sheet(origin=origin, rows=rows, crs=given.placing.crs)


def _format(path: Path, asked: str | None, table: str) -> str:
    if asked is not None:
        if asked not in FORMATS:
            raise InvalidInputError(
                f"{asked!r} is no format of an export", hint=f"take one of {', '.join(FORMATS)}"
            )
        return asked
    suffix = path.suffix.lower()
    if suffix == ".json":
        return "coco" if table == "annotations" else "geojson"
    if suffix not in _SUFFIXES:
        raise InvalidInputError(
            f"{path.name!r} does not say in which format to write",
            hint=f"end it in {', '.join(_SUFFIXES)}, or say it: --format {'|'.join(FORMATS)}",
        )
    return _SUFFIXES[suffix]


def _check_table(schema: "TableSchema", kind: str) -> None:
    if schema.append_only:
        raise InvalidInputError(
            f"rows of {schema.name!r} never change", hint="check pixels out as files instead"
        )
    if not schema.key:
        raise InvalidInputError(
            f"table {schema.name!r} has no key, so its rows would not be found again",
            hint="ask for them by eolab sql --out",
        )
    if kind == "coco" and schema.name != "annotations":
        raise InvalidInputError(
            f"COCO holds annotations, not {schema.name!r}",
            hint="take another format, or --table annotations",
        )


def _replace(
    path: Path, sheet: Sheet, kind: str, pictures: Sequence[Picture], *, classes: Sequence[str]
) -> None:
    """Write a file that takes its place when it is whole.

    Raises:
        NotFoundError: There is no such folder.
        UnavailableError: It cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".eolab-", dir=path.parent) as folder:
            made = Path(folder) / f"made{path.suffix}"
            if kind == "coco":
                labelling.write(sheet, made, pictures=pictures, classes=classes)
            else:
                _WRITERS[kind].write(sheet, made)
            note = spreadsheet.beside(made)
            if note.exists():
                note.replace(spreadsheet.beside(path))
            else:
                with suppress(FileNotFoundError):
                    spreadsheet.beside(path).unlink()
            for journal in ("-wal", "-shm", "-journal"):  # of the file that is replaced
                with suppress(FileNotFoundError):
                    path.with_name(path.name + journal).unlink()
            made.replace(path)
    except OSError as error:
        # A file system that makes no files, such as /proc, says that there is no such file, too.
        if isinstance(error, FileNotFoundError) and not path.parent.is_dir():
            raise NotFoundError(
                f"there is no folder {str(path.parent)!r}", hint="make it first"
            ) from error
        raise UnavailableError(
            f"{path} cannot be written: {error.strerror or error}",
            hint="name a file in a folder that may be written to",
        ) from error


def _pictures(given: Leaving, ids: Sequence[str] | None, *, where: str) -> list[Picture]:
    """Return the pictures of the samples that were chosen, of those with rows, or all."""
    pictures = given.placing.pictures or {}
    if ids is None and not where:
        return list(pictures.values())
    asked = set(_samples(given.rows) if ids is None else ids)
    return [one for sample, one in pictures.items() if sample in asked]


_WRITERS: Final = {
    "gpkg": geopackage,
    "geojson": feature_collection,
    "csv": spreadsheet,
    "parquet": columnar,
}
