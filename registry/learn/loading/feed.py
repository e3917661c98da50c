"""A stream as training takes it: normalised, augmented, masks as classes, under TorchGeo's keys.

It knows NumPy alone; the adapters to PyTorch and TensorFlow hand on what it gives.
"""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any, Final, TypeVar

import numpy as np
import numpy.typing as npt

from registry.catalog.ref import Ref
from registry.catalog.registry import Registry, connect
from registry.catalog.version import Version
from registry.curate.features.pixel_labels import UNLABELLED, PixelLabels, pixel_labels
from registry.errors import InvalidInputError
from registry.learn.loading.ahead import ahead
from registry.learn.loading.augment import VALID, Augmentation, moved_boxes
from registry.learn.loading.batch import Batch
from registry.learn.loading.contract import Chosen, Contract, of_version, select
from registry.learn.loading.conversion import Conversion, conversion
from registry.learn.loading.sharing import Share, sharing
from registry.learn.loading.stream import Stream, stream
from registry.learn.loading.turning import Moves, quick

__all__ = ["IMAGE", "MASK", "Feed", "feed"]

IMAGE: Final = "image"
"""Key of the first input."""

MASK: Final = "mask"
"""Key of the first mask."""

_YX: Final = 2


Made = TypeVar("Made")


@dataclass(kw_only=True)  # a position that moves, so not frozen
class Feed:
    """Batches of a stream as dictionaries of arrays by key.

    An iteration is an epoch. The epoch is over when its last batch was given, whether or not
    anybody asks for one more; an iteration that is left before that begins again next time. One
    iteration runs at a time: a new one ends the one before.

    Keys are TorchGeo's: ``image`` is the first input, ``mask`` the first mask, other assets keep
    their names; ``image_valid`` says where every band of it was observed, ``image_times`` when, in
    seconds since 1970. Beside them ``label`` (int64, float32 for several classes or a quantity),
    ``labels`` (which classes, whatever ``label`` is), ``target``, ``bbox_xyxy`` with a ``label`` a
    box, and ``id``.
    """

    stream: Stream
    """Where batches come from."""

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

    prefetch: int = 0
    """Batches that a thread makes while somebody works on the last one."""

    _epoch: int = 0
    _given: dict[str, Any] | None = None
    _pending: dict[str, Any] | None = None
    _running: Generator[Any, None, None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._epoch = self.stream.epoch

    @property
    def said(self) -> tuple[str, ...]:
        """What is converted and assumed, in words."""
        told = self.conversion.said if self.normalise else ("inputs stay as they are stored",)
        return (*told, *(mask.said for mask in self.masks.values()))

    # ------------------------------------------------------------------------------- batches
    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Return the batches of an epoch, each as arrays of its own by key."""
        return self.run(lambda batch: batch)

    def run(self, make: Callable[[dict[str, Any]], Made]) -> Generator[Made, None, None]:
        """Return the batches of an epoch as something else.

        Args:
            make: Makes it of a batch; in the thread that works ahead, if there is one.
        """
        if self._running is not None:
            self._running.close()
        self._running = found = self._given_one_by_one(make)
        return found

    def _given_one_by_one(
        self, make: Callable[[dict[str, Any]], Made]
    ) -> Generator[Made, None, None]:
        pending, self._pending = self._pending, None
        epoch = self._epoch
        if pending is None:
            self.stream.set_epoch(epoch)
        else:
            self.stream.resume(pending)
        with closing(ahead(self._made(make), self.prefetch)) as made:
            for state, one in made:
                if state["step"] == len(self):
                    made.close()  # nobody may ask for more, as Lightning does not
                    self._epoch = epoch + 1
                    self._given = state | {"epoch": epoch + 1, "step": 0}
                    yield one
                    return
                self._given = state
                yield one

    def _made(
        self, make: Callable[[dict[str, Any]], Made]
    ) -> Generator[tuple[dict[str, Any], Made], None, None]:
        with sharing(self.stream.settings.threads) as share:
            for stored in self.stream:
                batch = self.augmentation.shaken(self._moved(stored, share), inputs=self._inputs())
                yield self.stream.state(), make(self._named(batch))

    # ------------------------------------------------------------------------------ position
    @property
    def epoch(self) -> int:
        """Which pass the next iteration is, from 0."""
        return self._epoch

    def set_epoch(self, epoch: int) -> None:
        """Say which pass comes next; a position inside that pass, taken up before, stays.

        Raises:
            InvalidInputError: It is below 0.
        """
        if epoch < 0:
            raise InvalidInputError(f"epoch is {epoch}", hint="give at least 0")
        if epoch != self._epoch:
            self._epoch, self._pending, self._given = epoch, None, None

    def state(self) -> dict[str, Any]:
        """Return where it stands, as JSON's own types: after the batch that it gave last."""
        found = self._pending or self._given
        return dict(found or self.stream.state() | {"epoch": self._epoch, "step": 0})

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on where another feed stood.

        Args:
            state: What :meth:`state` returned.

        Raises:
            InvalidInputError: That one had other samples, or gave them in another order.
        """
        if self._running is not None:
            self._running.close()
        self.stream.resume(state)
        self._epoch, self._pending = self.stream.epoch, self.stream.state()
        self._given = None

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return len(self.stream)

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


def feed(  # noqa: PLR0913 — the choices that training has
    ref: Ref | str | Version,
    *,
    registry: Registry | None = None,
    assets: Sequence[str] | None = None,
    bands: Chosen | None = None,
    splits: str | None = None,
    contract: Contract | None = None,
    allow: Collection[str] = (),
    normalise: bool = True,
    augment: Sequence[str] = (),
    prefetch: int = 0,
    **arguments: Any,  # noqa: ANN401 — the stream's own
) -> Feed:
    """Return the batches of a version as training takes them.

    Args:
        ref: A ref such as ``ships@v2``, or a version.
        registry: Where it is looked up; the usual one by default.
        assets: Inputs and masks, in this order; by default all inputs that the contract names, or
            that there are, and all masks.
        bands: Which bands of the inputs, by name or common letter, in this order.
        splits: Name of the split; ``default`` or ``official`` if None.
        contract: What a model reads; by default what the version gives, normalised by its own
            training samples.
        allow: What may differ from the contract, as :func:`conversion.conversion` has it.
        normalise: Whether inputs are normalised; otherwise their stored values are given.
        augment: Names of augmentations.
        prefetch: Batches that a thread makes while somebody works on the last one.
        arguments: Of :func:`stream.stream`.

    Raises:
        InvalidInputError: There is no such asset, band, split or augmentation.
        ContractMismatchError: The version does not give what the model reads.
    """
    registry = registry or (connect() if not isinstance(ref, Version) else None)
    version = ref if isinstance(ref, Version) else _resolved(registry, ref)
    masks = pixel_labels(version)
    inputs = None if assets is None else [name for name in assets if name not in masks]
    given = of_version(
        version, assets=inputs, split=splits or "default", fold=arguments.get("fold"),
        registry=registry, compute_missing=normalise and contract is None,
    )  # fmt: skip
    wanted = contract or given
    if bands is not None:
        wanted = select(wanted, bands)
    found = conversion(wanted, given, allow=allow, dataset=version.dataset)
    chosen = (
        sorted(masks, key=lambda name: name != MASK)
        if assets is None
        else [name for name in assets if name in masks]
    )
    made = stream(
        version, registry=registry, splits=splits,
        assets=[*dict.fromkeys([*found.sources.values(), *chosen])], **arguments,
    )  # fmt: skip
    return Feed(
        stream=made,
        conversion=found,
        masks={name: masks[name] for name in chosen},
        normalise=normalise,
        augmentation=Augmentation(tuple(augment), seed=int(arguments.get("seed", 0))),
        keys=_keys(list(found.steps), chosen),
        prefetch=prefetch,
    )


def _resolved(registry: Registry | None, ref: Ref | str) -> Version:
    return (registry or connect()).resolve(ref)


def _room(
    name: str, moves: Moves | None, count: int, shape: tuple[int, ...], dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    """Return room for images of some shape after their turns."""
    return np.empty((count, *(moves.shape(name, shape) if moves else shape)), dtype)


def _view(name: str, moves: Moves | None, image: npt.NDArray[Any], number: int) -> npt.NDArray[Any]:
    """Return a sample's image after its turn, to be read once."""
    return quick(moves.view(name, image, number)) if moves else image


def _keys(inputs: Sequence[str], masks: Sequence[str]) -> dict[str, str]:
    """Return the key of each asset: the first input is the image, the first mask the mask.

    Raises:
        InvalidInputError: Another asset is called so.
    """
    keys = {name: name for name in (*inputs, *masks)}
    for names, key in ((inputs, IMAGE), (masks, MASK)):
        if names and names[0] != key:
            if key in keys:
                raise InvalidInputError(
                    f"'{names[0]}' comes first, so its key would be '{key}', as another asset is "
                    "called",
                    hint=f"name '{key}' first: assets={[key, *(n for n in names if n != key)]}",
                )
            keys[names[0]] = key
    return keys
