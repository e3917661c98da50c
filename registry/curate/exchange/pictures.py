"""Where samples are: the system of their annotations, and the picture that a labelling tool shows.

Pictures are named as ``eolab checkout --as coco`` names them, so that both fit together.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.checkout.places import Places, folders_of, primary_asset

if TYPE_CHECKING:
    from registry.tables.log import Root

__all__ = ["Picture", "Pictures", "System", "systems_of"]

_PLANES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """The system that a sample's annotations are in."""

    crs: str
    """``EPSG:n``, ``OGC:CRS84`` or WKT2."""

    transform: tuple[float, ...]
    """Affine a, b, c, d, e, f from (column, row) to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image as a labelling tool lists it."""

    sample: str
    """The sample's id."""

    name: str
    """Path of its file among others."""

    width: int
    """Columns."""

    height: int
    """Rows."""

    transform: tuple[float, ...] | None
    """Affine from (column, row) to its CRS; None if it has none."""

    captured: str | None = None
    """ISO 8601 instant, if known."""

    licence: str | None = None
    """Of this image, if known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """The picture of each sample that has one."""

    by_sample: Mapping[str, Picture]
    """In the order in which they are numbered, from 1."""

    def sample_of(self, name: str) -> str | None:
        """Return the sample whose picture has a name, with another suffix or folder if need be."""
        names = {one.name: one.sample for one in self.by_sample.values()}
        if name in names:
            return names[name]
        stems: dict[str, set[str]] = defaultdict(set)
        for known, sample in names.items():
            stems[_stem(known)].add(sample)
        same = stems.get(_stem(name), set())
        return next(iter(same)) if len(same) == 1 else None

    @classmethod
    def of(cls, root: "Root") -> "Pictures":
        """Return the pictures of a dataset.

        Args:
            root: Its folder.
        """
        samples = {row["id"]: row for row in _rows(root, "samples", _SAMPLE_COLUMNS)}
        assets = _rows(root, "assets", _ASSET_COLUMNS)
        codecs = {row["sha256"]: row["codec"] for row in _rows(root, "pixels", _PIXEL_COLUMNS)}
        folders = dict.fromkeys(folders_of(row["asset"] for row in assets), "images")
        places = Places(folders=folders, by_class=False)
        firsts = _firsts(assets, samples)
        found = {}
        for row in assets:
            sample, shape = row["sample"], row["shape"]
            if firsts[sample] is not row or not shape or len(shape) < 2:  # noqa: PLR2004 — rows, columns
                continue
            known = samples.get(sample, {})
            moment = known.get("datetime")
            found[sample] = Picture(
                sample=sample,
                name=_name(row, places, codecs, known.get("label")),
                width=shape[-1],
                height=shape[-2],
                transform=tuple(row["transform"]) if row["transform"] else None,
                captured=moment.isoformat() if moment else None,
                licence=(known.get("source") or {}).get("licence"),
            )
        return cls(by_sample=found)


_SAMPLE_COLUMNS: Final = ("id", "label", "datetime", "source")
_ASSET_COLUMNS: Final = ("sample", "asset", "pixels", "href", "shape", "crs", "transform")
_PIXEL_COLUMNS: Final = ("sha256", "codec")


def systems_of(root: "Root", samples: Iterable[str | None]) -> dict[str, System]:
    """Return the system of samples' annotations: that of a sample's first asset with a place.

    Args:
        root: The dataset's folder.
        samples: Their ids; those that are not there are passed over.
    """
    found: dict[str, System] = {}
    asked = pa.array({sample for sample in samples if sample}, pa.string())
    wanted = pc.field("sample").isin(asked)
    for row in _rows(root, "assets", ("sample", "crs", "transform"), wanted) if len(asked) else ():
        if row["crs"] and row["transform"] and row["sample"] not in found:
            found[row["sample"]] = System(crs=row["crs"], transform=tuple(row["transform"]))
    return found


def _rows(
    root: "Root", table: str, columns: tuple[str, ...], wanted: pc.Expression | None = None
) -> list[dict[str, Any]]:
    from registry.tables import store

    if not store.exists(root, table):
        return []
    there = set(store.schema_of(root, table).arrow.names)
    names = [name for name in columns if name in there]
    rows: list[dict[str, Any]] = store.read(root, table, columns=names, filter=wanted).to_pylist()
    return rows


def _firsts(
    assets: list[dict[str, Any]], samples: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    grouped: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in assets:
        grouped[row["sample"]][row["asset"]] = row
    firsts = {}
    for sample, rows in grouped.items():
        held = {name: row for name, row in rows.items() if row["pixels"] is not None} or rows
        href = (samples.get(sample, {}).get("source") or {}).get("href")
        firsts[sample] = held[primary_asset(held, href) or next(iter(held))]
    return firsts


def _name(
    row: Mapping[str, Any], places: Places, codecs: Mapping[bytes, str], labels: list[str] | None
) -> str:
    if row["pixels"] is None:
        return str(row["href"] or row["sample"])
    name = places.of(row["sample"], row["asset"], labels).removeprefix("images/")
    if codecs.get(row["pixels"]) == "jpeg":
        return f"{name}.jpg"
    return f"{name}.tif" if len(row["shape"]) == _PLANES else f"{name}/0000.tif"


def _stem(name: str) -> str:
    last = name.replace("\\", "/").rpartition("/")[2]
    return last.rpartition(".")[0] or last
