"""What training gets of a stored batch: converted, augmented, masks as classes, by key."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.pixel_labels import UNLABELLED, PixelLabels
from registry.learn.loading.augment import VALID, Augmentation, moved_boxes
from registry.learn.loading.batch import Batch
from registry.learn.loading.conversion import Conversion
from registry.learn.loading.sharing import Share
from registry.learn.loading.turning import Moves, quick

__all__ = ["Making"]

_YX: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How a stored batch becomes one for training."""

    conversion: Conversion
    """How stored inputs become what a model reads."""

    masks: Mapping[str, PixelLabels]
    """How masks are read, by asset."""

    normalise: bool = True
    """Whether inputs are converted; otherwise they stay as they are stored, as 32-bit floats."""

    augmentation: Augmentation = field(default_factory=Augmentation)
    """What chance does to each batch."""

    keys: Mapping[str, str]
    """By asset, the key that its array has in a batch."""

    @property
    def said(self) -> tuple[str, ...]:
        """What is converted and assumed, in words."""
        told = self.conversion.said if self.normalise else ("inputs stay as they are stored",)
        return (*told, *(mask.said for mask in self.masks.values()))

    def of(self, stored: Batch, share: Share) -> dict[str, Any]:
        """Return a batch as arrays of its own by key.

        Args:
            stored: What a stream gave.
            share: What shares its samples among threads.
        """
        moved = self._moved(stored, share)
        return self._named(self.augmentation.shaken(moved, inputs=self._inputs()))

    def _inputs(self) -> tuple[str, ...]:
        return tuple(self.conversion.steps)

    def _moved(self, stored: Batch, share: Share) -> Batch:
        """Return a batch converted, flipped, turned and cut, each sample in one go."""
        inputs = self._inputs()
        seen = {asset: self._seen(asset, stored, share) for asset in inputs}
        images = {
            name: one
            for asset in inputs
            for name, one in (
                (asset, stored.arrays[self.conversion.sources[asset]]),
                (asset + VALID, seen[asset]),
            )
        }
        images |= {asset: stored.arrays[asset] for asset in self.masks if asset in stored.arrays}
        moves = self.augmentation.moves(replace(stored, arrays=images), inputs=inputs)
        arrays: dict[str, npt.NDArray[Any]] = {}
        for asset in inputs:
            arrays[asset] = self._input(asset, stored, moves, share)
            observed = seen[asset]
            arrays[asset + VALID] = moves.turned(asset + VALID, observed) if moves else observed
        for asset in self.masks:
            if asset in stored.arrays:
                arrays[asset] = self._mask(asset, stored, moves, share)
        sources = self.conversion.sources
        return replace(
            stored,
            arrays=arrays,
            valid={
                asset: np.array(stored.valid[sources[asset]])
                for asset in inputs
                if sources[asset] in stored.valid
            },
            times={
                asset: np.array(stored.times[source])
                for asset, source in sources.items()
                if source in stored.times
            },
            boxes=moved_boxes(stored, moves) if moves else stored.boxes,
        )

    def _seen(self, asset: str, stored: Batch, share: Share) -> npt.NDArray[np.bool_]:
        source = self.conversion.sources[asset]
        array, there = stored.arrays[source], stored.valid.get(source)
        seen = np.empty((*array.shape[: -_YX - 1], *array.shape[-_YX:]), np.bool_)

        def fill(numbers: range) -> None:
            some = slice(numbers.start, numbers.stop)
            seen[some] = self.conversion.seen(asset, array[some])
            if there is not None:
                seen[some][~there[some]] = False

        share(fill, len(array))
        return seen

    def _input(
        self, asset: str, stored: Batch, moves: Moves | None, share: Share
    ) -> npt.NDArray[np.float32]:
        source = self.conversion.sources[asset]
        array, there = stored.arrays[source], stored.valid.get(source)
        places = [step.source for step in self.conversion.steps[asset]]
        shape = (*array.shape[1 : -_YX - 1], len(places), *array.shape[-_YX:])
        out = _room(asset, moves, len(array), shape, np.dtype(np.float32))

        def fill(numbers: range) -> None:
            for number in numbers:
                image, target = _view(asset, moves, array[number], number), out[number]
                if self.normalise:
                    self.conversion.apply(asset, image, out=target)
                else:
                    target[...] = np.take(image, places, axis=-_YX - 1)
                if there is not None:
                    target[~there[number]] = 0

        share(fill, len(array))
        return out

    def _mask(
        self, asset: str, stored: Batch, moves: Moves | None, share: Share
    ) -> npt.NDArray[Any]:
        mask, array, there = self.masks[asset], stored.arrays[asset], stored.valid.get(asset)
        nothing = mask.apply(array[:0])  # its shape and type
        out = _room(asset, moves, len(array), nothing.shape[1:], nothing.dtype)

        def fill(numbers: range) -> None:
            some = slice(numbers.start, numbers.stop)
            classes = mask.apply(array[some], ids=stored.ids[some])
            if there is not None:
                classes[~there[some]] = np.nan if mask.quantity else UNLABELLED
            for number, one in zip(numbers, classes, strict=True):
                out[number] = _view(asset, moves, one, number)

        share(fill, len(array))
        return out

    def _named(self, batch: Batch) -> dict[str, Any]:
        named: dict[str, Any] = {"id": list(batch.ids)}
        for name, array in batch.arrays.items():
            asset = name.removesuffix(VALID) if name not in self.keys else name
            named[self.keys[asset] + name[len(asset) :]] = array
        for asset, moments in batch.times.items():
            seconds = moments.astype("datetime64[ms]").astype(np.float64) / 1000
            seconds[np.isnat(moments)] = np.nan
            named[f"{self.keys[asset]}_times"] = seconds
        if batch.target is not None:
            named["target"] = np.array(batch.target, np.float32)
        for one in (batch.target, batch.labels, batch.label):
            if one is not None:
                named["label"] = np.array(one)
        if batch.labels is not None:  # beside one class a sample, which then is the label
            named["labels"] = np.array(batch.labels)
        if batch.boxes is not None:
            named["bbox_xyxy"] = [one.corners.copy() for one in batch.boxes]  # the stream's own
            named["label"] = [one.classes.copy() for one in batch.boxes]
        return named


def _room(
    name: str, moves: Moves | None, count: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    """Return room for images of some shape after their turns."""
    return np.empty((count, *(moves.shape(name, shape) if moves else shape)), dtype)


def _view(name: str, moves: Moves | None, image: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
    """Return a sample's image after its turn, to be read once."""
    return quick(moves.view(name, image, number)) if moves else image
