"""WorldCereal's training data: seasons of several sensors in netCDF, with labels a pixel.

References:
    Van Tricht et al. (2023), "WorldCereal: a dynamic open-source system for global-scale, seasonal,
    and reproducible crop and irrigation mapping", ESSD 15, doi:10.5194/essd-15-5491-2023; names of
    files, and numbers of the monthly cubes, which say none of it, as in its
    ``worldcereal-classification`` and ``openeo-gfmap`` packages: 65535 where nothing was observed,
    decibels of backscatter as 20 log10(n) - 83, hundredths of kelvin and of millimetres.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

from registry.catalog import AssetSpec
from registry.curate.formats.acquired import Acquired, acquired_in
from registry.curate.formats.contract import AssetKind, Listing, Plan, SourceOptions
from registry.curate.formats.filenames import escape_id, sample_ids
from registry.curate.formats.layers import split_layer
from registry.curate.formats.planning import PlanRows, ignored_files, keys_of
from registry.curate.formats.worldcereal_legend import CROP_TYPE, IRRIGATION, LAND_COVER, SCENE
from registry.errors import RejectedError

__all__ = ["WorldCereal"]

_SURE: Final = 0.97
_NAME: Final = re.compile(
    r"(?P<sensor>[A-Za-z0-9]+)_(?P<product>[A-Za-z0-9-]+)_(?P<gsd>\d{1,6})m_(?P<id>[A-Za-z0-9-]+)"
    r"_(?P<epsg>\d{4,5})_(?P<start>\d{4}-\d{2}-\d{2})_(?P<end>\d{4}-\d{2}-\d{2})\.nc"
)
_CUBE: Final = re.compile(r"worldcereal_.*\.nc", re.IGNORECASE)
_LAYERS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = MappingProxyType({
    "S2_L2A_10m": (("s2-10m", "B*"),),
    "S2_L2A_20m": (("s2-20m", "B*"), ("scl", "SCL"), ("s2-angles", "sun*,view*")),
    "L8_SR_10m": (("l8-sr", "B*,!B10,!B11"), ("l8-tir", "B10,B11"), ("l8-qa", "pixel_qa")),
    "L8_L2-ST_10m": (("l8-st", "ST-*"), ("l8-st-qa", "QA*")),
    "S1_GRD-ASCENDING_20m": (("s1-ascending", "V*"),),
    "S1_GRD-DESCENDING_20m": (("s1-descending", "V*"),),
    "OUTPUT": (("lc", "LC"), ("ct", "CT"), ("irr", "IRR")),
    "AgERA5_DAILY_1000m": (("agera5", "*"),),
    "CropCalendar_AEZ_50000m": (("crop-calendar", "*"),),
})
"""Arrays of each kind of file: asset and layer. The first that is there gives the footprint."""

_BANDS: Final = {
    "s2": "B*,S2-*",
    "s1": "V*,S1-*",
    "temperature": "temperature_mean,AGERA5-TMEAN",
    "precipitation": "precipitation_flux,AGERA5-PRECIP",
    "elevation": "elevation,DEM",
    "slope": "slope",
}
_OTHER: Final = ",".join([
    "*",
    *(f"!{name}" for names in _BANDS.values() for name in names.split(",")),
])
_CUBES: Final = (*_BANDS.items(), ("other", _OTHER))
"""Arrays of a cube that openEO made."""

_CUBE_NODATA: Final = 65_535.0

_SPECS: Final[Mapping[str, AssetSpec]] = MappingProxyType({
    "s2-10m": AssetSpec(title="Sentinel-2 L2A, 10 m", role="data", unit="reflectance", gsd=10),
    "s2-20m": AssetSpec(title="Sentinel-2 L2A, 20 m", role="data", unit="reflectance", gsd=20),
    "scl": AssetSpec(
        title="Sentinel-2 scene classification", role="metadata", gsd=20, values=SCENE
    ),
    "s2-angles": AssetSpec(title="Angles of sun and view", role="metadata", unit="degree"),
    "l8-sr": AssetSpec(title="Landsat 8 surface reflectance", role="data", unit="reflectance"),
    "l8-tir": AssetSpec(title="Landsat 8 brightness temperature", role="data", unit="K"),
    "l8-qa": AssetSpec(title="Landsat 8 pixel quality", role="metadata"),
    "l8-st": AssetSpec(title="Landsat 8 surface temperature", role="data"),
    "l8-st-qa": AssetSpec(title="Landsat 8 pixel quality, temperature", role="metadata"),
    "s1-ascending": AssetSpec(
        title="Sentinel-1 in ascending orbit", role="data", unit="dB", gsd=20
    ),
    "s1-descending": AssetSpec(
        title="Sentinel-1 in descending orbit", role="data", unit="dB", gsd=20
    ),
    "lc": AssetSpec(title="Land cover", role="labels", gsd=10, values=LAND_COVER),
    "ct": AssetSpec(title="Crop type", role="labels", gsd=10, values=CROP_TYPE),
    "irr": AssetSpec(title="Irrigation", role="labels", gsd=10, values=IRRIGATION),
    "agera5": AssetSpec(title="AgERA5 weather of each day", role="data"),
    "crop-calendar": AssetSpec(title="Days of the year of the seasons", role="metadata"),
    "s2": AssetSpec(title="Sentinel-2 L2A, monthly", role="data", unit="reflectance", scale=1e-4),
    "s1": AssetSpec(
        title="Sentinel-1, monthly", role="data", unit="amplitude", scale=10 ** (-83 / 20)
    ),
    "temperature": AssetSpec(
        title="AgERA5 mean temperature, monthly", role="data", unit="K", scale=0.01
    ),
    "precipitation": AssetSpec(
        title="AgERA5 precipitation, monthly", role="data", unit="mm", scale=0.01
    ),
    "elevation": AssetSpec(title="Elevation", role="data", unit="m"),
    "slope": AssetSpec(title="Slope of the ground", role="data"),
    "other": AssetSpec(title="Other arrays of the cube", role="data"),
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What a file's name says."""

    path: str
    kind: str
    place: str
    start: str
    end: str

    @property
    def layers(self) -> tuple[tuple[str, str], ...]:
        if self.kind.startswith("OUTPUT_"):
            return _LAYERS["OUTPUT"]
        return _LAYERS.get(self.kind, ((escape_id(self.kind.lower()), "*"),))


class WorldCereal:
    """A folder a sample, with a netCDF file for each sensor and resolution, and one of labels.

    Names are ``<SENSOR>_<PRODUCT>_<RES>m_<id>_<epsg>_<start>_<end>.nc``; labels ``LC``, ``CT`` and
    ``IRR`` are in ``OUTPUT_*.nc``. Monthly cubes as openEO makes them for WorldCereal,
    ``worldcereal_*.nc``, are a sample each.
    """

    name = "worldcereal"

    def recognises(self, listing: Listing) -> float:
        """Return how sure it is: the share of netCDF files that are named as WorldCereal's."""
        names = [PurePosixPath(path).name for path in listing.files if path.endswith(".nc")]
        known = sum(bool(_NAME.fullmatch(name) or _CUBE.fullmatch(name)) for name in names)
        return _SURE * known / len(names) if names else 0.0

    def plan(self, listing: Listing, options: SourceOptions) -> Plan:
        """Return one sample a place and season, and one a cube.

        Returns:
            The plan: an asset for each sensor and resolution, ``lc``, ``ct`` and ``irr``; times
            and places are in the files.

        Raises:
            RejectedError: There is no file of WorldCereal's.
        """
        seasons, cubes = _found(listing)
        if not seasons and not cubes:
            raise RejectedError(
                f"{listing.name!r} has no netCDF file of WorldCereal",
                hint="names are like S2_L2A_10m_<id>_32631_2018-08-01_2019-11-30.nc",
            )
        rows = PlanRows()
        ids = _ids(seasons)
        counts = Counter(place for place, _, _ in seasons)
        for key, files in seasons.items():
            _add_season(rows, ids[key], files, several=counts[key[0]] > 1)
        _check_complete(rows, ids, seasons)
        taken = {sample.casefold() for sample in ids.values()}
        stems = keys_of(cubes)
        names = sample_ids(stems.values())
        for path in cubes:
            name = names[stems[path]]
            _add_cube(rows, name if name.casefold() not in taken else f"cube-{name}", path)
        used = {file.path for files in seasons.values() for file in files}
        rows.findings += ignored_files(listing, used | set(cubes))
        there = {str(row["asset"]) for row in rows.assets}
        return rows.plan(
            task=options.task or ("segmentation" if there & {"lc", "ct", "irr"} else None),
            classes=options.classes,
            specs={asset: spec for asset, spec in _SPECS.items() if asset in there},
        )


_Key = tuple[str, str, str]  # place, first day, last day
_Seasons = Mapping[_Key, list[_File]]


def _found(listing: Listing) -> tuple[dict[_Key, list[_File]], list[str]]:
    seasons: dict[_Key, list[_File]] = defaultdict(list)
    cubes = []
    for path in listing.files:
        if not path.endswith(".nc"):
            continue
        name = PurePosixPath(path).name
        found = _NAME.fullmatch(name)
        if found:
            kind = f"{found['sensor']}_{found['product']}_{found['gsd']}m"
            file = _File(
                path=path, kind=kind, place=found["id"], start=found["start"], end=found["end"]
            )
            seasons[file.place, file.start, file.end].append(file)
        elif _CUBE.fullmatch(name):
            cubes.append(path)
    return dict(seasons), cubes


def _ids(seasons: _Seasons) -> dict[_Key, str]:
    """Return each season's id: the place's, with its days where a place has several."""
    counts = Counter(place for place, _, _ in seasons)
    return {
        key: escape_id(place if counts[place] == 1 else f"{place}-{start}-{end}")
        for key in seasons
        for place, start, end in (key,)
    }


def _add_season(rows: PlanRows, sample: str, files: list[_File], *, several: bool) -> None:
    first = files[0]
    span = _span(first)
    rows.samples.append({
        "id": sample,
        "href": str(PurePosixPath(first.path).parent),
        "group": first.place if several else None,
        **(span.columns() if span else {}),
    })
    order = list(_LAYERS)
    for file in sorted(files, key=lambda each: _rank(each, order)):
        for asset, layer in file.layers:
            _add_layer(rows, sample, asset, f"{file.path}/{layer}")


def _rank(file: _File, order: list[str]) -> tuple[int, str]:
    kind = "OUTPUT" if file.kind.startswith("OUTPUT_") else file.kind
    return (order.index(kind) if kind in order else len(order), file.kind)


def _add_layer(
    rows: PlanRows, sample: str, asset: str, file: str, *, nodata: float | None = None
) -> None:
    if any(
        row["sample"] == sample and row["asset"] == asset for row in rows.assets[-len(_SPECS) :]
    ):
        path, _ = split_layer(file)
        rows.warn(
            "second-file",
            f"sample {sample!r} has {asset} in another file already, so {path!r} is left out",
            fix="keep one file of each kind a sample",
            sample=sample,
            asset=asset,
            file=path,
        )
        return
    rows.assets.append({
        "sample": sample,
        "asset": asset,
        "kind": AssetKind.RASTER.value,
        "file": file,
        "nodata": nodata,
    })


def _span(file: _File) -> Acquired | None:
    """Return the season, from its first day to its last."""
    days = [
        acquired_in(dict(zip(("year", "month", "day"), map(int, day.split("-")), strict=True)))
        for day in (file.start, file.end)
    ]
    first, last = days
    if first is None or last is None or last.end < first.start:
        return None
    return Acquired(start=first.start, end=last.end)


def _add_cube(rows: PlanRows, sample: str, path: str) -> None:
    rows.samples.append({"id": sample, "href": path})
    for asset, layer in _CUBES:
        _add_layer(rows, sample, asset, f"{path}/{layer}", nodata=_CUBE_NODATA)


def _check_complete(rows: PlanRows, ids: Mapping[_Key, str], seasons: _Seasons) -> None:
    counts = Counter(kind for files in seasons.values() for kind in {file.kind for file in files})
    for key, files in seasons.items():
        own = {file.kind for file in files}
        for kind in sorted(counts.keys() - own):
            rows.warn(
                "missing-pair",
                f"sample {ids[key]!r} has no {kind}, though others have one",
                fix="fetch the file again, or leave the sample out",
                sample=ids[key],
                asset=_File(path="", kind=kind, place="", start="", end="").layers[0][0],
            )
