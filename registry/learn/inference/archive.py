"""New imagery from a STAC archive: a place at dates, as files that models read.

References:
    STAC API 1.0.0 (2023), item search. OGC 17-069r4, features.
"""

import math
import os
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import shapely
from shapely.geometry.base import BaseGeometry

from registry.errors import InvalidInputError, NotFoundError, RejectedError
from registry.geo import Interval, normalise_crs, utm_crs
from registry.learn.inference.door import door
from registry.learn.inference.limited import Limited
from registry.learn.inference.meaning import WrongBandsError
from registry.learn.inference.presets import ArchiveBand, Preset
from registry.learn.inference.web import check_api, check_file
from registry.learn.inference.within import is_box, moved
from registry.learn.loading.contract import Input

__all__ = ["Acquired", "Search", "fetch", "search"]

API: Final = "EOLAB_STAC_API"
"""Names the archive's address where none is given."""

_MOST_PIXELS: Final = 1 << 32
_CLOUDED: Final = 100  # per cent
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_KEPT: Final = ("datetime", "proj:epsg", "proj:code", "proj:shape", "proj:transform")
_OF_ASSET: Final = ("href", "type", "proj:shape", "proj:transform", "proj:epsg", "proj:code")
_OTHER_NEAR_INFRARED: Final = {"N": "N2", "N2": "N"}
_SECONDS: Final = 3600.0
_PROXIES: Final = ("GDAL_HTTP_PROXY", "GDAL_HTTPS_PROXY", "http_proxy", "https_proxy", "all_proxy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What is wanted of an archive."""

    preset: Preset
    """Which archive."""

    area: BaseGeometry
    """Where: polygons in longitudes and latitudes; the box around them is fetched."""

    interval: Interval
    """When."""

    max_cloud: float | None = None
    """Per cent of an item that may be cloudy; None for any."""

    api: str | None = None
    """Address of the API; None for the preset's, or what ``EOLAB_STAC_API`` says."""

    @property
    def outline(self) -> BaseGeometry | None:
        """The area, if it is less than the box around it."""
        return None if is_box(self.area) else self.area

    @property
    def address(self) -> str:
        """Of the API, checked."""
        return check_api(self.api or os.environ.get(API) or self.preset.api)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquired:
    """All items of one day that are read alike."""

    day: str
    """Such as ``2020-01-13``, UTC."""

    items: tuple[Mapping[str, Any], ...] = field(repr=False)
    """As STAC has them, with nothing in them but what reading needs; addresses checked."""

    cloud: float | None
    """Mean cloud cover of the items in per cent; None where they do not say."""

    offset: float
    """Added to values after scaling."""


def search(wanted: Search) -> tuple[Acquired, ...]:
    """Return what an archive has, day by day.

    Args:
        wanted: Where, when, and of which archive.

    Returns:
        Days in their order; none is empty. One on which a processing baseline changed is twice.

    Raises:
        NotFoundError: The archive has nothing like it.
        UnavailableError: It does not answer.
        UnsafeAddressError: It leads to addresses that are not followed.
    """
    from registry.learn.inference.asking import items as asked

    api = wanted.address
    found = asked(
        api, wanted.preset.collections, bbox=wanted.area.bounds, interval=str(wanted.interval)
    )
    days: dict[tuple[str, float], list[Mapping[str, Any]]] = defaultdict(list)
    clouds: dict[tuple[str, float], list[float]] = defaultdict(list)
    for item in found:
        properties = _properties(item)
        cloud = properties.get("eo:cloud_cover")
        known = [float(cloud)] if isinstance(cloud, int | float) and 0 <= cloud <= _CLOUDED else []
        if wanted.max_cloud is not None and known and known[0] > wanted.max_cloud:
            continue
        key = _day(item, properties), wanted.preset.offset(properties)
        days[key].append(_plain(item, wanted.preset, api))
        clouds[key] += known
    if not days:
        limit = "" if wanted.max_cloud is None else f" with at most {wanted.max_cloud:g} % of cloud"
        raise NotFoundError(
            f"{api} has nothing of {', '.join(wanted.preset.collections)} there at "
            f"{wanted.interval}{limit}",
            hint="widen --time or --aoi, or allow more by --max-cloud",
        )
    return tuple(
        Acquired(
            day=key[0], offset=key[1], items=tuple(items),
            cloud=sum(clouds[key]) / len(clouds[key]) if clouds[key] else None,
        )
        for key, items in sorted(days.items())
    )  # fmt: skip


def _properties(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what an item says of itself.

    Raises:
        RejectedError: It is no object.
    """
    said = item.get("properties") or {}
    if not isinstance(said, dict):
        raise RejectedError(
            f"item {str(item.get('id'))[:80]!r} of the archive has no object as its properties",
            hint="use an archive whose items are as STAC has them",
        )
    return said


def _day(item: Mapping[str, Any], properties: Mapping[str, Any]) -> str:
    """Return an item's day, which files are called by.

    Raises:
        RejectedError: It has none.
    """
    day = str(properties.get("datetime") or properties.get("start_datetime"))[:10]
    if not _DAY.fullmatch(day):
        raise RejectedError(
            f"item {str(item.get('id'))[:80]!r} of the archive has the date {day!r}",
            hint="use an archive whose items say when they were acquired",
        )
    return day


def _plain(item: Mapping[str, Any], preset: Preset, api: str) -> dict[str, Any]:
    """Return an item with what reading needs alone.

    Raises:
        RejectedError: It has nothing to read.
    """
    names = {name for band in preset.bands for name in band.assets} | {*preset.mask}
    assets = item.get("assets")
    if not isinstance(assets, dict) or not isinstance(item.get("geometry"), dict):
        raise RejectedError(
            f"item {str(item.get('id'))[:80]!r} of the archive has no assets or no place",
            hint="use an archive whose items have both",
        )
    kept = {
        name: {key: asset[key] for key in _OF_ASSET if key in asset}
        | {"href": check_file(str(asset.get("href")), api=api)}
        for name, asset in assets.items()
        if name in names and isinstance(asset, dict)
    }
    properties = _properties(item)
    return {
        "type": "Feature", "stac_version": "1.0.0",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.1.0/schema.json"],
        "id": str(item.get("id"))[:200], "collection": item["collection"],
        "geometry": item["geometry"], "bbox": item.get("bbox"),
        "properties": {key: properties[key] for key in _KEPT if key in properties},
        "assets": kept, "links": [],
    }  # fmt: skip


def fetch(
    acquired: Acquired, wanted: Search, reads: Input, out: Path, *, keep_clouds: bool = False
) -> float:
    """Write what a model reads of one day to a file that says all about itself.

    Args:
        acquired: The day.
        wanted: What was searched for.
        reads: What the model reads of it; its pixel size is taken.
        out: GeoTIFF to write, one band for each that the model reads.
        keep_clouds: Whether clouds and their shadows stay; else nothing was observed there.

    Returns:
        The share of the area's pixels that were observed, in [0, 1].

    Raises:
        WrongBandsError: The archive has no such band.
        UnreadableSceneError: A file of it cannot be read.
        InvalidInputError: The area is too large.
    """
    preset = wanted.preset
    first = acquired.items[0]["assets"]
    bands = {}
    for band in (_band(preset, one.name, one.common) for one in reads.bands):
        bands[_asset(first, band.assets, band.name)] = band.name
    mask = None if keep_clouds else {
        "asset": _asset(first, preset.mask, "mask of clouds"), "nodata": preset.mask_nodata,
        "values": list(preset.cloudy_values), "bits": preset.cloudy_bits,
    }  # fmt: skip
    grid = grid_of(acquired, wanted, reads)
    number = {
        "dtype": preset.dtype, "nodata": preset.nodata, "scale": preset.scale,
        "offset": acquired.offset,
    }  # fmt: skip
    variables = {
        name: os.environ[name]
        for name in ("HOME", "NETRC", "GDAL_HTTP_NETRC", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
        if name in os.environ
    }  # fmt: skip
    with door(wanted.address) as proxy, Limited(
        "archive_reader.py", name=f"the archive's {acquired.day}", memory=6 << 30,
        seconds=_SECONDS, environment=variables | dict.fromkeys(_PROXIES, proxy),
    ) as child:  # fmt: skip
        said = child.ask(
            do="fetch", items=list(acquired.items), bands=bands, mask=mask, grid=grid,
            out=str(out.absolute()), number=number,
            area=None if wanted.outline is None
            else shapely.geometry.mapping(moved(wanted.outline, grid["crs"])),
        )  # fmt: skip
    return float(said.get("seen", 0)) / max(float(said.get("pixels", 0)), 1.0)


def _band(preset: Preset, name: str, common: str | None) -> ArchiveBand:
    """Return the archive's band for one of the model's.

    Raises:
        WrongBandsError: There is none.
    """
    letters = [one for one in (common, _OTHER_NEAR_INFRARED.get(common or "")) if one]
    same = [band for band in preset.bands if name.casefold() in map(str.casefold, band.assets)]
    alike = [band for letter in letters for band in preset.bands if band.common == letter]
    for band in (*same, *alike):
        return band
    raise WrongBandsError(
        f"the model reads {name}, which {preset.name} does not have",
        hint=f"it has {', '.join(band.name for band in preset.bands)}",
    )


def _asset(assets: Mapping[str, Any], names: Sequence[str], what: str) -> str:
    """Return what an item calls one of its assets.

    Raises:
        WrongBandsError: It has no such.
    """
    for name in names:
        if name in assets:
            return name
    raise WrongBandsError(
        f"items of the archive have no {what}; they have {', '.join(assets)}",
        hint="use another archive by --api, or --keep-clouds if only the mask is missing",
    )


def grid_of(acquired: Acquired, wanted: Search, reads: Input) -> dict[str, Any]:
    """Return the pixels that are fetched: the box around the area, on multiples of their size.

    Raises:
        InvalidInputError: They are too many.
    """
    from rasterio.crs import CRS
    from rasterio.warp import transform_bounds

    gsd = reads.gsd or wanted.preset.gsd
    properties = acquired.items[0]["properties"]
    said = properties.get("proj:code") or properties.get("proj:epsg")
    middle = wanted.area.centroid
    crs = utm_crs(middle.x, middle.y)
    if said:
        stated = normalise_crs(f"EPSG:{said}" if isinstance(said, int) else str(said))
        crs = stated if CRS.from_user_input(stated).is_projected else crs
    bounds = transform_bounds("OGC:CRS84", crs, *wanted.area.bounds, densify_pts=21)
    left, bottom = (math.floor(one / gsd) for one in bounds[:2])
    right, top = (math.ceil(one / gsd) for one in bounds[2:])
    height, width = top - bottom, right - left
    if height * width > _MOST_PIXELS or min(height, width) < 1:
        raise InvalidInputError(
            f"the area has {height:,} by {width:,} pixels of {gsd:g} m",
            hint="give a smaller --aoi",
        )
    return {
        "crs": crs, "height": height, "width": width,
        "transform": [gsd, 0.0, left * gsd, 0.0, -gsd, top * gsd],
    }  # fmt: skip
