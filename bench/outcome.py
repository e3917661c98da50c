"""What a fine-tuning came to: its network's operations, and how good it is on the test chips."""

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bench.scars import BANDS, CLASSES, REF, Scars
from bench.tuning import Ours, Theirs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

__all__ = ["confusion", "flops", "iou"]


def flops(network: "nn.Module", side: int) -> int:
    """Return the operations of a forward and a backward pass of one chip, as torch counts them.

    Args:
        network: The lab's, not compiled; it is copied to a device that computes nothing.
        side: Pixels along the chip's edge.
    """
    import copy

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    there = copy.deepcopy(network).to("meta").train()
    image = torch.empty(1, len(BANDS), side, side, device="meta")
    with FlopCounterMode(display=False) as counter:
        answers: Mapping[str, torch.Tensor] = there({"image": image})
        torch.stack([one.sum() for one in answers.values()]).sum().backward()
    return int(counter.get_total_flops())


def confusion(run: Ours | Theirs, scars: Scars, *, batch_size: int) -> npt.NDArray[np.int64]:
    """Return how often each class of the test's pixels was answered as which, in 32 bits."""
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    counts = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    answering = (_our_answers if isinstance(run, Ours) else _their_answers)(
        run, scars, batch_size, device
    )  # fmt: skip
    with torch.inference_mode():
        for answer, truth in answering:
            known = truth >= 0
            np.add.at(counts, (truth[known], answer[known]), 1)
    return counts


def _our_answers(run: Any, scars: Scars, batch_size: int, device: str) -> Any:  # noqa: ANN401 — pairs
    from registry import connect
    from registry.learn.loading.torch import loader
    from registry.learn.training.batches import inputs_of

    contract = run.material.contract
    network = run.network.to(device).eval()
    network.load_state_dict(dict(run.fitted.weights))
    batches = loader(
        REF, registry=connect(scars.lake), contract=contract, split="test", shuffle=False,
        batch_size=batch_size, assets=("image", "mask"),
    )  # fmt: skip
    for batch in batches:
        inputs = {name: one.to(device) for name, one in inputs_of(contract, batch).items()}
        answer = network(inputs)["segmentation"].argmax(1)
        yield answer.cpu().numpy(), batch["mask"].numpy()


def _their_answers(run: Any, scars: Scars, batch_size: int, device: str) -> Any:  # noqa: ANN401, ARG001 — as above
    task = run.task.to(device).eval()
    run.data.setup("test")
    for batch in run.data.test_dataloader():
        image = run.data.aug({"image": batch["image"].to(device)})["image"]
        answer = task(image).output.argmax(1)
        yield answer.cpu().numpy(), batch["mask"].reshape(answer.shape).numpy()


def iou(counts: npt.NDArray[np.int64]) -> float:
    """Return the mean over the classes that occur of intersection over union, in per cent.

    Examples:
        >>> iou(np.array([[3, 1], [0, 4]]))
        77.5
    """
    right = counts.diagonal()
    union = counts.sum(0) + counts.sum(1) - right
    return float(100 * (right[union > 0] / union[union > 0]).mean())
