"""Which band is which: from the names that data carry to the letters that formulas are written in.

The letters are those of the Awesome Spectral Indices: ``A B G1 G Y R RE1 RE2 RE3 N N2 WV S1 S2 T T1
T2`` for optical bands, ``VV VH HH HV`` for radar, and here also ``E`` for elevation. A band that
nobody names, or whose name two sensors use for different bands, has no letter: a wrong index is
worse than none.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from registry.curate.features.scene import Layer

__all__ = ["LETTERS", "OPTICAL", "RADAR", "common_letters", "is_narrow", "reflectance_factor"]

OPTICAL: Final = (
    "A", "B", "G1", "G", "Y", "R", "RE1", "RE2", "RE3", "N", "N2", "WV", "S1", "S2",
    "T", "T1", "T2",
)  # fmt: skip
"""Letters of optical and thermal bands, by wavelength."""

RADAR: Final = ("VV", "VH", "HH", "HV")
"""Polarisations, sent and received."""

LETTERS: Final = (*OPTICAL, *RADAR, "E")
"""Every letter that the lab knows; ``E`` is elevation."""

_WORDS: Final = {
    word: letter
    for letter, words in {
        "A": "coastal coastalaerosol coastalblue aerosol aerosols ultrablue",
        "B": "blue",
        "G1": "green05 greeni",
        "G": "green greenii",
        "Y": "yellow",
        "R": "red",
        "RE1": "rededge1 rededge071 re1 vre1",
        "RE2": "rededge2 rededge075 re2 vre2",
        "RE3": "rededge3 rededge078 re3 vre3",
        "N": "nir nearinfrared nearir nirbroad broadnir",
        "N2": "nir08 nirnarrow narrownir nir8a",
        "WV": "nir09 watervapour watervapor",
        "S1": "swir16 swir1",
        "S2": "swir22 swir2",
        "T": "lwir thermal tir",
        "T1": "lwir11 tirs1",
        "T2": "lwir12 tirs2",
        "E": "dem elevation dsm dtm srtm copdem",
    }.items()
    for word in words.split()
}

# Band numbers of sensors. A panchromatic band has another resolution, so it is in no array with
# the others, and no number here.
_SENTINEL_2: Final = {
    "1": "A", "2": "B", "3": "G", "4": "R", "5": "RE1", "6": "RE2", "7": "RE3", "8": "N",
    "8a": "N2", "9": "WV", "10": None, "11": "S1", "12": "S2",
}  # fmt: skip
_OLI: Final = {
    "1": "A", "2": "B", "3": "G", "4": "R", "5": "N", "6": "S1", "7": "S2", "9": None,
    "10": "T1", "11": "T2",
}  # fmt: skip
_TM: Final = {"1": "B", "2": "G", "3": "R", "4": "N", "5": "S1", "6": "T", "7": "S2"}
_MODIS: Final = {"1": "R", "2": "N", "3": "B", "4": "G", "5": None, "6": "S1", "7": "S2"}
_NAIP: Final = {"1": "R", "2": "G", "3": "B", "4": "N"}
_PLANET_4: Final = {"1": "B", "2": "G", "3": "R", "4": "N"}
_PLANET_8: Final = {
    "1": "A", "2": "B", "3": "G1", "4": "G", "5": "Y", "6": "R", "7": "RE1", "8": "N",
}  # fmt: skip
_WORLDVIEW: Final = {
    "1": "A", "2": "B", "3": "G", "4": "Y", "5": "R", "6": None, "7": "N", "8": None,
}  # fmt: skip

_Numbers = Mapping[str, str | None]
_SENSORS: Final[tuple[tuple[re.Pattern[str], tuple[_Numbers, ...]], ...]] = tuple(
    (re.compile(pattern), tables)
    for pattern, tables in (
        (r"sentinel[\W_]*2|\bs2[abc]?\b|\bmsi(l[12][ac])?\b|\bs30\b", (_SENTINEL_2,)),
        (r"landsat[\W_]*[89]|\bl[co]?0?[89]\b|\boli\b|\bl30\b", (_OLI,)),
        (r"landsat[\W_]*[457]\b|\bl[te]?0?[457]\b|\betm\b|\btm\b", (_TM,)),
        (r"landsat(?![\W_]*\d)|\bs[rt] b\d", (_OLI, _TM)),
        (r"\bhls\b(?!.*\b[ls]30\b)", (_SENTINEL_2, _OLI)),
        (r"\bmodis\b|\bm[oyc]d(09|13|43)\w*|\bsur refl\b", (_MODIS,)),
        (r"\bnaip\b", (_NAIP,)),
        (r"planet(?!ary)|\bsuperdove\b|\bpsscene\b", (_PLANET_4, _PLANET_8)),
        (r"worldview|\bwv0?[23]\b", (_WORLDVIEW,)),
        # sensors whose numbers mean something else, so that none is taken for Sentinel-2
        (r"sentinel[\W_]*3|\bs3\b|spot|pleiades|gaofen|\bgf\d|kompsat|resourcesat|\bliss\b", ()),
        (r"enmap|prisma|\baster\b|rapideye|cbers|hyperion|viirs|desis|aviris|hyperspectral", ()),
    )
)

# What stands beside a band's name without changing which band it is.
_BESIDE: Final = frozenset({
    "band", "bands", "b", "s1", "s2", "s2a", "s2b", "s2c", "s30", "l30", "l1c", "l2a", "l1", "l2",
    "sr", "st", "toa", "boa", "sur", "refl", "reflectance", "surface", "sentinel", "sentinel2",
    "sentinel1", "landsat", "l8", "l9", "l7", "l5", "lc08", "lc09", "le07", "lt05", "oli", "tm",
    "etm", "hls", "modis", "naip", "planet", "median", "mean", "composite", "db", "sigma0",
    "gamma0", "beta0", "sigma", "gamma", "grd", "rtc", "linear", "asc", "desc", "ascending",
    "descending", "iw", "light", "m",
})  # fmt: skip
_PLACED: Final = re.compile(r"\d+m|t\d\d[a-z]{3}")  # a resolution, a tile
_NUMBER: Final = re.compile(r"(?:b|band)0*(\d{1,2}a?)|(8a)")
_PADDED: Final = re.compile(r"b0\d")
_BARE: Final = re.compile(r"b(?:and)? ?\d+")
_NOT_TM: Final = re.compile(r"\bsr b6\b")  # thermal there, so of surface temperature: ST_B6
_COUNTED: Final = tuple(str(number) for number in range(1, 100))
_REFLECTIVE_OLI: Final = 7
_FROM_LANDSAT: Final = 15.0  # metres; no finer pixels of its
_FROM_SENTINEL_2: Final = 9.0
_TO_BOTH: Final = 100.0
_UNIT_READ: Final = 100  # characters of what a card calls a unit


def common_letters(  # each is one more witness
    bands: Sequence[str],
    *,
    asset: str = "",
    title: str | None = None,
    gsd: float | None = None,
    count: int | None = None,
    picture: bool = False,
    details: Iterable[Mapping[str, Any]] = (),
) -> tuple[str | None, ...]:
    """Return each band's common letter; None where it is not certain.

    A band's number alone says nothing: B5 is near infrared of Landsat 8 and red edge of
    Sentinel-2. It counts where the card's title, the asset's or the bands' names tell the sensor,
    or where all sensors that have these numbers agree. A lone narrow near infrared (B8A of
    Sentinel-2, as in HLS) stands for near infrared, because indices are written for either.

    Args:
        bands: Names in the array's order; empty if nobody named them.
        asset: The asset's name.
        title: The asset's title, as in ``Sentinel-2 L2A``.
        gsd: Ground sampling distance in metres.
        count: Bands of the array, where they have no names.
        picture: Whether it came as a picture (JPEG, PNG), whose order is red, green, blue.
        details: STAC's ``eo:bands`` or ``bands`` with ``name`` and ``common_name``, if kept.

    Returns:
        One a band; empty if neither names nor a sure order are known.

    References:
        Montero et al. (2023), Scientific Data 10:197, https://doi.org/10.1038/s41597-023-02096-0.
        Copernicus Sentinel-2 user guide; Landsat 8-9 and HLS v2.0 user guides.

    Examples:
        >>> common_letters(["B02", "B03", "B04", "B08"])
        ('B', 'G', 'R', 'N')
        >>> common_letters(["B4", "B5"]), common_letters(["B4", "B5"], title="Landsat 8")
        ((None, None), ('R', 'N'))
        >>> common_letters(["sigma0_VV", "sigma0_VH", "VV/VH"])
        ('VV', 'VH', None)
    """
    told = _plain(f"{asset} {title or ''}")
    if not bands:
        return _unnamed(told, asset=asset, count=count, picture=picture)
    if all(band in LETTERS for band in bands):
        found: list[str | None] = list(bands)
    else:
        said = {str(one.get("name")): _said(one) for one in details}
        tables = _tables(bands, told, gsd)
        found = [said.get(band) or _letter(band, tables) for band in bands]
    often = Counter(found)
    found = [letter if often[letter] == 1 else None for letter in found]
    if "N" not in found and "N2" in found:
        found[found.index("N2")] = "N"
    return tuple(found)


def is_narrow(band: str) -> bool:
    """Return whether a near infrared band is the narrow one, as its name has it.

    Examples:
        >>> is_narrow("B8A"), is_narrow("nir08"), is_narrow("B08")
        (True, True, False)
    """
    return _number(band) == "8a" or _WORDS.get(_plain(band).replace(" ", "")) == "N2"


def reflectance_factor(layer: Layer) -> float | None:
    """Return what turns a layer's physical values into reflectance; None where nobody says.

    Only what the card declares counts. Numbers that look like reflectance times 10000 may be
    radiance, or have an offset: they are not guessed.

    Args:
        layer: With its ``unit``: ``reflectance``, ``%``, or ``reflectance * 10000``. Stored whole
            numbers that are called ``reflectance`` need a scale beside it.

    Returns:
        1 for reflectance in [0, 1], 0.01 for per cent, and so on.

    Examples:
        >>> percent = Layer(asset="image", raw=np.zeros((1, 1, 2, 2), np.uint8), unit="%")
        >>> reflectance_factor(percent)
        0.01
    """
    unit = re.sub(r"[\s_-]+", " ", (layer.unit or "")[:_UNIT_READ].strip().lower())
    if unit in {"%", "percent", "per cent", "% reflectance", "reflectance %"}:
        return 0.01
    if times := re.fullmatch(r"(?:\w+ )*reflectance ?(?:[*x\u00d7]|times) ?(10+|1e[1-9])", unit):
        return 1 / float(times[1])
    if not re.fullmatch(r"(?:(?:surface|toa|boa|bottom|top|of|the|atmosphere) )*reflectance", unit):
        return None
    whole = np.issubdtype(layer.raw.dtype, np.integer)
    return None if whole and all(scale == 1 for scale in layer.scale) else 1.0


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", " ", text.lower()).strip()


def _unnamed(told: str, *, asset: str, count: int | None, picture: bool) -> tuple[str | None, ...]:
    if count == 1:  # but s1 and s2 name the satellites
        return common_letters([asset]) if asset and asset not in {"S1", "S2"} else ()
    if picture and count == len("RGB"):
        return ("R", "G", "B")
    if count == len(_NAIP) and re.search(r"\bnaip\b", told):
        return tuple(_NAIP.values())
    return ()


def _said(band: Mapping[str, Any]) -> str | None:
    name = band.get("common_name") or band.get("eo:common_name")
    return _WORDS.get(_plain(str(name)).replace(" ", "")) if name else None


def _letter(band: str, tables: Sequence[_Numbers]) -> str | None:
    words = _plain(band).split()
    if polarised := [word for word in words if word.upper() in RADAR]:
        alone = len(polarised) == 1 and all(w in _BESIDE for w in words if w != polarised[0])
        return polarised[0].upper() if alone else None
    joined = "".join(words)
    telling = [w for w in words if w not in _BESIDE and not _PLACED.fullmatch(w)]
    for word in (joined, "".join(telling)):
        if word in _WORDS:
            return _WORDS[word]
    number = _number(band)
    letters = {table.get(number) for table in tables} if number else set()
    return letters.pop() if len(letters) == 1 else None


def _number(band: str) -> str | None:
    """Return ``8a`` of ``S2_B8A_20m``; None where it is no band's number or more is said."""
    words = [w for w in _plain(band).split() if not _PLACED.fullmatch(w)]
    if len(words) > 1 and words[-2] in {"b", "band"}:
        words[-2:] = [words[-2] + words[-1]]
    match = _NUMBER.fullmatch(words[-1]) if words else None
    if match is None or any(word not in _BESIDE for word in words[:-1]):
        return None
    return match[1] or match[2]


def _tables(bands: Sequence[str], told: str, gsd: float | None) -> list[_Numbers]:
    """Return the numberings that these bands may follow."""
    numbered = [band for band in bands if _number(band)]
    beside = "; ".join([told, *(_plain(band) for band in numbered)])
    heard = [tables for pattern, tables in _SENSORS if pattern.search(beside)]
    could = [table for tables in heard for table in tables] if heard else _unheard(numbered, gsd)
    numbers = {number for band in numbered if (number := _number(band))}
    if any(_NOT_TM.search(_plain(band)) for band in numbered):
        could = [table for table in could if table is not _TM]
    bare = all(_BARE.fullmatch(_plain(band)) for band in numbered)
    if bare and numbers == set(_COUNTED[: len(numbers)]):
        # a row from 1 on may count places, unless it is all that a sensor that was named has
        return [table for table in could if heard and numbers == _row(table)]
    exact = [table for table in could if numbers == table.keys()]
    return exact or [table for table in could if numbers <= table.keys()]


def _row(table: _Numbers) -> set[str]:
    return set(_COUNTED[:_REFLECTIVE_OLI]) if table is _OLI else set(table)


def _unheard(numbered: Sequence[str], gsd: float | None) -> list[_Numbers]:
    padded = any(_PADDED.search(band.lower()) for band in numbered)  # as in SAFE and HLS
    could: list[_Numbers] = [_SENTINEL_2, _OLI] if padded else [_SENTINEL_2, _OLI, _TM]
    if gsd is None:
        return [] if numbered == ["B8"] else could  # alone, it may be Landsat's panchromatic
    if not _FROM_SENTINEL_2 <= gsd < _TO_BOTH:
        return []
    return could if gsd >= _FROM_LANDSAT else [_SENTINEL_2]
