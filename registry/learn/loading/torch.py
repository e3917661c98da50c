"""Versions as batches of tensors, for PyTorch, Lightning and TorchGeo."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from registry.catalog.ref import Ref
from registry.catalog.registry import Registry
from registry.catalog.version import Version
from registry.errors import InvalidInputError
from registry.learn.loading.contract import Chosen, Contract
from registry.learn.loading.conversion import Conversion
from registry.learn.loading.feed import Feed, feed
from registry.learn.loading.stream import Stream

__all__ = ["Loader", "Sample", "converted", "loader"]

Sample = dict[str, Any]
"""Tensors by TorchGeo's keys; ``id`` is a list of text, boxes are a list of tensors."""


class Loader(IterableDataset[Sample]):
    """Batches of tensors; Lightning and plain loops take it as a data loader.

    Threads are in the stream, so nothing forks: there are no workers to set. Every iteration is an
    epoch, which is over when its last batch was given; the next iteration is the next epoch.
    """

    def __init__(self, batches: Feed, *, pin: bool = False) -> None:
        self.feed = batches
        """What the batches are made of."""

        self.pin = pin and torch.cuda.is_available()
        """Whether tensors lie in memory that a GPU reads by itself."""

    # -------------------------------------------------------------------------- what it is
    @property
    def stream(self) -> Stream:
        """Where batches come from."""
        return self.feed.stream

    @property
    def conversion(self) -> Conversion:
        """How stored inputs become what the model reads."""
        return self.feed.conversion

    @property
    def contract(self) -> Contract:
        """What the tensors mean: the contract of a model that learns from them."""
        return self.feed.conversion.wanted

    @property
    def keys(self) -> Mapping[str, str]:
        """By asset, its key in a batch."""
        return self.feed.keys

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of their numbers; of the first mask, if it has some."""
        return next((m.classes for m in self.feed.masks.values() if m.classes), self.stream.classes)

    @property
    def said(self) -> tuple[str, ...]:
        """What is converted and assumed, in words."""
        return self.feed.said

    @property
    def batch_size(self) -> int:
        """Samples of a batch, of this process alone."""
        return self.stream.plan.batch_size

    # ---------------------------------------------------------------------------- batches
    def __len__(self) -> int:
        return len(self.feed)

    def __iter__(self) -> Iterator[Sample]:
        """Return the batches of an epoch.

        Raises:
            InvalidInputError: It is asked from a worker of a ``DataLoader``.
        """
        if get_worker_info() is not None:
            raise InvalidInputError(
                "the loader runs in a worker of a DataLoader, so every batch would come twice",
                hint="use the loader as it is, or num_workers=0; its threads are in the stream",
            )
        return self.feed.run(_pinned_sample if self.pin else _sample)

    def following(self, epochs: int) -> AbstractContextManager[None]:
        """Make each epoch's first batches while the last ones of the one before are used.

        Args:
            epochs: How many there will be, with those that were.

        Returns:
            At its end what was made of an epoch that never came is thrown away.
        """
        return self.feed.following(epochs)

    # --------------------------------------------------------------------------- position
    @property
    def sampler(self) -> "Loader":
        """Itself: where Lightning looks for :meth:`set_epoch`."""
        return self

    @property
    def batch_sampler(self) -> None:
        """Nothing: Lightning looks for it beside :attr:`sampler` in loaders to validate by."""
        return

    def set_epoch(self, epoch: int) -> None:
        """Say which pass comes next; a position inside that pass, taken up before, stays."""
        self.feed.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands, after the batch that it gave last."""
        return self.feed.state()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another loader stood.

        Args:
            state: What :meth:`state_dict` returned.

        Raises:
            InvalidInputError: That loader had other samples, or gave them in another order.
        """
        self.feed.resume(state)


def loader(  # noqa: PLR0913 — the choices that training has
    ref: Ref | str | Version,
    *,
    registry: Registry | None = None,
    contract: Contract | None = None,
    bands: Chosen | None = None,
    allow: Collection[str] = (),
    normalise: bool = True,
    augment: Sequence[str] = (),
    pin: bool = False,
    prefetch: int = 1,
    **arguments: Any,  # noqa: ANN401 — the stream's own
) -> Loader:
    """Return a version as batches of tensors.

    Args:
        ref: A ref such as ``ships@v2``, or a version.
        registry: Where it is looked up; the usual one by default.
        contract: What a model reads, from its card; by default what the version gives, normalised
            by its own training samples.
        bands: Which bands, by name or common letter, in this order.
        allow: What may differ from the contract: ``level``, ``gsd``, ``asset``.
        normalise: Whether inputs are normalised; otherwise their stored values are given.
        augment: Names of augmentations, such as ``flip``, ``rotate90``, ``crop:224``.
        pin: Lay tensors into pinned memory where there is a GPU.
        prefetch: Batches to make while the network computes.
        arguments: Of :func:`registry.learn.loading.stream.stream`: ``split``, ``batch_size``,
            ``seed``, ``assets``, … Rank and world are those of ``torch.distributed`` unless they
            are given.

    Returns:
        Batches as dictionaries: ``image`` (float32), ``mask`` or ``label`` (int64; -1 is
        unlabelled), ``bbox_xyxy`` (a list), further assets by their names, ``<asset>_valid``.

    Raises:
        InvalidInputError: There is no such asset, band, split or augmentation.
        ContractMismatchError: The version does not give what the model reads.
    """
    made = feed(
        ref, registry=registry, contract=contract, bands=bands, allow=allow, normalise=normalise,
        augment=augment, prefetch=prefetch, **(_ranks() | arguments),
    )  # fmt: skip
    return Loader(made, pin=pin)


def _sample(batch: Mapping[str, Any], *, pin: bool = False) -> Sample:
    return {name: _tensor(value, pin=pin) for name, value in batch.items()}


_pinned_sample = partial(_sample, pin=True)


def _tensor(value: Any, *, pin: bool) -> Any:  # noqa: ANN401 — an array, a list of them, or text
    if isinstance(value, np.ndarray):
        tensor = torch.from_numpy(np.ascontiguousarray(value))
        return tensor.pin_memory() if pin else tensor
    if isinstance(value, list):
        return [_tensor(one, pin=pin) for one in value]
    return value


def converted(conversion: Conversion, asset: str, stored: torch.Tensor) -> torch.Tensor:
    """Return what :meth:`Conversion.apply` returns, computed where the tensor is.

    Args:
        conversion: What is converted.
        asset: The model's name of the asset.
        stored: Stored values, shape ``(…, band, y, x)``, on any device.

    Returns:
        float32 with the model's bands, on the same device.
    """
    steps = conversion.steps_for(
        asset, shape=tuple(stored.shape), whole=not stored.is_floating_point()
    )
    shape = (len(steps), 1, 1)
    places = torch.tensor([step.source for step in steps], device=stored.device)
    centre, gain = (
        torch.tensor([getattr(step, name) for step in steps], device=stored.device).reshape(shape)
        for name in ("centre", "gain")
    )
    chosen = stored.index_select(-3, places).to(torch.float32)
    found = (chosen - centre) * gain
    gone = ~torch.isfinite(chosen)
    nodata = conversion.given.of(conversion.sources[asset]).nodata
    if nodata is not None:
        gone |= chosen == nodata
    return found.masked_fill_(gone, 0.0)


def _ranks() -> dict[str, int]:
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized()):
        return {}
    return {"rank": distributed.get_rank(), "world": distributed.get_world_size()}
