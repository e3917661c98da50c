"""The declared schema of every table of a dataset: columns, units, keys, what is coupled.

Schemas are declared, never inferred: an inferred one changes with the data. Each field carries
its ``meaning`` and, where it has one, its ``unit`` in the Arrow field metadata.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pyarrow as pa

from registry.errors import InvalidInputError

__all__ = [
    "ANNOTATIONS",
    "ASSETS",
    "FEATURES",
    "FINDINGS",
    "MEASURES",
    "PIXELS",
    "SAMPLES",
    "SCORES",
    "SPLITS",
    "STATISTICS",
    "ZONES",
    "TableSchema",
    "declared",
    "features_schema",
    "reports_schema",
    "samples_schema",
    "splits_schema",
]

_TIME = pa.timestamp("us", "UTC")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,119}(/[A-Za-z0-9][A-Za-z0-9_.-]{0,119})?")
_WKB = {"ARROW:extension:name": "geoarrow.wkb"}
_CRS84 = {
    "ARROW:extension:metadata": json.dumps({"crs": "OGC:CRS84", "crs_type": "authority_code"})
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """What a table promises."""

    name: str
    """Where the table lies below the dataset's root: ``samples``, ``splits/default``."""

    arrow: pa.Schema
    """Columns in order, with ``meaning`` and ``unit`` in their metadata."""

    key: tuple[str, ...]
    """Columns that together name a row; never null, never twice."""

    groups: tuple[tuple[str, ...], ...] = ()
    """Columns that are coupled: a merge takes all of a group from one side. A column in no group
    is its own."""

    derived: tuple[str, ...] = ()
    """Columns that are computed from others, so never set by hand and never in conflict."""

    sort: str | None = None
    """Column whose ascending order rows are written in by whoever fills the table."""

    append_only: bool = False
    """Whether rows are only ever added."""

    properties: tuple[tuple[str, str], ...] = field(default=())
    """What the table's metadata say about it as a whole, such as a split's seed."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or ".." in self.name:
            raise InvalidInputError(
                f"{self.name!r} cannot name a table",
                hint="use letters, digits, _ . - and at most one /, as in splits/default",
            )
        for name in (*self.key, *self.derived, *(c for group in self.groups for c in group)):
            if name.split(".")[0] not in self.arrow.names:
                raise InvalidInputError(
                    f"table {self.name!r} speaks of a column {name!r} that it does not have",
                    hint=f"its columns are {', '.join(self.arrow.names)}",
                )

    def group_of(self, column: str) -> tuple[str, ...]:
        """Return the columns that are coupled with ``column``, itself among them."""
        return next((group for group in self.groups if column in group), (column,))

    def empty(self) -> pa.Table:
        """Return a table of this schema with no rows."""
        return self.arrow.empty_table()

    def with_columns(self, fields: Iterable[pa.Field]) -> "TableSchema":
        """Return the schema with further nullable columns at its end.

        Raises:
            InvalidInputError: A column of that name is there with another type.
        """
        arrow = self.arrow
        for one in fields:
            if one.name not in arrow.names:
                arrow = arrow.append(one.with_nullable(nullable=True))
            elif arrow.field(one.name).type != one.type:
                raise InvalidInputError(
                    f"table {self.name!r} has {one.name!r} as {arrow.field(one.name).type}, "
                    f"not {one.type}",
                    hint="take another name for the new column",
                )
        return replace(self, arrow=arrow)


def _f(
    name: str,
    kind: pa.DataType,
    meaning: str,
    *,
    unit: str | None = None,
    required: bool = False,
    extra: dict[str, str] | None = None,
) -> pa.Field:
    metadata = {"meaning": meaning} | ({"unit": unit} if unit else {}) | (extra or {})
    return pa.field(name, kind, nullable=not required, metadata=metadata)


_BBOX = pa.struct([
    pa.field(corner, pa.float64(), metadata={"unit": "degree"})
    for corner in ("xmin", "ymin", "xmax", "ymax")
])
_SOURCE = pa.struct([
    pa.field("href", pa.string()),
    pa.field("checksum", pa.string()),
    pa.field("licence", pa.string()),
    pa.field("provider", pa.string()),
    pa.field("collection", pa.string()),
    pa.field("item", pa.string()),
])

SAMPLES = TableSchema(
    name="samples",
    arrow=pa.schema([
        _f("id", pa.string(), "names the sample in every version", required=True),
        _f(
            "geometry",
            pa.binary(),
            "footprint as WKB in OGC:CRS84; null only without georeference",
            unit="degree",
            extra=_WKB | _CRS84,
        ),
        _f("bbox", _BBOX, "covering box; west > east across the antimeridian", unit="degree"),
        _f("datetime", _TIME, "when it was acquired; null where unknown", unit="UTC"),
        _f("start_datetime", _TIME, "first instant of an interval", unit="UTC"),
        _f("end_datetime", _TIME, "last instant of an interval, included", unit="UTC"),
        _f("label", pa.list_(pa.string()), "scene classes, one or several"),
        _f("target", pa.float64(), "scene-level quantity; its unit is in the card"),
        _f("group", pa.string(), "event, field or place that must not straddle a split"),
        _f("georeferenced", pa.bool_(), "whether the source says where it is"),
        _f("declared", pa.list_(pa.string()), "columns stated by the user, not read from data"),
        _f("source", _SOURCE, "where the bytes came from"),
        _f("hilbert", pa.int64(), "Hilbert key of the centre at level 31; -1 without one"),
    ]),
    key=("id",),
    groups=(
        ("geometry", "datetime", "start_datetime", "end_datetime", "georeferenced", "declared"),
    ),
    derived=("bbox", "hilbert"),
    sort="hilbert",
)
"""One row a sample."""

ASSETS = TableSchema(
    name="assets",
    arrow=pa.schema([
        _f("sample", pa.string(), "which sample", required=True),
        _f("asset", pa.string(), "which asset of it, as described in the card", required=True),
        _f("pixels", pa.binary(), "SHA-256 of its row in pixels; null if by reference"),
        _f("href", pa.string(), "where it stays, if by reference"),
        _f("checksum", pa.string(), "multihash in hex, if by reference"),
        _f("size", pa.int64(), "if by reference", unit="byte"),
        _f("shape", pa.list_(pa.int32()), "(band, y, x) or (time, band, y, x)", unit="pixel"),
        _f("dtype", pa.string(), "NumPy's name, little endian"),
        _f("crs", pa.string(), "EPSG:n, or WKT2 where there is no code; null if none"),
        _f(
            "transform",
            pa.list_(pa.float64()),
            "affine a, b, c, d, e, f from (column, row) of a pixel's corner to the CRS",
            unit="CRS unit",
        ),
        _f("times", pa.list_(_TIME), "one a time step, or empty", unit="UTC"),
        _f("nodata", pa.float64(), "value that means nothing was observed; null if none"),
        _f(
            "tags",
            pa.string(),
            "what its file says besides, JSON text: driver; bands, scales, offsets, units and "
            "colours, one a band each; tags by domain; absent where any file would say the same",
        ),
    ]),
    key=("sample", "asset"),
    groups=(
        ("pixels", "shape", "dtype", "crs", "transform", "times", "nodata", "tags"),
        ("href", "checksum", "size"),
    ),
)
"""One row a (sample, asset)."""

PIXELS = TableSchema(
    name="pixels",
    arrow=pa.schema([
        _f("sha256", pa.binary(), "digest of the array, 32 bytes", required=True),
        _f("codec", pa.string(), "how data are packed", required=True),
        _f("data", pa.binary(), "one array, self-describing", required=True),
    ]),
    key=("sha256",),
    groups=(("codec", "data"),),
    append_only=True,
)
"""One row an array, by its hash."""

ANNOTATIONS = TableSchema(
    name="annotations",
    arrow=pa.schema([
        _f("id", pa.string(), "names the annotation in every version", required=True),
        _f("sample", pa.string(), "which sample it is on", required=True),
        _f("geometry", pa.binary(), "outline as WKB in frame", unit="frame", extra=_WKB),
        _f("frame", pa.string(), "crs: the sample's CRS; pixel: (column, row) from upper left"),
        _f("category", pa.string(), "class of the object or region"),
        _f("attributes", pa.string(), "further facts as JSON text"),
        _f("score", pa.float64(), "confidence in [0, 1]; null for people's own"),
        _f("method", pa.string(), "manual, automated or derived"),
        _f("annotator", pa.string(), "an opaque id, never a name or address"),
        _f("created", _TIME, "when it was drawn", unit="UTC"),
        _f("status", pa.string(), "proposed, accepted or rejected"),
        _f("area", pa.float64(), "of the geometry", unit="frame unit squared"),
        _f("iscrowd", pa.bool_(), "whether it stands for many objects"),
        _f("isbox", pa.bool_(), "whether the geometry is only a bounding box"),
        _f("rle", pa.string(), "instance mask as COCO run lengths, JSON text"),
    ]),
    key=("id",),
    groups=(("sample", "geometry", "frame", "isbox", "rle"),),
    derived=("area",),
)
"""One row a labelled object or region."""

SPLITS = TableSchema(
    name="splits/default",
    arrow=pa.schema([
        _f("sample", pa.string(), "which sample", required=True),
        _f("subset", pa.string(), "train, validate, test or test:<name>"),
        _f("fold", pa.int32(), "fold of a cross-validation, from 0; null if there is none"),
    ]),
    key=("sample",),
    groups=(("subset", "fold"),),
)
"""One row a sample, one table a split."""

FINDINGS = TableSchema(
    name="reports/quality",
    arrow=pa.schema([
        _f("id", pa.string(), "names the finding: check, sample and asset", required=True),
        _f("check", pa.string(), "what was looked at", required=True),
        _f("severity", pa.string(), "info, warning or error", required=True),
        _f("sample", pa.string(), "sample concerned; null for the dataset as a whole"),
        _f("asset", pa.string(), "asset concerned; null for the sample as a whole"),
        _f("message", pa.string(), "what is wrong, with the value"),
        _f("evidence", pa.string(), "what proves it, as JSON text"),
        _f("fix", pa.string(), "what would mend it"),
    ]),
    key=("id",),
)
"""One row a finding."""

MEASURES = TableSchema(
    name="reports/bias",
    arrow=pa.schema([
        _f(
            "id", pa.string(), "names the figure: measure, dimensions, strata, class", required=True
        ),
        _f("measure", pa.string(), "what was measured, as in docs/concepts/bias.md", required=True),
        _f("dimension", pa.string(), "what samples are sorted by; two joined by ' & '"),
        _f("stratum", pa.string(), "one value of the dimension; null for all of it"),
        _f("class", pa.string(), "class concerned; null for all samples"),
        _f("value", pa.float64(), "the figure itself; null where it cannot be had"),
        _f("low", pa.float64(), "lower end of its 95 % interval"),
        _f("high", pa.float64(), "upper end of its 95 % interval"),
        _f("count", pa.int64(), "how many samples it rests on"),
        _f("expected", pa.float64(), "how many there would be without bias", unit="samples"),
        _f("share", pa.float64(), "share of the samples, in [0, 1]"),
        _f("reference_share", pa.float64(), "share of the reference, in [0, 1]"),
        _f("p", pa.float64(), "how probable chance alone makes what was seen, in [0, 1]"),
        _f("q", pa.float64(), "p, corrected for how many were tested"),
        _f("flagged", pa.bool_(), "whether it is beyond chance and large enough to matter"),
        _f("reference", pa.string(), "what it was compared with, and which version of that"),
        _f("unit", pa.string(), "unit of value, low and high: ratio, share, bit, km, day, …"),
        _f("note", pa.string(), "the same in words"),
    ]),
    key=("id",),
)
"""One row a measure of bias."""

FEATURES = TableSchema(
    name="features/default",
    arrow=pa.schema([_f("sample", pa.string(), "which sample", required=True)]),
    key=("sample",),
)
"""One row a sample; its further columns are the recipe's."""


def _of_values(prefix: str, unit: str) -> list[pa.Field]:
    parts = {
        "mean": "mean", "std": "standard deviation over all pixels", "min": "least value",
        "p1": "1st percentile", "p2": "2nd percentile", "median": "50th percentile",
        "p98": "98th percentile", "p99": "99th percentile", "max": "greatest value",
        "mad": "median absolute deviation from the median",
    }  # fmt: skip
    return [_f(f"{prefix}{name}", pa.float64(), said, unit=unit) for name, said in parts.items()]


STATISTICS = TableSchema(
    name="features/statistics",
    arrow=pa.schema([
        _f("asset", pa.string(), "which asset", required=True),
        _f("band", pa.string(), "which band: its name, or its number from 1", required=True),
        _f("split", pa.string(), "which split; * where all samples are meant", required=True),
        _f("subset", pa.string(), "which subset of it; * where all are meant", required=True),
        _f("samples", pa.int64(), "samples that have the band"),
        _f("count", pa.int64(), "values that were observed", unit="pixel"),
        _f("missing", pa.int64(), "values that were not: nodata or not finite", unit="pixel"),
        *_of_values("", "unit"),
        *_of_values("raw_", "stored value"),
        _f("unit", pa.string(), "physical unit of the values that are not raw"),
        _f("scale", pa.float64(), "factor from stored to physical values"),
        _f("offset", pa.float64(), "added after scaling"),
    ]),
    key=("asset", "band", "split", "subset"),
)
"""One row a band of an asset in a subset of a split: what training normalises by."""

ZONES = TableSchema(
    name="features/zones",
    arrow=pa.schema([
        _f("annotation", pa.string(), "id of the annotation", required=True),
        _f("asset", pa.string(), "whose pixels", required=True),
        _f("step", pa.int32(), "time step, from 0", required=True),
        _f("band", pa.string(), "which band: its name, or its number from 1", required=True),
        _f("sample", pa.string(), "id of the sample"),
        _f("category", pa.string(), "class of the annotation"),
        _f("time", _TIME, "of the step; null if nobody says"),
        _f("count", pa.float64(), "observed pixels under the outline, shares included", unit="px"),
        _f("mean", pa.float64(), "their mean, by shares", unit="unit of the band"),
        _f("std", pa.float64(), "their standard deviation, by shares", unit="unit of the band"),
        _f("min", pa.float64(), "least of the pixels that are touched", unit="unit of the band"),
        _f("max", pa.float64(), "largest of the pixels that are touched", unit="unit of the band"),
    ]),
    key=("annotation", "asset", "step", "band"),
)
"""One row a band of an asset at a time under the outline of an annotation."""


SCORES = TableSchema(
    name="scores",
    arrow=pa.schema([
        _f("id", pa.string(), "names the figure: run, head, metric, class, stratum", required=True),
        _f("run", pa.string(), "names the evaluation; its figures share it", required=True),
        _f("protocol", pa.string(), "hash of all that makes scores comparable", required=True),
        _f("model", pa.string(), "ref of the model, such as burnscar-unet@v1; or of a floor"),
        _f("weights", pa.string(), "SHA-256 of its weights, in hex"),
        _f("method", pa.string(), "hash of how it was made; models that differ in seed share it"),
        _f("inputs", pa.string(), "hash of the bands that it reads and how they are scaled"),
        _f("content_id", pa.string(), "of the version it was scored on"),
        _f("split", pa.string(), "name of the split; null where all samples are meant"),
        _f("split_id", pa.string(), "content id of the split's table"),
        _f("subset", pa.string(), "which samples: train, validate, test, test:<name>"),
        _f("head", pa.string(), "which of the model's answers"),
        _f("task", pa.string(), "what that answer is, such as segmentation"),
        _f("metric", pa.string(), "what was measured, as in docs/reference/metrics.md"),
        _f("class", pa.string(), "class concerned; null for all"),
        _f("stratum", pa.string(), "dimension=value; null for all samples"),
        _f("value", pa.float64(), "the figure; null where it cannot be had, or of a smoke run"),
        _f("low", pa.float64(), "lower end of its 95 % interval"),
        _f("high", pa.float64(), "upper end of its 95 % interval"),
        _f("count", pa.int64(), "samples it rests on"),
        _f("seed", pa.int32(), "of the training run; null where it has none"),
        _f("smoke", pa.bool_(), "whether the model only shows that everything runs"),
        _f("details", pa.string(), "bands, scaling, resize, metric's definition, code: JSON text"),
        _f("created", _TIME, "when it was measured"),
    ]),
    key=("id",),
)
"""One row a figure of an evaluation."""


def samples_schema(properties: pa.StructType | None = None) -> TableSchema:
    """Return the schema of ``samples``, with the dataset's own typed properties.

    Args:
        properties: Names and types, such as ``eo:cloud_cover``; None if there are none.

    Examples:
        >>> samples_schema(pa.struct([("eo:cloud_cover", pa.float64())])).arrow.names[-1]
        'properties'
    """
    if properties is None or properties.num_fields == 0:
        return SAMPLES
    column = _f("properties", properties, "typed columns that the card declares")
    return SAMPLES.with_columns([column])


def splits_schema(name: str, properties: Iterable[tuple[str, str]] = ()) -> TableSchema:
    """Return the schema of one split.

    Args:
        name: The split's name, as in ``splits/<name>``.
        properties: How it was made: method, block size, buffer, seed.
    """
    return replace(SPLITS, name=f"splits/{name}", properties=tuple(properties))


def reports_schema(kind: str) -> TableSchema:
    """Return the schema of the findings of one kind, as in ``reports/<kind>``; bias has its own."""
    name = f"reports/{kind}"
    return MEASURES if name == MEASURES.name else replace(FINDINGS, name=name)


def features_schema(
    name: str, fields: Iterable[pa.Field], properties: Iterable[tuple[str, str]] = ()
) -> TableSchema:
    """Return the schema of one features table.

    Args:
        name: The recipe's name, as in ``features/<name>``.
        fields: The recipe's columns.
        properties: What made it, the recipe's hash among them.
    """
    made = replace(FEATURES, name=f"features/{name}", properties=tuple(properties))
    return made.with_columns(fields)


def declared(name: str) -> TableSchema | None:
    """Return the schema that the lab declares for a table of this name, or None.

    Examples:
        >>> declared("splits/default").key
        ('sample',)
        >>> declared("notes") is None
        True
    """
    fixed = (SAMPLES, ASSETS, PIXELS, ANNOTATIONS, MEASURES, SCORES, STATISTICS, ZONES)
    whole = {one.name: one for one in fixed}
    if name in whole:
        return whole[name]
    families = {"splits": SPLITS, "reports": FINDINGS, "features": FEATURES}
    family = families.get(name.split("/", maxsplit=1)[0]) if "/" in name else None
    return replace(family, name=name) if family else None
