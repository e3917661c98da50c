"""GeoPackage: written through OGR, as QGIS does; read as the SQLite database that it is.

Reading needs no more than tables and blobs: views, triggers and virtual tables of a foreign file
are never run, times keep their digits, and numbers their type.

References:
    OGC 12-128r18, GeoPackage Encoding Standard 1.3.1, §1.1 and §2.1.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pyarrow as pa
import shapely

from registry.curate.exchange.cells import GEOMETRY, json_text, nested_kind
from registry.curate.exchange.origin import Origin
from registry.curate.exchange.sheet import PIXELS, Found, Sheet, Wanted
from registry.errors import InvalidInputError, RejectedError, UnavailableError
from registry.geo.systems import CRS84

__all__ = ["MAGIC", "carried", "layer_of", "layers", "read", "write"]

MAGIC: Final = b"SQLite format 3\0"
"""How every file of this format begins."""

_LONGEST: Final = 256 << 20
_UNKNOWN: Final = "Unknown"
_ENVELOPES: Final = {0: 0, 1: 32, 2: 48, 3: 48, 4: 64}
_HEAD: Final = 8
_AGAIN: Final = "save it again in the tool that it was edited with"
_NO_SYSTEM: Final = (
    'ENGCRS["Undefined Cartesian SRS",EDATUM[""],CS[Cartesian,2],AXIS["(E)",east,ORDER[1]],'
    'AXIS["(N)",north,ORDER[2]],LENGTHUNIT["Meter",1]]'
)
"""What the standard has in place of a system, under its number -1."""


class _Text(bytes):
    """Text of a database that nobody has yet seen to be UTF-8."""

    __slots__ = ()


def write(sheet: Sheet, path: Path) -> None:
    """Write rows as one layer named as their table, with the origin in its description.

    Args:
        sheet: The rows.
        path: A new file.

    Raises:
        InvalidInputError: Two columns differ only in case, which SQLite does not tell apart.
        UnavailableError: It cannot be written.
    """
    from pyogrio.errors import (  # type: ignore[import-untyped]  # it has no types
        DataLayerError,
        DataSourceError,
    )
    from pyogrio.raw import write_arrow  # type: ignore[import-untyped]  # as above

    _check_names(sheet.rows.column_names)
    rows = carried(sheet.rows)
    layer_options = {
        "IDENTIFIER": sheet.origin.table,
        "DESCRIPTION": sheet.origin.description,
        "FID": _free("fid", rows.column_names),
        "GEOMETRY_NAME": _free("geom", rows.column_names),
    }
    known = {"layer": _layer(sheet.origin.table), "driver": "GPKG", "layer_options": layer_options}
    try:
        if sheet.crs is None:
            write_arrow(rows, path, **known)
        else:
            write_arrow(
                rows,
                path,
                geometry_name=GEOMETRY,
                geometry_type=_geometry_type(rows.column(GEOMETRY)),
                crs=_crs_out(sheet.crs),
                **known,
            )
    except (DataSourceError, DataLayerError) as error:
        raise UnavailableError(
            f"{path} cannot be written: {error}", hint="name a file in a folder that is writable"
        ) from error
    if sheet.crs == PIXELS:
        _state_pixels(path, _layer(sheet.origin.table))


def carried(rows: pa.Table) -> pa.Table:
    """Return rows with only the types that OGR has; what is nested or bytes becomes text."""
    columns = {}
    for field in rows.schema:
        column = rows.column(field.name).combine_chunks()
        kind = field.type
        if field.name == GEOMETRY:
            pass
        elif nested_kind(kind):
            column = json_text(column)
        elif pa.types.is_binary(kind):
            column = pa.array(
                [None if v is None else v.hex() for v in column.to_pylist()], pa.string()
            )
        elif pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("ms", "UTC"), safe=False)
        elif pa.types.is_int8(kind):
            column = column.cast(pa.int16())
        columns[field.name] = column
    return pa.table(columns)


def _check_names(names: list[str]) -> None:
    folded: dict[str, str] = {}
    for name in names:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            raise InvalidInputError(
                f"columns {other!r} and {name!r} differ only in case, which GeoPackage ignores",
                hint="export the table as GeoJSON, CSV or Parquet",
            )


def _free(name: str, taken: list[str]) -> str:
    folded = {one.casefold() for one in taken}
    while name in folded:
        name = f"ogr_{name}"
    return name


def _layer(table: str) -> str:
    return table.replace("/", "_")


def _crs_out(crs: str) -> str:
    if crs == PIXELS:
        return _NO_SYSTEM
    return "EPSG:4326" if crs == CRS84 else crs


def _geometry_type(column: pa.ChunkedArray) -> str:
    shapes = shapely.from_wkb(column.to_numpy(zero_copy_only=False))
    there = shapes[~shapely.is_missing(shapes)]
    kinds = {shape.geom_type + (" Z" if shape.has_z else "") for shape in there}
    return kinds.pop() if len(kinds) == 1 else _UNKNOWN


def _state_pixels(path: Path, layer: str) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        for table in ("gpkg_contents", "gpkg_geometry_columns"):
            database.execute(
                f"update {table} set srs_id = -1 where table_name = ?",  # noqa: S608 — one of two names, just above
                [layer],
            )


def layers(path: Path) -> dict[str, Origin | None]:
    """Return the layers that hold rows of their own, with what each says it was made from.

    Raises:
        RejectedError: It is no GeoPackage, or has no such layer.
    """
    with _opened(path) as database:
        return _layers(database)


def layer_of(found: Mapping[str, Origin | None], table: str) -> str:
    """Return the layer that holds a table.

    Raises:
        RejectedError: Several may, and none says so.
    """
    made = [name for name, origin in found.items() if origin and origin.table == table]
    for few in ([name for name in found if name == _layer(table)], made, list(found)):
        if len(few) == 1:
            return few[0]
    raise RejectedError(
        f"none of its layers {', '.join(map(repr, list(found)[:8]))} is table {table!r}",
        hint="name the layer as its table, or say which table: --table annotations",
    )


def read(path: Path, wanted: Wanted) -> Found:
    """Return the rows of the layer that holds a table.

    Args:
        path: The file; nothing else writes it meanwhile.
        wanted: What to look for.

    Raises:
        RejectedError: It is no GeoPackage, has no such layer, or a blob is no geometry.
    """
    with _opened(path) as database:
        found = _layers(database)
        layer = layer_of(found, wanted.table)
        return _read(database, layer, wanted, found[layer])


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    uri = f"{path.absolute().as_uri()}?mode=rw"  # rw, so that what QGIS left in its journal counts
    try:
        with closing(sqlite3.connect(uri, uri=True)) as database:
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
            for rule in ("trusted_schema = off", "query_only = on", "cell_size_check = on"):
                database.execute(f"pragma {rule}")
            database.text_factory = _Text
            yield database
    except (sqlite3.Error, OverflowError) as error:
        raise _mangled(f": {error}") from error


def _layers(database: sqlite3.Connection) -> dict[str, Origin | None]:
    real = {
        _str(name)
        for name, sql in database.execute("select name, sql from sqlite_master where type='table'")
        if not _str(sql or b"").lstrip().lower().startswith("create virtual")
    }
    listed = database.execute(
        "select table_name, description from gpkg_contents "
        "where data_type in ('features', 'attributes') order by table_name limit 1000"
    )
    found = {
        _str(name): Origin.in_text(_str(description or b""))
        for name, description in listed
        if isinstance(name, bytes) and _str(name) in real
    }
    if not found:
        raise RejectedError(
            "it has no layer with rows of its own; views are not followed",
            hint="save the layer as a GeoPackage",
        )
    return found


def _read(database: sqlite3.Connection, layer: str, wanted: Wanted, origin: Origin | None) -> Found:
    geometry, crs = _geometry_column(database, layer)
    names = [_str(row[1]) for row in database.execute(f"pragma table_info({_quoted(layer)})")]
    asked = [name for name in names if name != geometry]
    listed = ", ".join(map(_quoted, [*asked, *([geometry] if geometry else [])]))
    found = database.execute(f"select {listed} from {_quoted(layer)}")  # noqa: S608 — quoted names
    columns: dict[str, list[object]] = {name: [] for name in asked}
    places: list[str] = []
    shapes: list[bytes | None] = []
    for row in _at_most(found, wanted.most_rows):
        places.append(f"row {row[0] if isinstance(row[0], int) else len(places) + 1}")
        for name, value in zip(asked, row[: len(asked)], strict=True):
            is_bytes = name in wanted.cells and pa.types.is_binary(wanted.cells[name])
            columns[name].append(_value(value, is_bytes=is_bytes, place=places[-1], name=name))
        if geometry:
            shapes.append(_wkb(row[-1], places[-1]))
    return Found(
        columns=columns,
        places=places,
        geometries=shapes if geometry else None,
        crs=crs,
        origin=origin,
    )


def _geometry_column(database: sqlite3.Connection, layer: str) -> tuple[str | None, str | None]:
    row = database.execute(
        "select column_name, srs_id from gpkg_geometry_columns where table_name = ?", [layer]
    ).fetchone()
    if row is None:
        return None, None
    system = database.execute(
        "select organization, organization_coordsys_id, definition from gpkg_spatial_ref_sys "
        "where srs_id = ?",
        [row[1]],
    ).fetchone()
    if row[1] == -1:
        return _str(row[0]), PIXELS
    if system is None or row[1] == 0:
        return _str(row[0]), None
    organisation, code, definition = _str(system[0]).upper(), system[1], _str(system[2] or b"")
    if organisation == "EPSG":
        return _str(row[0]), CRS84 if code == 4326 else f"EPSG:{code}"  # noqa: PLR2004 — EPSG's code for WGS 84
    return _str(row[0]), None if definition in {"", "undefined"} else definition


def _at_most(rows: sqlite3.Cursor, most: int) -> Iterator[tuple[object, ...]]:
    for count, row in enumerate(rows):
        if count >= most:
            raise RejectedError(
                f"it has more than {most:,} rows", hint="export fewer: --where, --samples"
            )
        yield row


def _value(value: object, *, is_bytes: bool, place: str, name: str) -> object:
    if not isinstance(value, _Text):
        if isinstance(value, bytes) and not is_bytes:
            raise RejectedError(f"{place}: {name!r} holds bytes, not text", hint=_AGAIN)
        return value
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise RejectedError(
            f"{place}: {name!r} is not UTF-8", hint="mend the text in the tool that wrote it"
        ) from None


def _wkb(blob: object, place: str) -> bytes | None:
    """Return what follows a blob's head.

    Raises:
        RejectedError: It is no geometry of a GeoPackage.
    """
    if blob is None:
        return None
    if isinstance(blob, bytes) and len(blob) > _HEAD and blob[:2] == b"GP":
        size = _ENVELOPES.get((blob[3] >> 1) & 7)
        if size is not None and not blob[3] & 0x20:
            return blob[_HEAD + size :]
    raise RejectedError(f"{place}: its geometry is none of a GeoPackage", hint=_AGAIN)


def _str(name: object) -> str:
    if not isinstance(name, bytes):
        raise _mangled()
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise _mangled() from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _mangled(why: str = "") -> RejectedError:
    return RejectedError(f"it is no readable GeoPackage{why}", hint=_AGAIN)
