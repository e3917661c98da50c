"""A stream as training takes it: normalised, augmented, masks as classes, under TorchGeo's keys.

It knows NumPy alone; the adapters to PyTorch and TensorFlow hand on what it gives.
"""

import weakref
from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from registry.catalog.ref import Ref
from registry.catalog.registry import Registry, connect
from registry.catalog.version import Version
from registry.curate.features.pixel_labels import PixelLabels, pixel_labels
from registry.errors import InvalidInputError
from registry.learn.loading.ahead import ahead
from registry.learn.loading.augment import Augmentation
from registry.learn.loading.contract import Chosen, Contract, of_version, select
from registry.learn.loading.conversion import Conversion, conversion
from registry.learn.loading.making import Making
from registry.learn.loading.sharing import sharing
from registry.learn.loading.stream import Stream, stream

__all__ = ["IMAGE", "MASK", "Feed", "feed"]

IMAGE: Final = "image"
"""Key of the first input."""

MASK: Final = "mask"
"""Key of the first mask."""

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

    making: Making
    """What is made of each."""

    prefetch: int = 0
    """Batches that a thread makes while somebody works on the last one."""

    _epoch: int = 0
    _until: int = 0
    _given: dict[str, Any] | None = None
    _pending: dict[str, Any] | None = None
    _running: "weakref.ref[Generator[Any, None, None]] | None" = field(default=None, repr=False)
    _coming: "_Ahead | None" = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self._epoch = self.stream.epoch

    @property
    def conversion(self) -> Conversion:
        """How stored inputs become what a model reads."""
        return self.making.conversion

    @property
    def masks(self) -> Mapping[str, PixelLabels]:
        """How masks are read, by asset."""
        return self.making.masks

    @property
    def keys(self) -> Mapping[str, str]:
        """By asset, the key that its array has in a batch."""
        return self.making.keys

    @property
    def said(self) -> tuple[str, ...]:
        """What is converted and assumed, in words."""
        return self.making.said

    # ------------------------------------------------------------------------------- batches
    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Return the batches of an epoch, each as arrays of its own by key."""
        return self.run(_as_it_is)

    def run(self, make: Callable[[dict[str, Any]], Made]) -> Generator[Made, None, None]:
        """Return the batches of an epoch as something else.

        Args:
            make: Makes it of a batch; in the thread that works ahead, if there is one. What was
                made of the next epoch is given to whoever asks for the same.
        """
        self._leave()
        found = self._given_one_by_one(make)
        # Weakly, for the iteration holds the feed: one that is left ends when it is forgotten.
        self._running = weakref.ref(found)
        return found

    def _given_one_by_one(
        self, make: Callable[[dict[str, Any]], Made]
    ) -> Generator[Made, None, None]:
        epoch = self._epoch
        found = self._taken_up(make) or self._begun(make)
        kept, made = False, found.made
        try:
            for state, one in made:
                if state["step"] < len(self):
                    self._given = state
                    yield one
                    continue
                kept = epoch + 1 < min(self._until, found.until)
                if kept:
                    self._coming = found
                else:
                    made.close()  # nobody may ask for more, as Lightning does not
                self._epoch, self._given = epoch + 1, state | {"epoch": epoch + 1, "step": 0}
                yield one
                return
        finally:
            if not kept:
                made.close()

    def _begun(self, make: Callable[[dict[str, Any]], Any]) -> "_Ahead":
        pending, self._pending = self._pending, None
        if pending is None:
            self.stream.set_epoch(self._epoch)
        else:
            self.stream.resume(pending)
        until = max(self._until, self._epoch + 1)
        made = _made(self.stream, self.making, make, epochs=until - self._epoch)
        return _Ahead(made=ahead(made, self.prefetch), make=make, until=until)

    def _taken_up(self, make: Callable[[dict[str, Any]], Any]) -> "_Ahead | None":
        """Return what was made of this epoch while the one before was used, if it was."""
        if self._coming is not None and self._coming.make != make:
            self._forget()
        coming, self._coming = self._coming, None
        return coming

    def _leave(self) -> None:
        """End the iteration that runs, if there is one."""
        if self._running is not None and (running := self._running()) is not None:
            running.close()
        self._running = None

    def _forget(self) -> None:
        """Throw away what was made of an epoch that does not come."""
        if self._coming is not None:
            self._coming.made.close()
        self._coming = None

    @contextmanager
    def following(self, epochs: int) -> Iterator[None]:
        """Make each epoch's first batches while the last ones of the one before are used.

        What was made of an epoch that nobody asked for is thrown away at the end, or as soon as
        another one is asked for.

        Args:
            epochs: How many there will be, with those that were; none is made after the last.
        """
        self._until = epochs if self.prefetch else 0
        try:
            yield
        finally:
            self._until = 0
            self._leave()
            self._forget()

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
            self._forget()
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
        self._leave()
        self._forget()
        self.stream.resume(state)
        self._epoch, self._pending = self.stream.epoch, self.stream.state()
        self._given = None

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        return len(self.stream)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ahead:
    """Batches of one epoch after the other, each with where the stream then stands."""

    made: Generator[tuple[dict[str, Any], Any], None, None]
    make: Callable[[dict[str, Any]], Any]
    until: int
    """The epoch that they end before."""


def _made(
    stream: Stream, making: Making, make: Callable[[dict[str, Any]], Made], *, epochs: int
) -> Generator[tuple[dict[str, Any], Made], None, None]:
    """Yield what is made of each batch with where the stream stands, epoch after epoch."""
    with sharing(stream.settings.threads) as share:
        for _ in range(epochs):
            for stored in stream:
                yield stream.state(), make(making.of(stored, share))


def _as_it_is(batch: dict[str, Any]) -> dict[str, Any]:
    return batch


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
        making=Making(
            conversion=found,
            masks={name: masks[name] for name in chosen},
            normalise=normalise,
            augmentation=Augmentation(tuple(augment), seed=int(arguments.get("seed", 0))),
            keys=_keys(list(found.steps), chosen),
        ),
        prefetch=prefetch,
    )


def _resolved(registry: Registry | None, ref: Ref | str) -> Version:
    return (registry or connect()).resolve(ref)


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
