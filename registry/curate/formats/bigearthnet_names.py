"""How BigEarthNet names patches, bands and classes.

References:
    Clasen et al. (2025), reBEN, doi:10.1109/IGARSS55030.2025.11242834 (v2; 19 classes).
    Sumbul et al. (2019), BigEarthNet, doi:10.1109/IGARSS.2019.8900532 (v1; 43 classes).
    European Environment Agency, CORINE Land Cover nomenclature guidelines (the codes).
    ESA, Sentinel-2 Products Specification 14.9, "BOA_ADD_OFFSET" (baselines from 04.00 on).
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

from registry.catalog import AssetSpec

__all__ = [
    "BANDS",
    "CLASSES_19",
    "CLASSES_43",
    "LAND_COVER",
    "PATCH",
    "PLACE",
    "RADAR",
    "classes_of",
    "offset_of",
    "scene_of",
    "specs_of",
]

PATCH: Final = (
    r"(?:S2[A-D]_MSIL2A_\d{8}T\d{5,6}(?:_N\d{4}_R\d{3}_T\d{2}[A-Z]{3})?"
    r"|S1[A-D]_IW_GRDH_1SDV_\d{8}T\d{6}_\d{2}[A-Z]{3})_\d{1,3}_\d{1,3}"
)
"""A patch's name, of either sensor and version: v1 says no tile, and drops the hour's first 0."""

PLACE: Final = r"_T?(?P<place>\d{2}[A-Z]{3}_\d{1,3}_\d{1,3})$"
"""In a patch's name: the tile, and the patch's column and row in it."""

BANDS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "s2_10m": ("B02", "B03", "B04", "B08"),
    "s2_20m": ("B05", "B06", "B07", "B8A", "B11", "B12"),
    "s2_60m": ("B01", "B09"),
    "s1": ("VV", "VH"),
    "reference_map": ("reference_map",),
})
"""Assets of the official layout, each with the endings of its files in the order of its bands."""

RADAR: Final = "s1"
"""The asset that lies in a tree of its own, under names of its own."""

_ALL_BANDS: Final = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12",
)  # fmt: skip

CLASSES_19: Final = (
    "Urban fabric",
    "Industrial or commercial units",
    "Arable land",
    "Permanent crops",
    "Pastures",
    "Complex cultivation patterns",
    "Land principally occupied by agriculture, with significant areas of natural vegetation",
    "Agro-forestry areas",
    "Broad-leaved forest",
    "Coniferous forest",
    "Mixed forest",
    "Natural grassland and sparsely vegetated areas",
    "Moors, heathland and sclerophyllous vegetation",
    "Transitional woodland, shrub",
    "Beaches, dunes, sands",
    "Inland wetlands",
    "Coastal wetlands",
    "Inland waters",
    "Marine waters",
)
"""The nomenclature of v2."""

LAND_COVER: Final[Mapping[int, str]] = MappingProxyType({
    111: "Continuous urban fabric",
    112: "Discontinuous urban fabric",
    121: "Industrial or commercial units",
    122: "Road and rail networks and associated land",
    123: "Port areas",
    124: "Airports",
    131: "Mineral extraction sites",
    132: "Dump sites",
    133: "Construction sites",
    141: "Green urban areas",
    142: "Sport and leisure facilities",
    211: "Non-irrigated arable land",
    212: "Permanently irrigated land",
    213: "Rice fields",
    221: "Vineyards",
    222: "Fruit trees and berry plantations",
    223: "Olive groves",
    231: "Pastures",
    241: "Annual crops associated with permanent crops",
    242: "Complex cultivation patterns",
    243: "Land principally occupied by agriculture, with significant areas of natural vegetation",
    244: "Agro-forestry areas",
    311: "Broad-leaved forest",
    312: "Coniferous forest",
    313: "Mixed forest",
    321: "Natural grassland",
    322: "Moors and heathland",
    323: "Sclerophyllous vegetation",
    324: "Transitional woodland/shrub",
    331: "Beaches, dunes, sands",
    332: "Bare rock",
    333: "Sparsely vegetated areas",
    334: "Burnt areas",
    335: "Glaciers and perpetual snow",
    411: "Inland marshes",
    412: "Peatbogs",
    421: "Salt marshes",
    422: "Salines",
    423: "Intertidal flats",
    511: "Water courses",
    512: "Water bodies",
    521: "Coastal lagoons",
    522: "Estuaries",
    523: "Sea and ocean",
})
"""CORINE's classes of the third level by their codes, which are the values of reference maps."""

CLASSES_43: Final = tuple(name for code, name in LAND_COVER.items() if code != 335)  # noqa: PLR2004 — no ice in Europe's ten countries
"""The nomenclature of v1: CORINE's, but for glaciers, which no patch has."""

_FIRST_OFFSET: Final = 400
_OWN_PROCESSING: Final = 9999  # by whoever runs Sen2Cor; BigEarthNet's pixels begin at 1


def classes_of(labels: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the nomenclature that labels are of, and the labels that are in neither.

    Examples:
        >>> classes, strangers = classes_of(["Pastures", "Sea and ocean", "Moon"])
        >>> len(classes), strangers
        (44, ('Moon',))
        >>> len(classes_of(["Pastures"])[0]), classes_of([])
        (19, ((), ()))
    """
    found = set(labels)
    if not found:
        return (), ()
    known = min((CLASSES_19, CLASSES_43), key=lambda names: len(found - set(names)))
    strangers = tuple(sorted(found - set(known)))
    return (*known, *strangers), strangers


def offset_of(baseline: int | None) -> float | None:
    """Return what is added to reflectance after scaling, by the processing baseline.

    Args:
        baseline: Such as 301 for ``N0301``; None where the name says none, as in v1.

    Examples:
        >>> offset_of(301), offset_of(510), offset_of(9999)
        (None, -0.1, None)
    """
    if baseline is None or not _FIRST_OFFSET <= baseline < _OWN_PROCESSING:
        return None
    return -0.1


def specs_of(
    assets: Iterable[str], *, bands: Mapping[str, tuple[str, ...]], offset: float | None
) -> dict[str, AssetSpec]:
    """Return what is known of BigEarthNet's assets.

    Args:
        assets: Names of those that are there.
        bands: Those of assets that have not all of theirs.
        offset: Added to reflectance after scaling.
    """
    optical = {"s2": (_ALL_BANDS, 10.0)} | {
        name: (bands.get(name, BANDS[name]), float(name[3:5]))
        for name in ("s2_10m", "s2_20m", "s2_60m")
    }
    known = {
        name: AssetSpec(
            title="Sentinel-2 L2A" if name == "s2" else f"Sentinel-2 L2A, bands of {gsd:g} m",
            role="data",
            bands=bands,
            unit="reflectance",
            scale=1e-4,
            offset=offset,
            gsd=gsd,
        )
        for name, (bands, gsd) in optical.items()
    } | {
        RADAR: AssetSpec(
            title="Sentinel-1 GRD",
            role="data",
            bands=bands.get(RADAR, BANDS[RADAR]),
            unit="dB",
            gsd=10.0,
        ),
        "reference_map": AssetSpec(
            title="CORINE Land Cover 2018", role="labels", gsd=10.0, values=LAND_COVER
        ),
    }
    return {name: known[name] for name in assets}


def scene_of(patch: str) -> str:
    """Return the folder of a patch's scene, as the official trees have it.

    Examples:
        >>> scene_of("S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP_26_57")
        'S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP'
        >>> scene_of("S1A_IW_GRDH_1SDV_20170613T165043_33UUP_65_63")
        'S1A_IW_GRDH_1SDV_20170613T165043'
    """
    return patch.rsplit("_", 3 if patch.startswith("S1") else 2)[0]
