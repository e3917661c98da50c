"""What a foreign format's reader promises, and what it is given.

A reader turns a *listing* (the files of a folder or archive, by name) and the user's *options*
into a *plan*: which samples there will be, which file holds which asset, and what sidecars say.
It reads sidecars, never rasters: those are opened later in a limited child process.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, BinaryIO, Protocol

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from registry.catalog import AssetSpec
    from registry.geo import Interval

__all__ = [
    "CRS84",
    "PIXEL_FRAME",
    "PLAN_ANNOTATIONS",
    "PLAN_ASSETS",
    "PLAN_SAMPLES",
    "PLAN_SPLIT",
    "AssetKind",
    "Listing",
    "Plan",
    "Severity",
    "SourceFile",
    "SourceFinding",
    "SourceFormat",
    "SourceOptions",
]

CRS84 = "OGC:CRS84"
"""Longitude and latitude in degrees on WGS 84, in this order."""

PIXEL_FRAME = "pixel"
"""In ``PLAN_ANNOTATIONS.crs``: coordinates are (column, row) from the upper left corner."""


class AssetKind(StrEnum):
    """How the engine gets at an asset."""

    RASTER = "raster"
    """A file of the listing that the limited child opens; JPEG keeps its encoded bytes."""

    REFERENCE = "reference"
    """An address outside; nothing is opened or downloaded."""


class Severity(StrEnum):
    """How much a finding matters, as in ``reports/``."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_TIME = pa.timestamp("us", "UTC")

PLAN_SAMPLES = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    ("geometry", pa.binary()),  # WKB in OGC:CRS84; null: taken from the rasters
    ("datetime", _TIME),
    ("start_datetime", _TIME),
    ("end_datetime", _TIME),
    ("label", pa.list_(pa.string())),
    ("target", pa.float64()),
    ("group", pa.string()),
    ("href", pa.string()),  # null: the path of the sample's first asset
    ("checksum", pa.string()),
    ("licence", pa.string()),  # null: the option, then the card
    ("provider", pa.string()),
    ("collection", pa.string()),
    ("item", pa.string()),
    # and, if the source has further typed fields, ("properties", pa.struct([...]))
])
"""Columns of ``Plan.samples``; any but ``id`` may be left out, which means null."""

PLAN_ASSETS = pa.schema([
    pa.field("sample", pa.string(), nullable=False),
    pa.field("asset", pa.string(), nullable=False),
    pa.field("kind", pa.string(), nullable=False),  # an AssetKind
    ("file", pa.string()),  # path in the listing, perhaps with a layer; null by reference
    ("stack", pa.list_(pa.string())),  # further files, whose bands follow on the same grid
    ("href", pa.string()),  # address; null for files of the listing
    ("checksum", pa.string()),
    ("size", pa.int64()),
    # What a source states of an asset by reference. Rasters say it themselves: where the source
    # states another shape, CRS or transform, that is a finding. Its nodata is taken where they say
    # none.
    ("shape", pa.list_(pa.int32())),
    ("dtype", pa.string()),
    ("crs", pa.string()),
    ("transform", pa.list_(pa.float64())),
    ("times", pa.list_(_TIME)),
    ("nodata", pa.float64()),
])
"""Columns of ``Plan.assets``; any but the first three may be left out, which means null.

A layer is one array of a file that holds several: ``s2.h5/data``; see
:mod:`registry.curate.formats.layers`. A plan's ``times`` count more than a raster's own.

The first asset of a sample (in the table's order) that has a CRS gives the sample's CRS and,
where the plan gives no geometry, its footprint.
"""

PLAN_ANNOTATIONS = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    pa.field("sample", pa.string(), nullable=False),
    ("geometry", pa.binary()),  # WKB in ``crs``
    ("crs", pa.string()),  # CRS84, EPSG:n, PIXEL_FRAME; null: the sample's own CRS
    ("category", pa.string()),
    ("attributes", pa.string()),  # JSON text
    ("score", pa.float64()),
    ("method", pa.string()),
    ("annotator", pa.string()),
    ("created", _TIME),
    ("status", pa.string()),
    ("area", pa.float64()),
    ("iscrowd", pa.bool_()),
    ("isbox", pa.bool_()),
    ("rle", pa.string()),
])
"""Columns of ``Plan.annotations``; as in ``annotations/`` but for ``crs``.

The engine brings geometries to the sample's CRS, or leaves them in pixels where it has none, and
fills ``frame``. Columns that ``annotations/`` does not have are dropped.
"""

PLAN_SPLIT = pa.schema([
    pa.field("sample", pa.string(), nullable=False),
    ("subset", pa.string()),  # train, validate, test or test:<name>
    ("fold", pa.int32()),  # of a cross-validation, from 0
])
"""Columns of each table of ``Plan.splits``; any but ``sample`` may be left out, meaning null."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of a source."""

    path: str
    """Relative, with forward slashes, checked: no ``..``, no control characters, UTF-8."""

    size: int
    """Bytes it has, unpacked."""

    stamp: str
    """Changes when the content does: size with CRC-32 in an archive, with the time in a folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFinding:
    """Something a source or one of its files has wrong; becomes a row of ``reports/ingest``."""

    check: str
    """What was looked at, kebab-case: ``missing-pair``, ``unreadable``, ``lfs-pointer``, …"""

    severity: Severity
    """An error is a file or sample that is left out; a warning is kept as it is."""

    message: str
    """What is wrong, with the value."""

    fix: str
    """What would mend it."""

    sample: str | None = None
    """Id of the sample concerned."""

    asset: str | None = None
    """Name of the asset concerned."""

    evidence: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """What proves it: JSON values; ``file`` names the file, where it is one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """What the user says about a source that its files may not."""

    format: str | None = None
    """Name of the format, where it should not be guessed."""

    task: str | None = None
    """``classification``, ``detection``, ``segmentation``, ``regression``, …"""

    classes: tuple[str, ...] = ()
    """Class names in their order; empty: as found."""

    licence: str | None = None
    """SPDX identifier or the provider's own words."""

    provider: str | None = None
    """Who made the data."""

    time: "Interval | None" = None
    """When it was acquired, for samples that do not say."""

    crs: str | None = None
    """CRS of rasters that carry none, such as ``EPSG:32633``."""

    bands: tuple[str, ...] = ()
    """Names of the bands of rasters that carry none, in their order."""

    name_pattern: str | None = None
    """How paths are named, such as ``{group}_%Y%m%d``: a regular expression with parts by name;
    see :meth:`registry.curate.formats.filenames.NamePattern.parse`."""

    @classmethod
    def of(  # noqa: PLR0913 — one argument an option of the command line
        cls,
        *,
        format: str | None = None,  # noqa: A002 — the user's own word
        task: str | None = None,
        classes: "Sequence[str]" = (),
        licence: str | None = None,
        provider: str | None = None,
        time: str | None = None,
        crs: str | None = None,
        bands: "str | Sequence[str] | None" = None,
        name_pattern: str | None = None,
    ) -> "SourceOptions":
        """Return options from the words of a command line or a form.

        Args:
            format: As the attribute.
            task: As the attribute.
            classes: As the attribute.
            licence: As the attribute.
            provider: As the attribute.
            time: ``START/END``, each as coarse as it is known: ``2015/2017``.
            crs: As the attribute.
            bands: Names, or one text with commas between.
            name_pattern: As the attribute.

        Raises:
            InvalidInputError: The time is none.

        Examples:
            >>> SourceOptions.of(bands="B2,B3,B4").bands
            ('B2', 'B3', 'B4')
        """
        from registry.geo import parse_interval  # late, because nothing else here needs it

        names = bands.split(",") if isinstance(bands, str) else (bands or ())
        return cls(
            format=format,
            task=task,
            classes=tuple(classes),
            licence=licence,
            provider=provider,
            time=None if time is None else parse_interval(time),
            crs=crs,
            bands=tuple(name.strip() for name in names),
            name_pattern=name_pattern,
        )


class Listing(Protocol):
    """The files of a folder or an archive, by names that have been checked; nothing is unpacked."""

    name: str
    """The folder's or archive's own name without suffix, such as ``EuroSAT``."""

    files: Mapping[str, SourceFile]
    """Every regular file by its path, sorted by path."""

    def read(self, path: str, *, limit: int = 64 << 20) -> bytes:
        """Return a file's bytes, for sidecars and tables.

        Args:
            path: A key of ``files``.
            limit: Bytes it may have at most.

        Raises:
            NotFoundError: There is no such file.
            RejectedError: It is larger, or the archive is damaged there.
        """
        ...

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading in one go; seekable only in a folder."""
        ...

    def local_path(self, path: str) -> "Path | None":
        """Return where the file lies on disk; None inside an archive."""
        ...

    def glob(self, pattern: str) -> Iterator[SourceFile]:
        """Yield the files whose path matches a shell pattern (``*`` crosses slashes), sorted."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What will be made of a source."""

    task: str | None
    """The task the labels are for; None where nothing says it."""

    classes: tuple[str, ...]
    """Class names in the source's own order, else sorted; empty where there are none."""

    samples: pa.Table
    """One row a sample, unique ``id``: columns of ``PLAN_SAMPLES``."""

    assets: pa.Table
    """One row a (sample, asset): columns of ``PLAN_ASSETS``."""

    annotations: pa.Table = field(default_factory=PLAN_ANNOTATIONS.empty_table)
    """One row an annotation, unique ``id``: columns of ``PLAN_ANNOTATIONS``."""

    splits: Mapping[str, pa.Table] = field(default_factory=lambda: MappingProxyType({}))
    """The source's own splits by name, as in ``splits/<name>``: one row a sample that is in it,
    columns of ``PLAN_SPLIT``. Folders called ``train``, ``val``, ``test`` need not be said."""

    specs: Mapping[str, "AssetSpec"] = field(default_factory=lambda: MappingProxyType({}))
    """What the source says of its assets (bands, unit, scale, …); rasters fill what is missing."""

    findings: tuple[SourceFinding, ...] = ()
    """What was wrong with names, pairs and sidecars."""

    card: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    """What the source says about itself, by the Spec's own keys: ``title``, ``licence``, …"""


class SourceFormat(Protocol):
    """A foreign format's reader."""

    name: str
    """Kebab-case, as the user says it: ``image-folder``, ``geotiff-sidecar``, ``coco``, …"""

    def recognises(self, listing: Listing) -> float:
        """Return how sure it is, from names alone, that the listing is of its format: 0 to 1."""
        ...

    def plan(self, listing: Listing, options: SourceOptions) -> Plan:
        """Return what to make of the listing.

        Raises:
            RejectedError: The source has nothing of this format, or breaks it as a whole.
        """
        ...
