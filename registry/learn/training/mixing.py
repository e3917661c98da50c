"""Loaders made of loaders: versions in turn, labelled beside unlabelled, permuted labels."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np

from registry.learn.training.loader import Loader, Wrapped
from registry.learn.training.loop import chance, samples_of

__all__ = ["Beside", "InTurn", "Once", "Permuted"]

_TRUTH = ("mask", "label", "labels", "target")


class InTurn:
    """Batches of several loaders, one after the other, as long as each has some.

    Args:
        loaders: At least one; in an epoch each gives all of its batches.
    """

    def __init__(self, loaders: Sequence[Loader]) -> None:
        self.loaders = tuple(loaders)
        self.given = 0

    def __len__(self) -> int:
        return sum(map(len, self.loaders))

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        order = self._order()
        streams = [iter(loader) for loader in self.loaders]
        for number in order[self.given :]:
            self.given += 1
            yield next(streams[number])
        self.given = 0

    @contextmanager
    def following(self, epochs: int) -> Iterator[None]:
        """Begin each of so many epochs while the one before ends, until the context ends."""
        with _following((loader, epochs) for loader in self.loaders):
            yield

    def set_epoch(self, epoch: int) -> None:
        """Stand at the beginning of an epoch."""
        self.given = 0
        for loader in self.loaders:
            loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands."""
        return {"given": self.given, "loaders": [one.state_dict() for one in self.loaders]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.given = int(state["given"])
        for loader, said in zip(self.loaders, state["loaders"], strict=True):
            loader.load_state_dict(said)

    def _order(self) -> list[int]:
        # Evenly: the k-th of n batches of a loader comes at (k + 1/2) / n of the epoch.
        places = [
            ((k + 0.5) / len(loader), number)
            for number, loader in enumerate(self.loaders)
            for k in range(len(loader))
        ]
        return [number for _, number in sorted(places)]


class Beside:
    """Labelled batches with an unlabelled one beside each; an epoch is one of the larger.

    Args:
        labelled: Begins anew whenever it ends.
        unlabelled: Gives the length of an epoch, where it is longer.
    """

    def __init__(self, labelled: Loader, unlabelled: Loader) -> None:
        self.labelled, self.unlabelled = labelled, unlabelled
        self.epoch, self.given = 0, 0

    def __len__(self) -> int:
        return max(len(self.labelled), len(self.unlabelled))

    def __iter__(self) -> Iterator[dict[str, Any]]:
        pairs = [self._from(self.labelled), self._from(self.unlabelled)]
        for _ in range(self.given, len(self)):
            self.given += 1
            yield {"labelled": next(pairs[0]), "unlabelled": next(pairs[1])}
        self.given = 0

    @contextmanager
    def following(self, epochs: int) -> Iterator[None]:
        """Begin each of so many epochs while the one before ends, until the context ends."""
        both = (self.labelled, self.unlabelled)
        with _following((one, -(-epochs * len(self) // len(one))) for one in both):
            yield

    def set_epoch(self, epoch: int) -> None:
        """Stand at the beginning of an epoch."""
        self.epoch, self.given = epoch, 0

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands."""
        return {"epoch": self.epoch, "given": self.given}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.epoch, self.given = int(state["epoch"]), int(state["given"])

    def _from(self, loader: Loader) -> Iterator[Mapping[str, Any]]:
        """Yield batches for ever, from where this epoch stands."""
        at = self.epoch * len(self) + self.given
        while True:
            turn, skip = divmod(at, len(loader))
            loader.set_epoch(turn)
            for number, batch in enumerate(loader):
                if number >= skip:
                    at += 1
                    yield batch


class Permuted(Wrapped):
    """Batches whose samples have the labels of others: what is learnt from them is chance.

    All labels of an epoch are held in memory.

    Args:
        loader: Gives whole samples, unaugmented; those of one process.
        whole: Gives those of all processes, so that each permutes alike.
        seed: What the permutation starts from.
    """

    def __init__(self, loader: Loader, *, whole: Loader, seed: int) -> None:
        super().__init__(loader)
        self.whole, self.seed = whole, seed
        self._truth: dict[str, dict[str, Any]] = {}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        if not self._truth:
            self._gather()
        for batch in self.loader:
            changed = dict(batch)
            of = [self._truth[name] for name in samples_of(batch)]
            for key in of[0]:
                changed[key] = _joined([one[key] for one in of], batch[key])
            yield changed

    def _gather(self) -> None:
        self.whole.set_epoch(0)
        found: dict[str, dict[str, Any]] = {}
        for batch in self.whole:
            keys = [key for key in (*_TRUTH, "bbox_xyxy") if key in batch]
            for number, name in enumerate(samples_of(batch)):
                found[name] = {key: _copied(batch[key][number]) for key in keys}
        names = sorted(found)
        rng = np.random.Generator(np.random.Philox(chance(self.seed, "permuted")))
        others = rng.permutation(len(names))
        self._truth = {name: found[names[other]] for name, other in zip(names, others, strict=True)}


class Once(Wrapped):
    """Batches in which a sample that stands in for a broken one does not count twice.

    Args:
        loader: Gives samples to measure on; some of them again where others cannot be read.
    """

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        seen: set[str] = set()
        for batch in self.loader:
            kept = []
            for number, name in enumerate(samples_of(batch)):
                if name not in seen:
                    kept.append(number)
                    seen.add(name)
            if kept:
                yield {key: _some(value, kept) for key, value in batch.items()}


@contextmanager
def _following(loaders: Iterable[tuple[Loader, int]]) -> Iterator[None]:
    """Let each loader follow into as many epochs as stand beside it."""
    with ExitStack() as stack:
        for loader, epochs in loaders:
            stack.enter_context(loader.following(epochs))
        yield


def _some(value: Any, kept: list[int]) -> Any:  # noqa: ANN401 — a tensor, or a list of what samples have
    return [value[one] for one in kept] if isinstance(value, list | tuple) else value[kept]


def _copied(value: Any) -> Any:  # noqa: ANN401 — a tensor
    return value.clone()


def _joined(values: list[Any], like: Any) -> Any:  # noqa: ANN401 — tensors, or a list of them
    import torch

    return values if isinstance(like, list | tuple) else torch.stack(values)
