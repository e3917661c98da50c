"""The way back to GeoTIFF: an array with all that its source said, and a list of what is lost.

References:
    OGC GeoTIFF 1.1 (2019), 19-008r4; GDAL's GTiff driver, for the tags in its own XML.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.formats.unplaced import unplaced_allowed
from registry.errors import CorruptError, RejectedError
from registry.geo.systems import system

__all__ = ["Raster", "said_of", "write_geotiff"]

_WIDENED: Final = {np.dtype(np.bool_): "uint8", np.dtype(np.float16): "float32"}
"""What GDAL has no type for, and the next wider one, which holds every value exactly."""

_COLOURS: Final = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """One array and what is known of it."""

    array: npt.NDArray[Any]
    """Pixels, shape ``(band, y, x)``."""

    crs: str | None = None
    """``EPSG:n`` or WKT2; None if it has none."""

    transform: tuple[float, ...] | None = None
    """Affine a, b, c, d, e, f from pixel corner to CRS; None if it has none."""

    nodata: float | None = None
    """Value that stands for no data."""

    said: Mapping[str, Any] = field(default_factory=dict)
    """What else its file said: ``bands``, ``scales``, ``offsets``, ``units``, ``colours``,
    ``tags``, ``band_tags``, ``domains``; and ``lost``, domains that were not kept."""


def write_geotiff(raster: Raster, path: Path) -> list[str]:
    """Write an array as GeoTIFF, deflated without loss, and read its header back to compare.

    Args:
        raster: What to write.
        path: Where; must not exist.

    Returns:
        What could not be kept, each as ``what: why``; empty if everything is as it was.

    Raises:
        CorruptError: The file does not hold the place or the names that were written.
        RejectedError: No GeoTIFF can hold the array.
    """
    import rasterio
    from rasterio.errors import RasterioError

    array = raster.array
    lost = [f"{domain}: too long, not kept at ingest" for domain in raster.said.get("lost", ())]
    if array.dtype in _WIDENED:
        wider = _WIDENED[array.dtype]
        lost.append(f"dtype: {array.dtype} is written as {wider}")
        array = array.astype(wider)
    with unplaced_allowed():
        try:
            nodata = _nodata(raster.nodata, array.dtype, lost)
            with rasterio.open(path, "w", **_profile(raster, array, nodata)) as file:
                _describe(file, raster.said)
                file.write(array)
            with rasterio.open(path, driver="GTiff") as file:
                _check(file, raster, nodata)
                lost += _differences(file, raster.said)
        except (RasterioError, ValueError, TypeError, LookupError) as error:
            raise RejectedError(
                f"{path.name!r} cannot be written as GeoTIFF: {' '.join(str(error).split())}",
                hint="check its crs, dtype, nodata and tags in the table assets",
            ) from error
    return lost


def _nodata(nodata: float | None, dtype: np.dtype[Any], lost: list[str]) -> float | int | None:
    if nodata is None or not np.issubdtype(dtype, np.integer):
        return nodata
    info = np.iinfo(dtype)
    if math.isfinite(nodata) and nodata.is_integer() and info.min <= nodata <= info.max:
        return int(nodata)
    lost.append(f"nodata: {nodata:g} is no value of {dtype}")
    return None


def _profile(raster: Raster, array: npt.NDArray[Any], nodata: float | None) -> dict[str, Any]:
    from affine import Affine

    count, height, width = array.shape
    colours = tuple(raster.said.get("colours", ()))
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": count,
        "height": height,
        "width": width,
        "dtype": array.dtype.name,
        "nodata": nodata,
        "crs": raster.crs,
        "compress": "deflate",
        "interleave": "band",
        "BIGTIFF": "IF_SAFER",
        # GDAL would call any three bytes red, green and blue.
        "photometric": "RGB" if colours[:3] == _COLOURS else "MINISBLACK",
    }
    if "alpha" in colours:
        profile["ALPHA"] = "UNSPECIFIED"
    if raster.transform is not None:
        profile["transform"] = Affine(*raster.transform)
    return profile


def _describe(file: Any, said: Mapping[str, Any]) -> None:  # noqa: ANN401 — rasterio has no types
    from rasterio.enums import ColorInterp

    if colours := said.get("colours"):
        file.colorinterp = [ColorInterp[name] for name in colours]
    for number, name in enumerate(said.get("bands", ()), 1):
        if name:
            file.set_band_description(number, name)
    for name in ("scales", "offsets", "units"):
        if values := said.get(name):
            setattr(file, name, values)
    file.update_tags(**said.get("tags", {}))
    for domain, tags in said.get("domains", {}).items():
        file.update_tags(ns=domain, **tags)
    for band, tags in said.get("band_tags", {}).items():
        file.update_tags(int(band), **tags)


def _check(file: Any, raster: Raster, nodata: float | None) -> None:  # noqa: ANN401 — as above
    crs = None if file.crs is None else file.crs.to_wkt()
    if not _is_same_system(crs, raster.crs):
        raise _written_wrong(file, "crs", crs, raster.crs)
    transform = None if raster.transform is None else tuple(raster.transform)
    pairs: dict[str, tuple[object, object]] = {
        "nodata": (_plain(file.nodata), _plain(nodata)),
    }
    if transform is not None:
        pairs["transform"] = (tuple(file.transform)[:6], transform)
    for name, attribute in (
        ("bands", "descriptions"),
        ("scales", "scales"),
        ("offsets", "offsets"),
    ):
        if name in raster.said:
            found = [value or "" for value in getattr(file, attribute)]
            pairs[name] = (found, [value or "" for value in raster.said[name]])
    for name, (there, wanted) in pairs.items():
        if there != wanted:
            raise _written_wrong(file, name, there, wanted)


@lru_cache(maxsize=64)
def _is_same_system(there: str | None, wanted: str | None) -> bool:
    """Return whether both put pixels at the same place, in whatever words.

    GeoTIFF keeps neither all names nor the order of axes, which is always x, y.
    """
    if there is None or wanted is None:
        return there is wanted
    found, meant = system(there), system(wanted)
    nowhere = found.is_engineering and meant.is_engineering
    return bool(nowhere or found.equals(meant, ignore_axis_order=True))


def _written_wrong(file: Any, name: str, there: object, wanted: object) -> CorruptError:  # noqa: ANN401 — as above
    return CorruptError(
        f"{Path(file.name).name!r} was written with {name} {there!r}, not {wanted!r}",
        hint="check the disk; if it happens again, report it with this message",
    )


def _plain(value: float | None) -> object:
    return "nan" if value is not None and math.isnan(value) else value


def _differences(file: Any, said: Mapping[str, Any]) -> list[str]:  # noqa: ANN401 — as above
    lost: list[str] = []
    if said.get("driver", "GTiff") != "GTiff":
        lost.append(f"driver: was {said['driver']}, is GTiff")
    lost += _unlike("units", [unit or "" for unit in file.units], said.get("units"))
    lost += _unlike("colours", [one.name for one in file.colorinterp], said.get("colours"))
    lost += _lost_tags("", file.tags(), said.get("tags", {}))
    for domain, tags in said.get("domains", {}).items():
        lost += _lost_tags(f"{domain}/", file.tags(ns=domain), tags)
    for band, tags in said.get("band_tags", {}).items():
        lost += _lost_tags(f"band {band}/", file.tags(int(band)), tags)
    return lost


def _unlike(name: str, there: Sequence[str], wanted: Sequence[str] | None) -> list[str]:
    if wanted is None or list(there) == list(wanted):
        return []
    return [f"{name}: were {', '.join(wanted)}, are {', '.join(there)}"]


def _lost_tags(place: str, there: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    return [
        f"{place}{name}: was {value!r:.80}, is {there.get(name)!r:.80}"
        for name, value in wanted.items()
        if there.get(name) != value
    ]


def said_of(text: str | None) -> dict[str, Any]:
    """Return the column ``tags`` of ``assets`` as a mapping; without what is not as it should be.

    Examples:
        >>> said_of('{"bands": ["B02"], "scales": "none"}'), said_of("[1]"), said_of(None)
        ({'bands': ['B02']}, {}, {})
    """
    try:
        said = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    known = said if isinstance(said, dict) else {}
    return {name: value for name, value in known.items() if _is_sound(name, value)}


def _is_sound(name: str, value: object) -> bool:
    if name in {"scales", "offsets"}:
        return isinstance(value, list) and all(isinstance(one, int | float) for one in value)
    if name in {"bands", "units", "colours", "lost"}:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if name in {"domains", "band_tags"}:
        return isinstance(value, dict) and all(map(_are_tags, value.values()))
    return _are_tags(value) if name == "tags" else isinstance(value, str)


def _are_tags(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
