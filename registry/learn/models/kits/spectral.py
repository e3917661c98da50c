"""Which band is which, in the words of foundation models."""

from collections.abc import Mapping, Sequence
from typing import Final

from registry.curate.features.bands import common_letters, is_narrow
from registry.errors import InvalidInputError
from registry.learn.loading.contract import Band, Input

__all__ = ["MODALITIES", "PRITHVI", "ordered", "spectral_names", "told"]

PRITHVI: Final = ("BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2")
"""What the weights of Prithvi read, in their order."""

MODALITIES: Final = {
    "S2L2A": (
        "COASTAL_AEROSOL", "BLUE", "GREEN", "RED", "RED_EDGE_1", "RED_EDGE_2", "RED_EDGE_3",
        "NIR_BROAD", "NIR_NARROW", "WATER_VAPOR", "SWIR_1", "SWIR_2",
    ),
    "S2L1C": (
        "COASTAL_AEROSOL", "BLUE", "GREEN", "RED", "RED_EDGE_1", "RED_EDGE_2", "RED_EDGE_3",
        "NIR_BROAD", "NIR_NARROW", "WATER_VAPOR", "CIRRUS", "SWIR_1", "SWIR_2",
    ),
    "S1GRD": ("VV", "VH"),
    "S1RTC": ("VV", "VH"),
    "DEM": ("DEM",),
}  # fmt: skip
"""What the weights of TerraMind read, in their order."""

_NAMES: Final = {
    "A": "COASTAL_AEROSOL", "B": "BLUE", "G": "GREEN", "R": "RED", "RE1": "RED_EDGE_1",
    "RE2": "RED_EDGE_2", "RE3": "RED_EDGE_3", "N": "NIR_BROAD", "N2": "NIR_NARROW",
    "WV": "WATER_VAPOR", "S1": "SWIR_1", "S2": "SWIR_2", "T1": "THERMAL_INFRARED_1",
    "T2": "THERMAL_INFRARED_12", "VV": "VV", "VH": "VH", "E": "DEM",
}  # fmt: skip
_EVERY: Final = frozenset({*_NAMES.values(), "CIRRUS"})
_NEAR: Final = {"NIR_BROAD": "NIR_NARROW", "NIR_NARROW": "NIR_BROAD"}


def spectral_names(one: Input) -> tuple[str, ...]:
    """Return the names by which foundation models know an input's bands.

    Args:
        one: With common letters, or names that tell them.

    Returns:
        One a band, such as ``NIR_NARROW``.

    Raises:
        InvalidInputError: Nobody says which band one is; the hint says what to do.

    Examples:
        >>> spectral_names(Input(asset="image", bands=(Band(name="B04"), Band(name="B8A"))))
        ('RED', 'NIR_NARROW')
    """
    letters = common_letters([band.name for band in one.bands], asset=one.asset, gsd=one.gsd)
    guessed = letters or (None,) * len(one.bands)
    found = [_name(band, letter) for band, letter in zip(one.bands, guessed, strict=True)]
    unknown = [band.name for band, name in zip(one.bands, found, strict=True) if name is None]
    if unknown:
        raise InvalidInputError(
            f"nobody says which band '{unknown[0]}' of asset '{one.asset}' is",
            hint="say args: {bands: [BLUE, GREEN, RED, NIR_NARROW, SWIR_1, SWIR_2]} as they come",
        )
    return tuple(name for name in found if name is not None)


def told(one: Input, bands: Sequence[str] | Mapping[str, Sequence[str]] | None) -> tuple[str, ...]:
    """Return the names of an input's bands, those that a recipe says before those of the data.

    Args:
        one: The input.
        bands: What a recipe says of all assets, or by asset; None where it says nothing.

    Returns:
        One a band.

    Raises:
        InvalidInputError: They are not as many, or no such band is known.
    """
    said = bands.get(one.asset) if isinstance(bands, Mapping) else bands
    if said is None:
        return spectral_names(one)
    if len(said) != len(one.bands) or not set(said) <= _EVERY:
        raise InvalidInputError(
            f"bands {', '.join(map(str, said))} for the {len(one.bands)} of asset '{one.asset}'",
            hint=f"name each once, in the order of the contract: {', '.join(sorted(_EVERY))}",
        )
    return tuple(said)


def ordered(names: Sequence[str], known: Sequence[str], *, what: str) -> tuple[int, ...]:
    """Return where each band lies among those that a model's weights know.

    Either near infrared stands for the other where the model knows only one.

    Args:
        names: Of the data's bands.
        known: Of the model's, in the order of its weights.
        what: Which model, for the message.

    Returns:
        One a band of the data.

    Raises:
        InvalidInputError: The model does not know a band, or two bands are one to it.

    Examples:
        >>> ordered(["RED", "NIR_BROAD"], PRITHVI, what="Prithvi")
        (2, 3)
    """
    found = []
    for name in names:
        mine = name if name in known else _NEAR.get(name, name)
        if mine not in known or known.index(mine) in found:
            raise InvalidInputError(
                f"{what} has no place for band {name}; it reads {', '.join(known)}",
                hint="leave the band out (data: bands:), or take a model that reads it",
            )
        found.append(known.index(mine))
    return tuple(found)


def _name(band: Band, letter: str | None) -> str | None:
    if band.name in _EVERY:
        return band.name
    said = _NAMES.get(band.common or letter or "")
    return "NIR_NARROW" if said == "NIR_BROAD" and is_narrow(band.name) else said
