"""What gives the batches of an epoch, and what gives those of another one changed."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

__all__ = ["Loader", "Wrapped"]


class Loader(Protocol):
    """Gives the batches of an epoch, and goes on where it was."""

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield the batches of the epoch that was set, from where it stands."""
        ...

    def __len__(self) -> int:
        """Return how many batches an epoch has."""
        ...

    def following(self, epochs: int) -> AbstractContextManager[None]:
        """Begin each of so many epochs while the one before ends, until the context ends."""
        ...

    def set_epoch(self, epoch: int) -> None:
        """Stand at the beginning of an epoch."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        ...


class Wrapped(ABC):
    """Gives the batches of another loader changed, and stands where that one stands.

    Args:
        loader: Whose batches they are.
    """

    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    @abstractmethod
    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        """Yield the other's batches, changed."""

    def __len__(self) -> int:
        return len(self.loader)

    def following(self, epochs: int) -> AbstractContextManager[None]:
        """Begin each epoch while the one before ends.

        Returns:
            At its end what was made of an epoch that never came is thrown away.
        """
        return self.loader.following(epochs)

    def set_epoch(self, epoch: int) -> None:
        """Stand at the beginning of an epoch."""
        self.loader.set_epoch(epoch)

    def state_dict(self) -> dict[str, Any]:
        """Return where it stands."""
        return self.loader.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.loader.load_state_dict(state)
