"""A plan under construction: rows in, checked tables out; and the files that readers share."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from registry.curate.formats.acquired import Acquired
from registry.curate.formats.contract import (
    PLAN_ANNOTATIONS,
    PLAN_ASSETS,
    PLAN_SAMPLES,
    AssetKind,
    Listing,
    Plan,
    Severity,
    SourceFinding,
)
from registry.curate.formats.filenames import NameParts, NamePattern, time_from_name
from registry.curate.formats.properties import PropertyTypes

if TYPE_CHECKING:
    from registry.catalog import AssetSpec
    from registry.curate.formats.contract import SourceOptions

__all__ = [
    "RASTER_SUFFIXES",
    "TIFF_SUFFIXES",
    "PlanRows",
    "ignored_files",
    "keys_of",
    "name_times",
    "pattern_of",
    "rasters",
    "suffix",
]

TIFF_SUFFIXES: Final = frozenset({".tif", ".tiff"})
RASTER_SUFFIXES: Final = TIFF_SUFFIXES | {".jpg", ".jpeg", ".png", ".jp2"}
_NOT_DATA: Final = frozenset({
    ".md", ".txt", ".rst", ".pdf", ".html", ".xml", ".py", ".ipynb", ".sh", ".cff", ".lock", "",
})  # fmt: skip
_DATA: Final = RASTER_SUFFIXES | {
    ".7z", ".geoparquet", ".gpkg", ".grib", ".grb", ".gz", ".h5", ".hdf", ".hdf5", ".he5", ".nc",
    ".npy", ".npz", ".parquet", ".rar", ".shp", ".tar", ".tgz", ".tortilla", ".zip",
}  # fmt: skip
_LABELS: Final = frozenset({".txt", ".xml"})
_NAMES_SHOWN: Final = 5


def suffix(path: str) -> str:
    """Return a path's last suffix in lower case, with its dot.

    Examples:
        >>> suffix("masks.d/A.mask.TIF"), suffix("masks.d/A"), suffix(".hidden"), suffix("a.")
        ('.tif', '', '', '')
    """
    name = path[path.rfind("/") + 1 :]
    dot = name.rfind(".")
    return name[dot:].lower() if 0 < dot < len(name) - 1 else ""


def rasters(listing: Listing, suffixes: Iterable[str] = RASTER_SUFFIXES) -> list[str]:
    """Return the paths of a listing's images, sorted."""
    wanted = frozenset(suffixes)
    return [path for path in listing.files if suffix(path) in wanted]


def keys_of(paths: Sequence[str]) -> dict[str, str]:
    """Return what tells each file's sample apart: the path without suffix, or with it at need."""
    bare = {path: str(PurePosixPath(path).with_suffix("")) for path in paths}
    taken = Counter(bare.values())
    return {path: key if taken[key] == 1 else path for path, key in bare.items()}


def name_times(path: str, pattern: NamePattern | None) -> tuple[NameParts, Acquired | None]:
    """Return what the user's pattern reads in a path, and the time that the names say.

    The nearest name that has a time wins: the file's before its folder's.
    """
    parts = (pattern.match(path) if pattern else None) or NameParts()
    if parts.time is not None:
        return parts, parts.time
    for name in reversed(PurePosixPath(path).parts):
        if (time := time_from_name(name)) is not None:
            return parts, time
    return parts, None


def pattern_of(options: "SourceOptions") -> NamePattern | None:
    """Return the user's name pattern, parsed; None if none was given."""
    return NamePattern.parse(options.name_pattern) if options.name_pattern else None


def ignored_files(listing: Listing, used: Iterable[str]) -> tuple[SourceFinding, ...]:
    """Return findings on the files that a plan leaves out; none if it leaves out none.

    They are warnings where whole arrays, layers or archives are among them, or files that are
    named like images and so will be their labels; else a note.
    """
    used = set(used)
    return (*_unread_labels(listing, used), *_ignored(listing, used))


def _unread_labels(listing: Listing, used: AbstractSet[str]) -> tuple[SourceFinding, ...]:
    labels = [path for path in listing.files if suffix(path) in _LABELS and path not in used]
    if not labels:
        return ()
    images = {PurePosixPath(path).stem for path in used if suffix(path) in RASTER_SUFFIXES}
    left = [path for path in labels if PurePosixPath(path).stem in images]
    if not left:
        return ()
    return (
        SourceFinding(
            check="unread-labels",
            severity=Severity.WARNING,
            message=f"files named like images but not read: {len(left)}, such as {left[0]!r}",
            fix="if they are labels (VOC, YOLO), bring them into COCO or GeoJSON",
            evidence={"files": left[:_NAMES_SHOWN]},
        ),
    )


def _ignored(listing: Listing, used: AbstractSet[str]) -> tuple[SourceFinding, ...]:
    left = [path for path in listing.files if path not in used and suffix(path) not in _NOT_DATA]
    if not left:
        return ()
    kinds = Counter(suffix(path) for path in left)
    data = [kind for kind, _ in kinds.most_common() if kind in _DATA]
    other = "name another --format if they should be"
    return (
        SourceFinding(
            check="ignored-files",
            severity=Severity.WARNING if data else Severity.INFO,
            message=f"files that are no part of the dataset: {len(left)}, such as {left[0]!r}",
            fix=f"{other}, or bring {', '.join(data)} into a form that it reads" if data else other,
            evidence={"files": left[:_NAMES_SHOWN], "suffixes": dict(kinds.most_common())},
        ),
    )


@dataclass(slots=True)
class PlanRows:
    """Rows of a plan while a reader collects them."""

    samples: list[dict[str, object]] = field(default_factory=list)
    """Columns of ``PLAN_SAMPLES``; ``properties`` is a mapping."""

    assets: list[dict[str, object]] = field(default_factory=list)
    """Columns of ``PLAN_ASSETS``."""

    annotations: list[dict[str, object]] = field(default_factory=list)
    """Columns of ``PLAN_ANNOTATIONS``."""

    findings: list[SourceFinding] = field(default_factory=list)
    """What was wrong."""

    timed_by_name: list[str] = field(default_factory=list)
    """Samples whose time only a name says."""

    def raster(self, sample: str, asset: str, path: str) -> None:
        """Add a file of the listing as an asset of a sample."""
        self.assets.append({
            "sample": sample, "asset": asset, "kind": AssetKind.RASTER.value, "file": path,
        })  # fmt: skip

    def warn(self, check: str, message: str, *, fix: str, **where: object) -> None:
        """Add a finding about something that is kept as it is.

        Args:
            check: What was looked at, kebab-case.
            message: What is wrong, with the value.
            fix: What would mend it.
            **where: ``sample`` and ``asset``; anything else is evidence.
        """
        sample, asset = where.pop("sample", None), where.pop("asset", None)
        self.findings.append(
            SourceFinding(
                check=check,
                severity=Severity.WARNING,
                message=message,
                fix=fix,
                sample=None if sample is None else str(sample),
                asset=None if asset is None else str(asset),
                evidence=where,
            )
        )

    def plan(
        self,
        *,
        task: str | None,
        classes: Sequence[str] = (),
        card: Mapping[str, object] | None = None,
        specs: "Mapping[str, AssetSpec] | None" = None,
    ) -> Plan:
        """Return the finished plan.

        Args:
            task: What the labels are for.
            classes: Class names in their order.
            card: What the source says about itself.
            specs: What it says about its assets.

        Returns:
            The plan, its tables in the order in which rows were added.
        """
        return Plan(
            task=task,
            classes=tuple(classes),
            samples=_samples_table(self.samples),
            assets=_table(self.assets, PLAN_ASSETS),
            annotations=_table(self.annotations, PLAN_ANNOTATIONS),
            specs=specs or {},
            findings=(*self.findings, *self._names_as_clocks()),
            card=card or {},
        )

    def _names_as_clocks(self) -> tuple[SourceFinding, ...]:
        if not self.timed_by_name:
            return ()
        return (
            SourceFinding(
                check="time-from-name",
                severity=Severity.INFO,
                message=f"times that only file names say: of {len(self.timed_by_name)} samples",
                fix="see that the names say when the data were acquired, not something else",
                evidence={"samples": self.timed_by_name[:_NAMES_SHOWN]},
            ),
        )


def _table(rows: list[dict[str, object]], schema: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema)


def _samples_table(rows: list[dict[str, object]]) -> pa.Table:
    types = PropertyTypes()
    for row in rows:
        types.see(_record(row))
    columns = types.struct()
    if columns is None:
        return _table(rows, PLAN_SAMPLES)
    rows = [row | {"properties": types.typed(_record(row))} for row in rows]
    return _table(rows, PLAN_SAMPLES.append(pa.field("properties", columns)))


def _record(row: Mapping[str, object]) -> Mapping[str, object]:
    said = row.get("properties")
    return said if isinstance(said, Mapping) else {}
