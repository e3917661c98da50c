"""Which numbers can be turned into which: units by what they measure."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from registry.curate.features.bands import reflectance_factor
from registry.curate.features.scene import Layer

__all__ = ["DN", "Unit", "unit_of"]

DN: Final = "DN"
"""Stored numbers whose meaning nobody said."""

_FRACTION: Final = np.zeros((1, 1, 1, 1), np.float32)

_KNOWN: Final = {
    name: (kind, factor, offset)
    for kind, factor, offset, names in (
        ("length", 1.0, 0.0, "m metre metres meter meters"),
        ("length", 0.01, 0.0, "cm centimetre centimetres"),
        ("length", 0.001, 0.0, "mm millimetre millimetres"),
        ("length", 1000.0, 0.0, "km kilometre kilometres"),
        ("temperature", 1.0, 0.0, "k kelvin"),
        ("temperature", 1.0, 273.15, "°c degc celsius deg_c"),
        ("decibels", 1.0, 0.0, "db decibel decibels"),
    )
    for name in names.split()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What a number measures, and how to say it in that kind's own unit."""

    kind: str | None
    """``reflectance``, ``length``, ``temperature``, ``decibels`` or the unit's own name; None
    where nobody said."""

    factor: float = 1.0
    """Times the number, before the offset."""

    offset: float = 0.0
    """Added."""


def unit_of(said: str | None) -> Unit:
    """Return what a unit's name means.

    Args:
        said: As a card has it, such as ``reflectance``, ``%`` or ``dB``.

    Returns:
        Of a kind that is the name itself where it is not known; of none for None and ``DN``.

    Examples:
        >>> unit_of("%")
        Unit(kind='reflectance', factor=0.01, offset=0.0)
        >>> unit_of("t/ha").kind, unit_of("DN").kind
        ('t/ha', None)
    """
    plain = (said or "").strip().lower()
    if plain in {"", DN.lower()}:
        return Unit(kind=None)
    factor = reflectance_factor(Layer(asset="", raw=_FRACTION, unit=said))
    if factor is not None:
        return Unit(kind="reflectance", factor=factor)
    if plain in _KNOWN:
        kind, times, added = _KNOWN[plain]
        return Unit(kind=kind, factor=times, offset=added)
    return Unit(kind=plain)
