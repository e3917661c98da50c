"""Validation that several processes share: each measures a part, and all know what all found."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from registry.learn.training.batches import COUNTED
from registry.learn.training.loader import Loader, Wrapped

if TYPE_CHECKING:
    import lightning

    from registry.learn.training.tasks import Task

__all__ = ["Part", "everybodys"]


class Part(Wrapped):
    """Batches to measure on of one process, each with how many of its samples count.

    All processes have equally many samples, so that all ask the network equally often, as those
    that share its weights have to: where samples do not divide, the last ones get some again, which
    do not count.

    Args:
        loader: Of samples in their order, for this process.
        samples: How many all processes have together, at least 1.
        rank: Which process this is, from 0.
        world: How many there are.
    """

    def __init__(self, loader: Loader, *, samples: int, rank: int, world: int) -> None:
        super().__init__(loader)
        share = -(-samples // world)
        self.own = min(share, max(0, samples - rank * share))

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        left = self.own
        for batch in self.loader:
            counted = min(left, len(batch["id"]))
            left -= counted
            yield {**batch, COUNTED: counted}


def everybodys(task: "Task", fabric: "lightning.Fabric") -> None:
    """Give a task what all processes measured, in the order of their ranks: the same for all.

    Args:
        task: With what this process measured.
        fabric: Of these processes.
    """
    from torch import distributed

    found: list[Any] = [None] * fabric.world_size
    distributed.all_gather_object(found, (task.measures, task.losses_seen))
    task.measured_by(found)
