"""How arrays fit into a batch: one dtype and shape an asset, cropped and padded as asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, prod
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.errors import InvalidInputError
from registry.learn.loading.places import Places
from registry.tables.pixels import DTYPES

__all__ = ["Crop", "Fit", "RaggedBatchError", "crop_of", "fits_of", "frames_of"]

_SERIES: Final = 4
_SLICE: Final = (
    "take those that are alike with slice=ID; of a training --set data.slice=ID: see eolab slice"
)
_Value = TypeVar("_Value")


class RaggedBatchError(InvalidInputError):
    """Arrays of one asset differ in a way that no batch can hold."""

    code = "ragged-batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What one asset of a sample looks like in a batch."""

    asset: str
    """The asset's name."""

    dtype: np.dtype[Any]
    """As it is stored."""

    shape: tuple[int, ...]
    """``(band, y, x)`` or ``(time, band, y, x)``."""

    ratio: tuple[Fraction, Fraction]
    """Its pixels along y and along x for each of the first asset's."""

    @property
    def series(self) -> bool:
        """Whether it has a time axis."""
        return len(self.shape) == _SERIES

    @property
    def bytes(self) -> int:
        """How many a sample takes unpacked."""
        return self.dtype.itemsize * prod(self.shape)

    @property
    def frames(self) -> int:
        """Time steps; 1 without a time axis."""
        return self.shape[0] if self.series else 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """Where a crop may begin, in pixels of the first asset."""

    size: tuple[int, int]
    """Height and width."""

    extents: npt.NDArray[np.int64]
    """Height and width of each sample, ``(sample, 2)``."""

    step: tuple[int, int]
    """Crops begin at multiples of it along y and x, so that coarser assets can be cut too."""


def fits_of(
    places: Mapping[str, Places],
    ids: pa.StringArray,
    *,
    crop: tuple[int, int] | None = None,
    frames: int | None = None,
) -> dict[str, Fit]:
    """Return what each asset looks like in a batch.

    Args:
        places: The assets, the first of which ``crop`` is measured in.
        ids: Ids of the samples.
        crop: Height and width; None for whole arrays.
        frames: Time steps of series; None for as many as all have.

    Raises:
        RaggedBatchError: Arrays of one asset have different dtypes, bands or sizes.
        InvalidInputError: The crop is larger than a sample, or an asset cannot be cut like that.
    """
    if crop is not None and min(crop) < 1:
        raise InvalidInputError(f"crop is {crop}", hint="give height and width, at least 1")
    if frames is not None and frames < 1:
        raise InvalidInputError(f"frames is {frames}", hint="give at least 1")
    fits: dict[str, Fit] = {}
    first = next(iter(places.values()))
    for name, place in places.items():
        dtype, bands = _same_kind(place, ids)
        if crop is None:
            sides = _same(place, ids, lambda shape: shape[-2:], "pixels", _alike(place))
            ratio = (Fraction(1), Fraction(1))
        else:
            ratio = _ratio(first, place, ids)
            sides = _cut(place, crop, ratio, ids)
        shape = (bands, *sides)
        if place.series:
            shape = (frames or _steps(place, ids), *shape)
        fits[name] = Fit(asset=name, dtype=dtype, shape=shape, ratio=ratio)
    return fits


def crop_of(places: Mapping[str, Places], fits: Mapping[str, Fit], size: tuple[int, int]) -> Crop:
    """Return where crops may begin; the extents of samples follow from any asset they have."""
    count = len(next(iter(places.values())).form)
    extents = np.zeros((count, 2), np.int64)
    unknown = np.ones(count, np.bool_)
    for name, place in places.items():
        ratio = fits[name].ratio
        of_form = np.array(
            [
                [int(side / part) for side, part in zip(shape[-2:], ratio, strict=True)]
                for _, shape in place.forms
            ],
            np.int64,
        ).reshape(-1, 2)
        fill = unknown & place.there
        extents[fill] = of_form[place.form[fill]]
        unknown &= ~fill
    step = tuple(lcm(*(fit.ratio[axis].denominator for fit in fits.values())) for axis in (0, 1))
    return Crop(size=size, extents=extents, step=(step[0], step[1]))


def frames_of(steps: npt.NDArray[np.int64], frames: int) -> npt.NDArray[np.int64]:
    """Return which time steps fill the frames of a batch.

    Longer series are thinned out evenly, shorter ones end in padding.

    Args:
        steps: Time steps that each sample has, ``(sample,)``.
        frames: Frames of the batch.

    Returns:
        Shape ``(sample, frame)``; -1 for padding.

    Examples:
        >>> frames_of(np.array([2, 3, 6]), 3).tolist()
        [[0, 1, -1], [0, 1, 2], [0, 2, 4]]
    """
    frame = np.arange(frames)
    longer = np.maximum(steps, frames)[:, None] * frame // frames
    return np.where(frame < steps[:, None], longer, -1)


def _same_kind(place: Places, ids: pa.StringArray) -> tuple[np.dtype[Any], int]:
    if not place.forms:
        raise InvalidInputError(
            f"no sample has the asset {place.asset!r}",
            hint="leave it out of assets, in a recipe of data.assets",
        )
    names = {dtype for dtype, _ in place.forms}
    if len(names) > 1 or not names <= DTYPES:
        raise _ragged(place, ids, [dtype for dtype, _ in place.forms], "dtypes", _SLICE)
    _same(place, ids, len, "axes", _SLICE)
    bands = _same(place, ids, lambda shape: shape[-3:-2], "bands", _SLICE)
    return np.dtype(names.pop()), bands[0]


def _same(
    place: Places,
    ids: pa.StringArray,
    of: Callable[[tuple[int, ...]], _Value],
    what: str,
    remedy: str,
) -> _Value:
    values = [of(shape) for _, shape in place.forms]
    if len(set(values)) > 1:
        raise _ragged(place, ids, values, what, remedy)
    return values[0]


def _ragged(
    place: Places, ids: pa.StringArray, values: Sequence[object], what: str, remedy: str
) -> RaggedBatchError:
    other = next((i for i, value in enumerate(values) if value != values[0]), 0)
    one, two = (ids[int(np.argmax(place.form == form))].as_py() for form in (0, other))
    shapes = [f"{shape} of {dtype}" for dtype, shape in place.forms]
    return RaggedBatchError(
        f"arrays of asset {place.asset!r} differ in {what}: {one!r} is {shapes[0]}, "
        f"{two!r} is {shapes[other]}",
        hint=remedy,
    )


def _alike(place: Places) -> str:
    """Return how chips are cut alike, in Python and on the command line."""
    side = min(min(shape[-2:]) for _, shape in place.forms)
    return (
        f"cut them alike, such as crop=({side}, {side}); on the command line "
        f"--set data.crop=[{side},{side}] of a training, --crop {side} elsewhere"
    )


def _frames(most: int) -> str:
    return f"make them alike with frames={most}; of a training --set data.frames={most}"


def _steps(place: Places, ids: pa.StringArray) -> int:
    steps = [shape[0] for _, shape in place.forms]
    if len(set(steps)) > 1:
        raise _ragged(place, ids, steps, "time steps", _frames(max(steps)))
    return steps[0]


def _ratio(first: Places, place: Places, ids: pa.StringArray) -> tuple[Fraction, Fraction]:
    both = np.unique(np.column_stack([first.form, place.form]), axis=0)
    pairs = both[(both >= 0).all(axis=1)]
    found = {
        tuple(
            Fraction(b, a)
            for a, b in zip(first.forms[one][1][-2:], place.forms[two][1][-2:], strict=True)
        )
        for one, two in pairs
    }
    if len(found) > 1:
        raise _ragged(
            place, ids, [shape[-2:] for _, shape in place.forms],
            f"pixels for each of {first.asset!r}", _SLICE,
        )  # fmt: skip
    ratio = found.pop() if found else (Fraction(1), Fraction(1))
    return ratio[0], ratio[1]


def _cut(
    place: Places,
    crop: tuple[int, int],
    ratio: tuple[Fraction, Fraction],
    ids: pa.StringArray,
) -> tuple[int, int]:
    sides = tuple(side * part for side, part in zip(crop, ratio, strict=True))
    if any(side.denominator > 1 for side in sides):
        raise InvalidInputError(
            f"a crop of {crop} is {' by '.join(map(str, sides))} pixels of asset {place.asset!r}",
            hint=f"use multiples of {lcm(*(part.denominator for part in ratio))}",
        )
    for form, (_, shape) in enumerate(place.forms):
        if shape[-2] < sides[0] or shape[-1] < sides[1]:
            sample = ids[int(np.argmax(place.form == form))].as_py()
            raise InvalidInputError(
                f"a crop of {crop} is larger than asset {place.asset!r} of sample {sample!r}, "
                f"{shape[-2]} by {shape[-1]} pixels",
                hint="use a smaller crop, or a slice without the small samples",
            )
    return int(sides[0]), int(sides[1])
