"""Chance that a network may not learn by heart: whole batches turned, cut, shaken, deprived.

What happens to a sample hangs on the seed, the epoch and the sample's id alone, so it is the same
in whatever batch, and on whichever of how many processes the sample comes.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.loading.batch import Batch, Boxes
from registry.learn.loading.turning import Moves, Turn

__all__ = ["AUGMENTATIONS", "VALID", "Augmentation", "moved_boxes"]

AUGMENTATIONS: Final = (
    "flip", "rotate90", "crop", "jitter", "noise", "drop-bands", "drop-modality",
)  # fmt: skip
"""Names of what can be done, in the order in which it is; append only, chance hangs on places."""

VALID: Final = "_valid"
"""Arrays called like an input with this behind say where it was observed, ``(sample, …, y, x)``."""

_JITTER: Final = 0.1  # deviations that brightness moves at most; share that contrast does
_NOISE: Final = 0.05  # deviations, one standard deviation of the noise, which is uniform
_DROPPED_BANDS: Final = 0.1  # chance of each band
_DROPPED_MODALITY: Final = 0.2  # chance that a sample loses one
_YX: Final = 2
_IMAGES: Final = 3  # sides of the smallest array that has one image a sample
_TRIES: Final = 8
_MOVES: Final = ("flip", "rotate90", "crop")
_SHAKES: Final = ("jitter", "noise", "drop-bands", "drop-modality")

Arrays = dict[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to every batch.

    Examples:
        >>> arrays = {"s2": np.arange(4, dtype=np.float32).reshape(1, 1, 2, 2)}
        >>> batch = Batch(ids=("a",), arrays=arrays)
        >>> Augmentation(("flip", "rotate90"), seed=1)(batch).arrays["s2"].shape
        (1, 1, 2, 2)
    """

    names: tuple[str, ...] = ()
    """Of :data:`AUGMENTATIONS`; a crop with its side or height and width in pixels of the first
    input: ``crop:224`` or ``crop:224x192``."""

    seed: int = 0
    """What chance starts from, at least 0."""

    def __post_init__(self) -> None:
        for one in self.names:
            name, _, size = one.partition(":")
            if name not in AUGMENTATIONS or bool(size) != (name == "crop"):
                raise InvalidInputError(
                    f"there is no augmentation {one!r}",
                    hint=f"there are {', '.join(AUGMENTATIONS)}; a crop says its size: crop:224",
                )
        if self.seed < 0:
            raise InvalidInputError(f"seed is {self.seed}", hint="give at least 0")
        self._crop()

    def __call__(self, batch: Batch, *, inputs: Collection[str] | None = None) -> Batch:
        """Return a batch in which chance had its way; what it was made of stays as it is.

        Flips, turns and crops move all arrays and boxes alike; arrays of other pixel sizes over
        the same ground are cut at the same places. A crop has an observed pixel wherever its
        sample has one. Jitter, noise and dropouts leave what was not observed at 0.

        Args:
            batch: Inputs as 32-bit floats, normalised, for jitter, noise and dropouts; flips,
                turns and crops take any. ``<input>_valid`` says where an input was observed;
                without it, it was everywhere.
            inputs: Names of the arrays that a model reads; by default those of 32-bit floats.

        Raises:
            InvalidInputError: The arrays do not lie on each other, a crop is larger than they are,
                or an input that is to be shaken holds whole numbers.
        """
        moves = self.moves(batch, inputs=inputs)
        if moves is not None:
            arrays = dict(batch.arrays)
            for name in moves.sizes:
                arrays[name] = moves.turned(name, arrays[name])
            batch = replace(batch, arrays=arrays, boxes=moved_boxes(batch, moves))
        return self.shaken(batch, inputs=inputs)

    def moves(self, batch: Batch, *, inputs: Collection[str] | None = None) -> Moves | None:
        """Return which flips, turns and crops happen to the arrays of a batch; None if none do.

        Args:
            batch: As for a call; of inputs and masks, shapes are all that counts.
            inputs: As there.

        Raises:
            InvalidInputError: As there.
        """
        crop = self._crop()
        images = {name: one for name, one in batch.arrays.items() if one.ndim >= _IMAGES}
        if not images or not len(batch) or not ({"flip", "rotate90"} & {*self.names} or crop):
            return None
        read = _inputs(batch, inputs)
        first = read[0] if read and read[0] in images else next(iter(images))
        whole = images[first].shape[-_YX], images[first].shape[-1]
        frame = _Frame.of(images, whole=whole, crop=crop)
        turns = []
        for number, chance in enumerate(self._chances(batch, _MOVES)):
            corner = (0, 0)
            if crop is not None:
                corner = frame.corner(chance["crop"], _seen(images, read, number))
            turns.append(_turn(chance, corner=corner, square=frame.size[0] == frame.size[1]))
        return Moves(
            turns=tuple(turns),
            frame=frame.size,
            sizes={name: frame.own(name) for name in images},
            steps=frame.steps,
        )

    def shaken(self, batch: Batch, *, inputs: Collection[str] | None = None) -> Batch:
        """Return a batch after jitter, noise and dropouts alone; arguments as for a call.

        Raises:
            InvalidInputError: An input that is to be shaken holds whole numbers.
        """
        if not len(batch) or not {*_SHAKES} & {*self.names}:
            return batch
        read, chances = _inputs(batch, inputs), self._chances(batch, _SHAKES)
        arrays, valid = dict(batch.arrays), dict(batch.valid)
        for name in read:
            if arrays[name].dtype != np.float32:
                raise InvalidInputError(
                    f"'{name}' holds {arrays[name].dtype}, as it is stored",
                    hint="jitter, noise and dropouts take normalised values: normalise=True",
                )
            own = np.array(arrays[name], np.float32)
            for sample, chance in zip(own, chances, strict=True):
                _shake(sample, chance)
            arrays[name] = own
        if "drop-modality" in self.names:
            for number, chance in enumerate(chances):
                _drop_modality(arrays, valid, read, number, chance["drop-modality"])
        return replace(batch, arrays=arrays, valid=valid)

    # ------------------------------------------------------------------------------ chance
    def _chances(
        self, batch: Batch, names: Collection[str]
    ) -> list[Mapping[str, np.random.Generator]]:
        """Return chance for each sample, by those of some names that are asked for."""
        asked = {one.partition(":")[0] for one in self.names}
        places = {name: AUGMENTATIONS.index(name) for name in names if name in asked}
        before: Counter[str] = Counter()
        chances = []
        for sample in batch.ids:
            chances.append(self._chance(sample, batch.epoch, before[sample], places))
            before[sample] += 1
        return chances

    def _chance(
        self, sample: str, epoch: int, before: int, places: Mapping[str, int]
    ) -> Mapping[str, np.random.Generator]:
        """Return chance for one sample, by name, so that one name does not change another's."""
        of_id = int.from_bytes(hashlib.sha256(sample.encode()).digest()[:8])
        root = (self.seed, epoch, of_id, before)
        return {name: np.random.default_rng((*root, place)) for name, place in places.items()}

    def _crop(self) -> tuple[int, int] | None:
        said = [one.partition(":")[2] for one in self.names if one.startswith("crop:")]
        if not said:
            return None
        sides = said[-1].split("x")
        if len(sides) > _YX or not all(side.isdecimal() and int(side) for side in sides):
            raise InvalidInputError(
                f"a crop of {said[-1]!r}", hint="say its side, or height and width: crop:224x192"
            )
        return int(sides[0]), int(sides[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Frame:
    """What is cut out of every image, in pixels of the first input."""

    whole: tuple[int, int]
    size: tuple[int, int]
    steps: Mapping[str, tuple[int, int]]  # pixels of the first input a pixel of each array, or
    grid: tuple[int, int]  # corners lie on multiples of these

    @classmethod
    def of(
        cls,
        images: Mapping[str, npt.NDArray[Any]],
        *,
        whole: tuple[int, int],
        crop: tuple[int, int] | None,
    ) -> "_Frame":
        size = crop or whole
        if size[0] > whole[0] or size[1] > whole[1]:
            raise InvalidInputError(
                f"a crop of {size[0]} by {size[1]} pixels is larger than the images, "
                f"{whole[0]} by {whole[1]}",
                hint="make it smaller",
            )
        if crop is None:
            return cls(whole=whole, size=size, steps=dict.fromkeys(images, (1, 1)), grid=(1, 1))
        steps = {}
        for name, array in images.items():
            own = array.shape[-_YX], array.shape[-1]
            ratio = whole[0] / own[0], whole[1] / own[1]
            coarse = tuple(int(one) for one in ratio)
            if any(one < 1 or one != int(one) for one in ratio) or any(
                side % each for side, each in zip(size, coarse, strict=True)
            ):
                raise InvalidInputError(
                    f"'{name}' has {own[0]} by {own[1]} pixels where the first input has "
                    f"{whole[0]} by {whole[1]}, so {size[0]} by {size[1]} cannot be cut from both",
                    hint="crop to a multiple of the coarser pixels, and read the finest first",
                )
            steps[name] = (coarse[0], coarse[1])
        grid = (
            int(np.lcm.reduce([step[0] for step in steps.values()])),
            int(np.lcm.reduce([step[1] for step in steps.values()])),
        )
        return cls(whole=whole, size=size, steps=steps, grid=grid)

    def own(self, name: str) -> tuple[int, int] | None:
        """Return the size to cut from an array, in its own pixels; None for all of it."""
        if self.size == self.whole:
            return None
        step = self.steps[name]
        return self.size[0] // step[0], self.size[1] // step[1]

    def corner(
        self, chance: np.random.Generator, seen: npt.NDArray[np.bool_] | None
    ) -> tuple[int, int]:
        """Return where a crop begins: anywhere that it sees something, if anything is there."""
        corner = self._drawn(chance)
        if seen is None:
            return corner
        for _ in range(_TRIES):
            if self._sees(seen, corner):
                return corner
            corner = self._drawn(chance)
        rows, columns = np.nonzero(self._reached(seen))
        if not len(rows):
            return corner
        one = int(chance.integers(len(rows)))
        scale = self.whole[0] / seen.shape[0], self.whole[1] / seen.shape[1]
        pixel = int(rows[one] * scale[0]), int(columns[one] * scale[1])
        return self._around(chance, pixel, 0), self._around(chance, pixel, 1)

    def _drawn(self, chance: np.random.Generator) -> tuple[int, int]:
        places = [
            (whole - size) // grid + 1
            for whole, size, grid in zip(self.whole, self.size, self.grid, strict=True)
        ]
        row, column = (int(chance.integers(many)) for many in places)
        return row * self.grid[0], column * self.grid[1]

    def _reached(self, seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Return the part that some crop covers: its corners lie on a grid."""
        ends = [
            (whole - size) // grid * grid + size
            for whole, size, grid in zip(self.whole, self.size, self.grid, strict=True)
        ]
        rows, columns = (
            end * side // whole
            for end, side, whole in zip(ends, seen.shape, self.whole, strict=True)
        )
        return seen[:rows, :columns]

    def _around(self, chance: np.random.Generator, pixel: tuple[int, int], axis: int) -> int:
        """Return a corner whose crop has a pixel in it."""
        at, grid = pixel[axis], self.grid[axis]
        last = (self.whole[axis] - self.size[axis]) // grid
        low = max(0, -(-(at - self.size[axis] + 1) // grid))
        high = min(last, at // grid)
        return grid * int(chance.integers(low, high + 1))

    def _sees(self, seen: npt.NDArray[np.bool_], corner: tuple[int, int]) -> bool:
        rows, columns = (
            slice(
                corner[axis] * seen.shape[axis] // self.whole[axis],
                -(-(corner[axis] + self.size[axis]) * seen.shape[axis] // self.whole[axis]),
            )
            for axis in (0, 1)
        )
        return bool(seen[rows, columns].any())


def _turn(
    chance: Mapping[str, np.random.Generator], *, corner: tuple[int, int], square: bool
) -> Turn:
    down = across = False
    quarters = 0
    if "flip" in chance:
        down, across = (bool(one) for one in chance["flip"].integers(2, size=2))
    if "rotate90" in chance:
        drawn = int(chance["rotate90"].integers(4))
        quarters = drawn if square else drawn // 2 * 2  # others would change the shape
    return Turn(corner=corner, down=down, across=across, quarters=quarters)


def _inputs(batch: Batch, inputs: Collection[str] | None) -> tuple[str, ...]:
    if inputs is None:
        return tuple(
            name
            for name, one in batch.arrays.items()
            if one.dtype == np.float32 and one.ndim >= _IMAGES
        )
    return tuple(name for name in inputs if name in batch.arrays)


def _seen(
    images: Mapping[str, npt.NDArray[Any]], read: tuple[str, ...], number: int
) -> npt.NDArray[np.bool_] | None:
    """Return where a sample's first input that says so was observed at any time."""
    for name in read:
        if name + VALID in images:
            one = images[name + VALID][number].astype(np.bool_)
            return np.asarray(one.reshape(-1, *one.shape[-_YX:]).any(axis=0))
    return None


def moved_boxes(batch: Batch, moves: Moves) -> tuple[Boxes, ...] | None:
    """Return the boxes of a batch whose middle is still in sight, as far as they are."""
    if batch.boxes is None:
        return None
    pairs = zip(batch.boxes, moves.turns, strict=True)
    return tuple(_moved_boxes(one, turn, moves.frame) for one, turn in pairs)


def _moved_boxes(boxes: Boxes, turn: Turn, size: tuple[int, int]) -> Boxes:
    """Return the boxes whose middle is still in sight, as far as they are."""
    corners = turn.corners(boxes.corners.astype(np.float32), size)
    middle = (corners[:, :2] + corners[:, 2:]) / 2
    limits = np.array([size[1], size[0]], np.float32)
    kept = ((middle >= 0) & (middle < limits)).all(axis=1)
    clipped = np.clip(corners, 0, np.tile(limits, 2)).astype(np.float32)
    return Boxes(corners=clipped[kept], classes=boxes.classes[kept])


def _shake(own: npt.NDArray[np.float32], chance: Mapping[str, np.random.Generator]) -> None:
    """Change one sample's input in place; shape ``(…, band, y, x)``."""
    bands = own.shape[-_IMAGES] if own.ndim >= _IMAGES else 1
    by_band = (bands, 1, 1) if own.ndim >= _IMAGES else (1,) * own.ndim
    blank = own == 0  # what was not observed
    if "jitter" in chance:
        contrast, brightness = chance["jitter"].uniform(-_JITTER, _JITTER, size=(2, bands))
        own *= 1 + contrast.reshape(by_band).astype(np.float32)
        own += brightness.reshape(by_band).astype(np.float32)
    if "noise" in chance:
        noise = chance["noise"].random(own.shape, np.float32)
        noise -= np.float32(0.5)
        noise *= np.float32(_NOISE * math.sqrt(12))
        own += noise
    own[blank] = 0
    if "drop-bands" in chance:
        gone = chance["drop-bands"].random(bands) < _DROPPED_BANDS
        if gone.all():
            gone[int(chance["drop-bands"].integers(bands))] = False
        if own.ndim >= _IMAGES:
            own[..., gone, :, :] = 0


def _drop_modality(
    arrays: Arrays,
    valid: dict[str, npt.NDArray[np.bool_]],
    read: tuple[str, ...],
    number: int,
    chance: np.random.Generator,
) -> None:
    """Take one input from a sample that has several, and say that it is not there."""
    drawn, which = chance.random(), chance.random()
    there = [n for n in read if n not in valid or valid[n][number].any()]
    if len(there) < 2 or drawn >= _DROPPED_MODALITY:  # noqa: PLR2004 — one has to stay
        return
    name = there[int(which * len(there))]
    gone = np.array(arrays[name])
    gone[number] = 0
    arrays[name] = gone
    if name + VALID in arrays:
        mask = np.array(arrays[name + VALID])
        mask[number] = False
        arrays[name + VALID] = mask
    own = np.array(valid[name]) if name in valid else np.ones(len(gone), np.bool_)
    own[number] = False
    valid[name] = own
