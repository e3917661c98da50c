"""What BigEarthNet's tables and sidecars say of patches; none of it is trusted unchecked."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.formats.bigearthnet_names import PATCH
from registry.curate.formats.records import Record, parse_record
from registry.errors import InvalidInputError, RejectedError
from registry.geo import normalise_crs

if TYPE_CHECKING:
    from registry.curate.formats.contract import Listing
    from registry.curate.formats.planning import PlanRows

__all__ = ["Fact", "Facts", "Stated", "read_facts"]

_TABLE_LIMIT: Final = 256 << 20
_JSON_LIMIT: Final = 64 << 20  # which takes ten times as much once it is read
_JSON_PARTS: Final = 4_000_000
_UNPACKED_LIMIT: Final = 1 << 30
_COLUMN_LIMIT: Final = 256
_VALUE_LIMIT: Final = 64_000_000  # those of lists too; equal ones take no room in a file
_SIDECAR_LIMIT: Final = 1 << 20
_LONGEST_TEXT: Final = 1_000
_MOST_LABELS: Final = 64
_BATCH_ROWS: Final = 16_384
_SHOWN: Final = 5

_TABLE: Final = re.compile(r"metadata[^/]*\.(?:parquet|json)")
_SIDECAR: Final = re.compile(rf"(?P<patch>{PATCH})_labels_metadata\.json")
_WHOLE_PATCH: Final = re.compile(PATCH)
_IDS: Final = ("patch_id", "id", "patch")
_SPLITS: Final = ("split", "data_split")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_:.-]{0,63}")
_SPOKEN: Final = frozenset({
    *_IDS, *_SPLITS, "labels", "crs", "geotransform", "raster_shape", "files", "time_start",
    "time_end", "datetime", "lon", "lat", "centroid", "geometry", "projection", "coordinates",
    "corresponding_s2_patch",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """The grid that a table states of a patch at 10 m."""

    crs: str
    """``EPSG:n`` or WKT2."""

    transform: tuple[float, float, float, float, float, float]
    """Affine a, b, c, d, e, f from pixel corner to CRS."""

    shape: tuple[int, int]
    """Rows, columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What is said of one patch."""

    labels: tuple[str, ...] | None = None
    """Classes, as they came; None if nothing says them."""

    split: str | None = None
    """The source's own word for its subset."""

    s1: str | None = None
    """Name of the Sentinel-1 patch of the same place."""

    grid: Stated | None = None
    """Where its pixels at 10 m lie."""

    geometry: bytes | None = None
    """Footprint as WKB in OGC:CRS84, where one is stated."""

    properties: Mapping[str, object] = field(default_factory=dict)
    """Other single values: ``country``, ``contains_seasonal_snow``, …"""


@dataclass(slots=True)
class Facts:
    """What is said of all patches."""

    patches: dict[str, Fact] = field(default_factory=dict)
    """By the name of the Sentinel-2 patch, or of the Sentinel-1 patch where that is alone."""

    pairs: dict[str, str] = field(default_factory=dict)
    """Sentinel-1 patch to Sentinel-2 patch, as tables and sidecars say."""

    used: set[str] = field(default_factory=set)
    """Paths that were read."""

    absent: list[str] = field(default_factory=list)
    """The first patches that a table names and the source does not have."""

    absences: int = 0
    """How many there are."""

    tables: int = 0
    """Tables that could be read."""


def read_facts(listing: "Listing", present: Iterable[str], rows: "PlanRows") -> Facts:
    """Return what tables and sidecars say of the patches that are there.

    Args:
        listing: The source.
        present: Names of the patches of which it has files, of either sensor.
        rows: Takes findings of what cannot be read.

    Returns:
        Facts; where a patch is spoken of twice, the first word counts, and tables come before
        sidecars.
    """
    here = frozenset(present)
    facts = Facts()
    sidecars = []
    for path in listing.files:
        if not path.endswith((".json", ".parquet")):
            continue  # a million times, before anything that takes longer
        name = PurePosixPath(path).name
        if _TABLE.fullmatch(name):
            facts.used.add(path)
            _take_table(facts, listing, path, here, rows)
        elif found := _SIDECAR.fullmatch(name):
            facts.used.add(path)
            sidecars.append((path, found["patch"]))
    for path, patch in sidecars:
        _take_sidecar(facts, listing, path, patch, rows)
    return facts


# --------------------------------------------------------------------- tables
def _take_table(
    facts: Facts, listing: "Listing", path: str, here: frozenset[str], rows: "PlanRows"
) -> None:
    repeated: list[str] = []
    wrong: list[str] = []
    try:
        packed = path.endswith(".parquet")
        data = listing.read(path, limit=_TABLE_LIMIT if packed else _JSON_LIMIT)
        for said in _parquet_rows(data) if packed else _json_rows(data):
            _take_row(facts, said, here, repeated, wrong)
    except RejectedError as error:
        _warn_unread(rows, path, error.problem)
        return
    except (orjson.JSONDecodeError, pa.ArrowException) as error:
        _warn_unread(rows, path, str(error).splitlines()[0])
        return
    facts.tables += 1
    for check, names, what in (
        ("duplicate-id", repeated, "names patches twice, of which the first row counts"),
        ("bad-sidecar", wrong, "has rows that say what cannot be"),
    ):
        if names:
            rows.warn(
                check,
                f"{path!r} {what}: {len(names):,}, such as {names[0]!r}",
                fix="mend the table and ingest again",
                file=path,
                count=len(names),
                names=names[:_SHOWN],
            )


def _take_row(
    facts: Facts,
    said: Mapping[str, Any],
    here: frozenset[str],
    repeated: list[str],
    wrong: list[str],
) -> None:
    patch = next((said[name] for name in _IDS if isinstance(said.get(name), str)), "")
    if not _WHOLE_PATCH.fullmatch(patch):
        wrong.append(f"{patch:.100}")
        return
    older, s1 = (_text(said.get(name)) for name in ("s2v1_name", "s1_name"))
    if patch not in here and older in here:
        patch = older  # the patches are of v1, the table is of v2
    if patch not in here and s1 not in here:
        facts.absences += 1
        if len(facts.absent) < _SHOWN:
            facts.absent.append(patch)
        return
    if patch in facts.patches:
        repeated.append(patch)
        return
    facts.patches[patch] = fact = _fact(said, patch, wrong)
    if fact.s1 is not None:
        facts.pairs.setdefault(fact.s1, patch)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _fact(said: Mapping[str, Any], patch: str, wrong: list[str]) -> Fact:
    labels = said.get("labels")
    known = _labels(labels)
    grid, problem = _grid(said)
    place = said.get("geometry")
    record = parse_record({"geometry": place}) if isinstance(place, Mapping) else Record()
    if problem or record.problems or (labels is not None and known is None):
        wrong.append(patch)
    split = next((said[name] for name in _SPLITS if isinstance(said.get(name), str)), None)
    s1 = said.get("s1_name")
    return Fact(
        labels=known,
        split=split if split is None or len(split) <= _LONGEST_TEXT else None,
        s1=s1 if isinstance(s1, str) and _WHOLE_PATCH.fullmatch(s1) else None,
        grid=grid,
        geometry=record.geometry,
        properties={
            name: value
            for name, value in said.items()
            if name not in _SPOKEN and _NAME.fullmatch(name) and _is_single(value)
        },
    )


def _labels(value: object) -> tuple[str, ...] | None:
    if not isinstance(value, list) or len(value) > _MOST_LABELS:
        return None
    texts = [one for one in value if isinstance(one, str) and 0 < len(one) <= _LONGEST_TEXT]
    return tuple(dict.fromkeys(texts)) if len(texts) == len(value) else None


def _is_single(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= _LONGEST_TEXT
    if isinstance(value, int):
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, float)


def _grid(said: Mapping[str, Any]) -> tuple[Stated | None, bool]:
    """Return the grid that a row states, and whether it states one that cannot be."""
    place, shape, crs = said.get("geotransform"), said.get("raster_shape"), said.get("crs")
    if place is None or shape is None or not isinstance(crs, str):
        return None, False
    if not (_are_numbers(place, 6) and _are_numbers(shape, 2)):
        return None, True
    left, width, skew, top, tilt, height = place
    try:
        code = normalise_crs(crs)
    except InvalidInputError:
        return None, True
    return Stated(
        crs=code,
        transform=(width, skew, left, tilt, height, top),
        shape=(int(shape[0]), int(shape[1])),
    ), False


def _are_numbers(value: object, count: int) -> bool:
    return (
        isinstance(value, list)
        and len(value) == count
        and all(isinstance(one, int | float) and abs(one) < 1 << 31 for one in value)
    )


def _json_rows(data: bytes) -> Iterator[Mapping[str, Any]]:
    if data.count(b"{") + data.count(b"[") > _JSON_PARTS:
        raise RejectedError("it has millions of lists and objects", hint="write it as Parquet")
    said = orjson.loads(data)
    if not isinstance(said, list):
        raise RejectedError("it is no list of objects", hint="write one object a patch")
    yield from (row for row in said if isinstance(row, Mapping))


def _parquet_rows(data: bytes) -> Iterator[Mapping[str, Any]]:
    from pyarrow import parquet

    source = pa.BufferReader(data)
    described = parquet.read_metadata(source)
    groups = [described.row_group(group) for group in range(described.num_row_groups)]
    unpacked = sum(group.total_byte_size for group in groups)
    values = sum(
        group.column(place).num_values for group in groups for place in range(group.num_columns)
    )
    wide = described.num_columns > _COLUMN_LIMIT
    if wide or values > _VALUE_LIMIT or unpacked > _UNPACKED_LIMIT:
        raise RejectedError(
            f"it declares {values:,} values of {unpacked:,} bytes in {described.num_columns:,} "
            "columns",
            hint=f"give at most {_VALUE_LIMIT:,} values in {_COLUMN_LIMIT} columns",
        )
    texts = [
        described.schema.column(place).path
        for place in range(described.num_columns)
        if described.schema.column(place).physical_type == "BYTE_ARRAY"
    ]
    # A text that is repeated is held once, so a small file cannot unfold into a large one.
    file = parquet.ParquetFile(source, read_dictionary=texts)
    names = [name for name in file.schema_arrow.names if _is_plain(file.schema_arrow.field(name))]
    for batch in file.iter_batches(_BATCH_ROWS, columns=names):
        for name in batch.schema.names:
            _check_texts(batch.column(name), name)
        yield from batch.to_pylist()


def _is_plain(field: pa.Field) -> bool:
    kind = field.type.value_type if pa.types.is_list(field.type) else field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
    )


def _check_texts(column: pa.Array, name: str) -> None:
    """Refuse texts that would take much memory once each row has its own.

    Raises:
        RejectedError: There are such, or far more of them than rows.
    """
    if pa.types.is_list(column.type):
        if len(column.values) > len(column) * _MOST_LABELS:
            raise RejectedError(f"{name!r} has lists too long", hint="mend the table")
        column = column.values
    texts = column.dictionary if pa.types.is_dictionary(column.type) else column
    if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
        return
    longest = pc.max(pc.binary_length(texts)).as_py() or 0
    if longest > _LONGEST_TEXT:
        raise RejectedError(f"{name!r} has a text of {longest:,} bytes", hint="mend the table")


# ------------------------------------------------------------------- sidecars
def _take_sidecar(
    facts: Facts, listing: "Listing", path: str, patch: str, rows: "PlanRows"
) -> None:
    try:
        said = orjson.loads(listing.read(path, limit=_SIDECAR_LIMIT))
    except RejectedError as error:
        _warn_unread(rows, path, error.problem, sample=patch)
        return
    except orjson.JSONDecodeError as error:
        _warn_unread(rows, path, str(error).splitlines()[0], sample=patch)
        return
    wrong: list[str] = []
    if isinstance(said, Mapping):
        other = said.get("corresponding_s2_patch")
        if isinstance(other, str) and _WHOLE_PATCH.fullmatch(other):
            facts.pairs.setdefault(patch, other)
        facts.patches.setdefault(patch, _fact(said, patch, wrong))
    else:
        wrong.append(patch)
    if wrong:
        _warn_unread(rows, path, "it says what cannot be", sample=patch)


def _warn_unread(rows: "PlanRows", path: str, problem: str, *, sample: str | None = None) -> None:
    rows.warn(
        "bad-sidecar",
        f"{path!r} cannot be read: {problem}",
        fix="mend the sidecar and ingest again",
        sample=sample,
        file=path,
    )
