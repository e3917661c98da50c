"""Archives by name: where they are, what their bands are called, what their numbers mean.

References:
    ESA, Sentinel-2 Products Specification Document 15.0 (2024): quantification value 10000, and
    BOA_ADD_OFFSET of -1000 from processing baseline 04.00 (25 January 2022); scene classification.
    Masek et al. (2021), HLS Product User Guide v2.0: scale 0.0001, fill -9999, Fmask's bits.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from registry.errors import NotFoundError

__all__ = ["PRESETS", "ArchiveBand", "Preset", "preset_named"]

_BASELINE: Final = (4, 0)
_PARTS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveBand:
    """One band of an archive."""

    name: str
    """As its makers have it, such as ``B04``."""

    assets: tuple[str, ...]
    """Names of its asset in the APIs that are known."""

    common: str | None
    """Its common letter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """One archive."""

    name: str
    """What ``--from`` takes."""

    api: str
    """Where it is asked by default."""

    collections: tuple[str, ...]
    """Of the API."""

    bands: tuple[ArchiveBand, ...]
    """What can be had."""

    gsd: float
    """Pixels in metres, unless the model reads others."""

    scale: float
    """Factor from stored values to reflectance."""

    nodata: int
    """Stored where nothing was observed."""

    dtype: str
    """Of stored values."""

    mask: tuple[str, ...]
    """Names of the asset that says where clouds are."""

    mask_nodata: int
    """Its value where nothing was observed."""

    cloudy_values: tuple[int, ...] = ()
    """Values of it that are left out."""

    cloudy_bits: int = 0
    """Bits of it of which none may be set."""

    level: str | None = field(default=None)
    """Processing level."""

    def offset(self, properties: Mapping[str, Any]) -> float:
        """Return what is added to an item's values after scaling.

        Args:
            properties: Of the item.

        Examples:
            >>> s2 = preset_named("sentinel-2-l2a")
            >>> s2.offset({"s2:processing_baseline": "05.09"})
            -0.1
            >>> s2.offset({"s2:processing_baseline": "03.01"})
            0.0
        """
        if self.name != "sentinel-2-l2a" or properties.get("earthsearch:boa_offset_applied"):
            return 0.0
        said = properties.get("s2:processing_baseline", properties.get("processing:version"))
        parts = str(said or "").split(".")
        if len(parts) == _PARTS and all(part.isdecimal() for part in parts):
            return -0.1 if (int(parts[0]), int(parts[1])) >= _BASELINE else 0.0
        return -0.1 if str(properties.get("datetime", "")) >= "2022-01-25" else 0.0


def _bands(rows: str) -> tuple[ArchiveBand, ...]:
    made = []
    for row in rows.split(";"):
        name, common, *others = row.split()
        letter = None if common == "-" else common
        made.append(ArchiveBand(name=name, assets=(name, *others), common=letter))
    return tuple(made)


_EARTH_SEARCH: Final = "https://earth-search.aws.element84.com/v1"
_NASA: Final = "https://cmr.earthdata.nasa.gov/stac/LPCLOUD"
_HLS: Final[Mapping[str, Any]] = {
    "api": _NASA, "gsd": 30.0, "scale": 1e-4, "nodata": -9999, "dtype": "int16",
    "mask": ("Fmask",), "mask_nodata": 255, "cloudy_bits": 0b1110, "level": "L2A",
}  # fmt: skip

PRESETS: Final[Mapping[str, Preset]] = {
    one.name: one
    for one in (
        Preset(
            name="sentinel-2-l2a", api=_EARTH_SEARCH, collections=("sentinel-2-l2a",),
            bands=_bands(
                "B01 A coastal;B02 B blue;B03 G green;B04 R red;B05 RE1 rededge1;"
                "B06 RE2 rededge2;B07 RE3 rededge3;B08 N nir;B8A N2 nir08;B09 WV nir09;"
                "B11 S1 swir16;B12 S2 swir22"
            ),
            gsd=10.0, scale=1e-4, nodata=0, dtype="uint16", mask=("SCL", "scl"), mask_nodata=0,
            cloudy_values=(0, 1, 3, 8, 9, 10), level="L2A",
        ),
        Preset(
            name="hls-s30", collections=("HLSS30_2.0", "HLSS30.v2.0"),
            bands=_bands(
                "B01 A;B02 B;B03 G;B04 R;B05 RE1;B06 RE2;B07 RE3;B08 N;B8A N2;B11 S1;B12 S2"
            ),
            **_HLS,
        ),
        Preset(
            name="hls-l30", collections=("HLSL30_2.0", "HLSL30.v2.0"),
            bands=_bands("B01 A;B02 B;B03 G;B04 R;B05 N2;B06 S1;B07 S2"), **_HLS,
        ),
    )
}  # fmt: skip
"""Archives that are known by name."""


def preset_named(name: str) -> Preset:
    """Return an archive.

    Raises:
        NotFoundError: None is called so.
    """
    if name not in PRESETS:
        raise NotFoundError(f"there is no archive '{name}'", hint=f"there are {', '.join(PRESETS)}")
    return PRESETS[name]
