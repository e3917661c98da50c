"""What processes share: each learns from a part and measures one, and all answers count alike."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from registry.learn.training.batches import COUNTED
from registry.learn.training.loader import Loader, Wrapped

if TYPE_CHECKING:
    import lightning
    import torch

    from registry.learn.training.tasks import Task

__all__ = ["Part", "everybodys", "shares_of"]


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


def shares_of(
    task: "Task", group: Sequence[Mapping[str, Any]], fabric: "lightning.Fabric"
) -> "Sequence[torch.Tensor | None]":
    """Return what the batches of a step count, so that each known answer of a head counts alike.

    Losses are means over what is known of a batch, and a step takes the mean over its batches and
    processes: where one knows half as much as another, each of its answers would count double.

    Args:
        task: What is learnt.
        group: This process's batches of the step.
        fabric: Of the processes, which all ask at once.

    Returns:
        For each batch its share by head, ``(head,)``, 1 on average over all batches that know
        something alike; None where it is the only one, or the loss is the network's own.
    """
    import torch

    batches = len(group) * fabric.world_size
    counts = [task.known(batch, fabric.device) if batches > 1 else None for batch in group]
    known = [one for one in counts if one is not None]
    if not known:
        return counts
    whole = cast("torch.Tensor", fabric.all_reduce(torch.stack(known).sum(0), reduce_op="sum"))
    nobody = whole == 0
    return [torch.where(nobody, 0.0, batches * one / whole) for one in known]


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
