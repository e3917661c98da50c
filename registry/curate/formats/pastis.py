"""PASTIS and PASTIS-R: crop parcels over a year of Sentinel-2, and of two orbits of Sentinel-1.

References:
    Garnot, Landrieu (2021), "Panoptic Segmentation of Satellite Image Time Series with
    Convolutional Temporal Attention Networks", ICCV, doi:10.1109/ICCV48922.2021.00483;
    Garnot, Landrieu, Chehata (2022), "Multi-Modal Temporal Attention Models for Crop Mapping from
    Satellite Time Series", ISPRS J. 187, 294-305 (the radar); their dataset's README for classes,
    bands and folds. Sentinel-2 is Theia's level 2A, stored as reflectance times 10,000.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from registry.catalog import AssetSpec
from registry.curate.formats.contract import (
    PLAN_SPLIT,
    AssetKind,
    Listing,
    Plan,
    Severity,
    SourceFinding,
    SourceOptions,
)
from registry.curate.formats.filenames import sample_ids
from registry.curate.formats.pastis_metadata import Patch, read_metadata
from registry.curate.formats.planning import PlanRows, ignored_files
from registry.curate.formats.splits import OFFICIAL
from registry.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CLASSES", "FURTHER", "Pastis"]

CLASSES: Final = (
    "Background", "Meadow", "Soft winter wheat", "Corn", "Winter barley", "Winter rapeseed",
    "Spring barley", "Sunflower", "Grapevine", "Beet", "Winter triticale", "Winter durum wheat",
    "Fruits, vegetables, flowers", "Potatoes", "Leguminous fodder", "Soybeans", "Orchard",
    "Mixed cereal", "Sorghum", "Void label",
)  # fmt: skip
"""Names of the values 0 to 19 of the semantic labels."""

FURTHER: Final = "semantic-further"
"""Asset of the further planes of the semantic labels, which the dataset does not describe."""

_SURE: Final = 0.97
_SUFFIXES: Final = (".h5", ".hdf5", ".npy")
_FOLDERED: Final = {
    "s2": ("s2.h5", "*"),
    "s1a": ("s1a.h5", "*"),
    "s1d": ("s1d.h5", "*"),
    "semantic": ("semantic.h5", "*[0]"),
    FURTHER: ("semantic.h5", "*[1:]"),
    "instance": ("instance.h5", "*"),
}
"""Asset to the file of a patch's folder and the layer of it."""

_OFFICIAL: Final = {
    "s2": ("DATA_S2", "S2_", "data"),
    "s1a": ("DATA_S1A", "S1A_", "data"),
    "s1d": ("DATA_S1D", "S1D_", "data"),
    "semantic": ("ANNOTATIONS", "TARGET_", "data[0]"),
    FURTHER: ("ANNOTATIONS", "TARGET_", "data[1:]"),
    "instance": ("INSTANCE_ANNOTATIONS", "INSTANCES_", "data"),
    "parcel": ("ANNOTATIONS", "ParcelIDs_", "data"),
}
"""Asset to its folder, the beginning of its files' names, and the layer of them."""

_RADAR: Final = ("VV", "VH", "VV/VH")
_SPECS: Final[Mapping[str, AssetSpec]] = MappingProxyType({
    "s2": AssetSpec(
        title="Sentinel-2 L2A, a time series",
        role="data",
        bands=("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12"),
        unit="reflectance",
        scale=1e-4,
        gsd=10,
    ),
    "s1a": AssetSpec(
        title="Sentinel-1 in ascending orbit", role="data", bands=_RADAR, unit="dB", gsd=10
    ),
    "s1d": AssetSpec(
        title="Sentinel-1 in descending orbit", role="data", bands=_RADAR, unit="dB", gsd=10
    ),
    "semantic": AssetSpec(
        title="Crop of each pixel", role="labels", gsd=10, values=dict(enumerate(CLASSES))
    ),
    FURTHER: AssetSpec(title="Further planes of the semantic labels", role="metadata", gsd=10),
    "instance": AssetSpec(title="Number of each pixel's parcel, 0 for none", role="labels", gsd=10),
    "parcel": AssetSpec(title="Identifier of each pixel's parcel", role="metadata", gsd=10),
})  # fmt: skip


class Pastis:
    """PASTIS-R, a folder of HDF5 files a patch, or PASTIS as its authors publish it, in NumPy.

    Known are ``<patch>/{s2,s1a,s1d,semantic,instance}.h5`` with ``metadata.json``, and
    ``DATA_S2/S2_<patch>.npy``, ``DATA_S1A``, ``DATA_S1D``, ``ANNOTATIONS/TARGET_<patch>.npy`` and
    ``INSTANCE_ANNOTATIONS`` with ``metadata.geojson``. Patches lie where the metadata say: at a
    point, where they state no extent.
    """

    name = "pastis"

    def recognises(self, listing: Listing) -> float:
        """Return how sure it is: the share of arrays that are named as PASTIS names them."""
        arrays = sum(path.endswith(_SUFFIXES) for path in listing.files)
        patches = _patches(listing) if arrays else {}
        labelled = [files for files in patches.values() if "s2" in files and len(files) > 1]
        named = len({path for files in labelled for path in files.values()})
        return _SURE * named / arrays if arrays else 0.0

    def plan(self, listing: Listing, options: SourceOptions) -> Plan:
        """Return one sample a patch.

        Returns:
            The plan: assets ``s2``, ``s1a``, ``s1d``, ``semantic``, ``instance`` as far as they
            are there, times from the metadata, and folds or subsets as the split ``official``.

        Raises:
            RejectedError: There is no patch.
        """
        patches = _patches(listing)
        if not patches:
            raise RejectedError(
                f"{listing.name!r} has no patch of PASTIS",
                hint="give folders with s2.h5 and semantic.h5, or DATA_S2 and ANNOTATIONS",
            )
        rows = PlanRows()
        ids = sample_ids(patches)
        metadata = read_metadata(listing, rows)
        for key, files in patches.items():
            said = metadata.patches.get(PurePosixPath(key).name)
            _add(rows, ids[key], files, said)
        _check_metadata(rows, metadata.patches, patches)
        _check_complete(rows, ids, patches)
        used = {*metadata.files, *(path for files in patches.values() for path in files.values())}
        rows.findings += ignored_files(listing, used)
        classes = options.classes or CLASSES
        plan = rows.plan(
            task=options.task or "segmentation", classes=classes, specs=_specs(rows, classes)
        )
        return replace(plan, splits=_splits(ids, metadata.patches))


def _patches(listing: Listing) -> dict[str, dict[str, str]]:
    """Return the file of each asset of each patch."""
    names = {file: asset for asset, (file, _) in _FOLDERED.items() if asset != FURTHER}
    prefixes = {
        (folder, prefix): asset
        for asset, (folder, prefix, _) in _OFFICIAL.items()
        if asset != FURTHER
    }
    patches: dict[str, dict[str, str]] = {}
    for path in listing.files:
        if not path.endswith(_SUFFIXES):  # before anything slower, of a million files
            continue
        place = PurePosixPath(path)
        if place.name in names:
            patches.setdefault(str(place.parent), {})[names[place.name]] = path
        elif place.suffix == ".npy":
            prefix, mark, patch = place.stem.partition("_")
            asset = prefixes.get((place.parent.name, prefix + mark))
            if asset is not None:
                key = str(place.parent.parent / patch)
                patches.setdefault(key, {})[asset] = path
    return patches


def _add(rows: PlanRows, sample: str, files: Mapping[str, str], said: Patch | None) -> None:
    said = said or Patch()
    rows.samples.append({
        "id": sample,
        "geometry": said.geometry,
        "href": str(PurePosixPath(next(iter(files.values()))).parent),
        "properties": dict(said.properties) or None,
        **(said.span.columns() if said.span else {}),
    })
    for asset in _OFFICIAL:
        path = files.get("semantic" if asset == FURTHER else asset)
        if path is None:
            continue
        layer = _OFFICIAL[asset][2] if path.endswith(".npy") else _FOLDERED[asset][1]
        rows.assets.append({
            "sample": sample,
            "asset": asset,
            "kind": AssetKind.RASTER.value,
            "file": f"{path}/{layer}",
            "times": list(said.dates.get(asset, ())) or None,
        })


def _specs(rows: PlanRows, classes: tuple[str, ...]) -> dict[str, AssetSpec]:
    there = {str(row["asset"]) for row in rows.assets}
    specs = {asset: spec for asset, spec in _SPECS.items() if asset in there}
    if "semantic" in specs:
        specs["semantic"] = replace(specs["semantic"], values=dict(enumerate(classes)))
    return specs


def _check_metadata(
    rows: PlanRows, said: Mapping[str, Patch], patches: Mapping[str, Mapping[str, str]]
) -> None:
    names = {PurePosixPath(key).name for key in patches}
    if lacking := sorted(names - said.keys()):
        rows.warn(
            "missing-metadata",
            f"the metadata say nothing of {len(lacking):,} patches, such as {lacking[0]!r}",
            fix="add them to metadata.json or metadata.geojson, with dates and place",
            patches=lacking[:5],
        )
    if absent := sorted(said.keys() - names):
        rows.warn(
            "missing-files",
            f"the metadata speak of {len(absent):,} patches without files, such as {absent[0]!r}",
            fix="fetch the files again, or give the metadata of these patches alone",
            patches=absent[:5],
        )
    if points := sum(each.is_point for name, each in said.items() if name in names):
        rows.findings.append(
            SourceFinding(
                check="approximate-place",
                severity=Severity.INFO,
                message=f"{points:,} patches lie at a point, because nothing states their extent",
                fix="nothing, unless outlines can be had: metadata.geojson of PASTIS has them",
            )
        )


def _check_complete(
    rows: PlanRows, ids: Mapping[str, str], patches: Mapping[str, Mapping[str, str]]
) -> None:
    counts = Counter(asset for files in patches.values() for asset in files)
    for key, files in patches.items():
        for asset in sorted(counts.keys() - files.keys()):
            rows.warn(
                "missing-pair",
                f"patch {PurePosixPath(key).name!r} has no {asset}, though others have one",
                fix="fetch the file again, or leave the patch out",
                sample=ids[key],
                asset=asset,
            )


def _splits(ids: Mapping[str, str], said: Mapping[str, Patch]) -> dict[str, pa.Table]:
    known = ((ids[key], said.get(PurePosixPath(key).name)) for key in ids)
    rows: Iterable[dict[str, object]] = [
        {"sample": sample, "subset": patch.subset, "fold": patch.fold}
        for sample, patch in known
        if patch is not None and (patch.subset is not None or patch.fold is not None)
    ]
    return {OFFICIAL: pa.Table.from_pylist(list(rows), schema=PLAN_SPLIT)} if rows else {}
