"""What each pixel of the ground is made of: fields, stands, roofs and streets."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.ingest.simulator.covers import BARE, CROPS, RIVER
from registry.curate.ingest.simulator.fields import Field, moved, ranks, rotated
from registry.curate.ingest.simulator.materials import Sensor
from registry.curate.ingest.simulator.places import Place
from registry.curate.ingest.simulator.seasons import crops_of

__all__ = ["Painter", "Units", "field_px"]

_TREES: Final = {
    "temperate": "summer-forest", "mediterranean": "evergreen", "monsoon": "dry-forest",
    "tropical": "evergreen", "arid": "evergreen", "polar": "tundra",
}  # fmt: skip
_GRASSES: Final = {
    "temperate": "meadow", "mediterranean": "winter-grass", "monsoon": "savanna",
    "tropical": "meadow", "arid": "savanna", "polar": "tundra",
}  # fmt: skip
_LOTS: Final = (
    "roof-tile", "roof-dark", "roof-bright", "paved", "garden", "garden", "street", "garden",
    "roof-dark",
)  # fmt: skip
_SHADES: Final = 12  # brightness levels of each kind of ground that has no fields
_BUILT_BLOCK_M: Final = 130
_LOT_M: Final = 28
_STREET_M: Final = 14
_ROWS_M: Final = 30


_LOT_KINDS: Final = 512  # different lots; more would not be told apart
_WELL_KINDS: Final = 256
_DISC: Final = 0.47  # radius of a round field, of its square's edge

# By cover: how much pixels differ from their neighbours, and how much patches from patches.
_GRAIN: Final = np.array([0.015, 0.13, 0.022, 0.05, 0.07, 0.06, 0.02, 0.03], np.float32)
_PATCHES: Final = np.array([0.01, 0.06, 0.035, 0.09, 0.03, 0.14, 0.03, 0.04], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Units:
    """Pieces of ground that look alike throughout: fields, stands, roofs."""

    ground: npt.NDArray[np.str_]
    """Kind of ground, a key of ``GROUNDS``; shape ``(unit,)``."""

    shift: Field
    """How many days later than usual its year runs; shape ``(unit,)``."""

    vigour: Field
    """How much of the usual green it has; shape ``(unit,)``."""

    bright: Field
    """How bright it is against its material; shape ``(unit,)``."""


def field_px(place: Place, sensor: Sensor, size: int) -> float:
    """Return the mean edge of a field in pixels, at least so many that it can be seen."""
    return max(place.field_m / sensor.gsd_m, 6.0, size / 90)


class Painter:
    """Gives every pixel its unit, and every unit its kind of ground."""

    def __init__(
        self,
        *,
        place: Place,
        sensor: Sensor,
        rough: Field,
        rng: np.random.Generator,
        degrees: float,
    ) -> None:
        self._place, self._sensor, self._rng = place, sensor, rng
        self._size = rough.shape[0]
        self._u, self._v = rotated(self._size, degrees)
        self._mottle = ranks(moved(rough, rng))
        self._grounds: list[npt.NDArray[np.str_]] = []
        self._count = 0

    def units(self) -> Units:
        """Return the units that were painted with, each a little different from its like."""
        ground = np.concatenate(self._grounds)
        shift, vigour, bright = self._rng.standard_normal((3, ground.size), np.float32)
        return Units(
            ground=ground,
            shift=9 * shift,
            vigour=np.clip(np.float32(0.93) + np.float32(0.12) * vigour, 0.4, 1.1),
            bright=np.clip(1 + np.float32(0.1) * bright, 0.7, 1.35),
        )

    def paint(
        self,
        kinds: tuple[str, ...],
        kind: npt.NDArray[np.intp],
        cover: npt.NDArray[np.uint8],
        field: npt.NDArray[np.int32],
        border: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.int32]:
        """Return the unit of each pixel; sand between round fields is noted in ``cover``."""
        unit = np.zeros(kind.shape, np.int32)
        for number, name in enumerate(kinds):
            where = kind == number
            if name == "crops" and self._place.climate == "arid":
                unit[where] = self._round_fields(where, cover)
            elif name == "crops":
                unit[where] = self._fields(where, field, border)
            elif name == "town":
                unit[where] = self._town(where)
            else:
                unit[where] = self._mottled(_ground_of(name, self._place.climate), where)
        where = cover == RIVER
        unit[where] = self._mottled("river", where)
        return unit

    def _add(self, grounds: npt.NDArray[np.str_]) -> int:
        first = self._count
        self._grounds.append(grounds.astype("<U16"))
        self._count += grounds.size
        return first

    def _mottled(self, ground: str, where: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        first = self._add(np.repeat([ground], _SHADES))
        level = np.minimum(self._mottle[where] * _SHADES, _SHADES - 1)
        return first + level.astype(np.int32)

    def _fields(
        self,
        where: npt.NDArray[np.bool_],
        field: npt.NDArray[np.int32],
        border: npt.NDArray[np.bool_],
    ) -> npt.NDArray[np.int32]:
        names, shares = crops_of(self._place.climate)
        first = self._add(self._rng.choice(np.array(names), int(field.max()) + 1, p=shares))
        return np.where(border[where], self._mottled("track", where), first + field[where])

    def _round_fields(
        self, where: npt.NDArray[np.bool_], cover: npt.NDArray[np.uint8]
    ) -> npt.NDArray[np.int32]:
        """Return fields watered by an arm that turns about a well, with sand between them."""
        names, shares = crops_of(self._place.climate)
        edge = field_px(self._place, self._sensor, self._size)
        column, row = self._u[where] / edge, self._v[where] / edge
        disc = np.hypot(column % 1 - 0.5, row % 1 - 0.5) < _DISC
        grown = self._rng.choice(np.array([*names, "sand"]), _WELL_KINDS, p=[*(0.8 * shares), 0.2])
        well = (np.floor(column) * 37 + np.floor(row) * 101).astype(np.int32) % _WELL_KINDS
        cover[where] = np.where(disc & (grown[well] != "sand"), CROPS, BARE)
        return np.where(disc, self._add(grown) + well, self._mottled("sand", where))

    def _town(self, where: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        gsd_m = self._sensor.gsd_m
        bend = self._mottle[where] * np.float32(3)
        u, v = self._u[where] + bend, self._v[where] + bend
        block, lot = _BUILT_BLOCK_M / gsd_m, max(_LOT_M / gsd_m, 1.0)
        wide = max(_STREET_M / gsd_m, 0.45)
        street = (np.mod(u, block * 1.4) < wide) | (np.mod(v, block) < wide)
        first = self._add(self._rng.choice(np.array(_LOTS), _LOT_KINDS))
        which = (np.floor(u / lot) * 127 + np.floor(v / lot) * 311).astype(np.int32) % _LOT_KINDS
        return np.where(street, self._mottled("street", where), first + which)

    def tone(
        self, cover: npt.NDArray[np.uint8], field: npt.NDArray[np.int32], rough: Field
    ) -> Field:
        """Return the brightness of each pixel against its unit: rows, crowns, waves."""
        grain = self._rng.standard_normal(cover.shape, np.float32)
        grain[:, 1:] += grain[:, :-1].copy()
        tone = 1 + _GRAIN[cover] * grain + _PATCHES[cover] * rough
        crops = cover == CROPS
        lengthwise = self._rng.integers(0, 2, int(field.max()) + 1, dtype=np.bool_)
        across = np.where(lengthwise[field[crops]], self._u[crops], self._v[crops])
        turn = np.float32(2 * np.pi / max(_ROWS_M / self._sensor.gsd_m, 2.7))
        tone[crops] += np.float32(0.03) * np.sin(across * turn)
        return np.clip(tone, 0.3, 1.9)


def _ground_of(kind: str, climate: str) -> str:
    if kind == "broadleaf":
        return _TREES[climate]
    if kind == "grass":
        return _GRASSES[climate]
    return kind
