"""Data wait: what a step of a ViT-L waits for its batch of 32, on whatever machine this is.

No network computes. A step is a sleep, outside the interpreter lock as a GPU's work is, for as
long as a ViT-L of patches of 16 would take for 32 chips of 224 x 224: the floating-point operations
of its forward pass, thrice for a step, at 40 % of an H100's peak in bfloat16 (the share that row 15
aims at). Batches come from the stream as tensors, and from what the training loop reads: the same
normalised and augmented, made ahead by a thread.
"""

import os
import statistics
import time
from collections.abc import Iterable
from typing import Any, Final

from bench.ground import scaled, workplace
from bench.pairs import Comparison, Figure
from bench.scars import BANDS, REF, material

_SIDE: Final = 224
_PATCH: Final = 16
_WIDTH: Final = 1024
_DEPTH: Final = 24
_BATCH: Final = 32
_PEAK: Final = 989e12  # an H100 SXM's, dense, by its data sheet
_UTILISED: Final = 0.40
_STEPS: Final = 200
_WARM: Final = 5
_LIMIT: Final = 2.0


def step_flops() -> float:
    """Return the floating-point operations of a step, forward and backward.

    References:
        Dosovitskiy et al. (2021), "An image is worth 16x16 words", ICLR, table 1, ViT-L; a
        backward pass takes twice a forward one (Kaplan et al. 2020, arXiv 2001.08361, 2.1).

    Examples:
        >>> round(step_flops() / 3 / 32 / 1e9)
        124
    """
    patches = (_SIDE // _PATCH) ** 2
    tokens = patches + 1
    layer = 2 * tokens * 12 * _WIDTH**2 + 4 * tokens**2 * _WIDTH
    embedding = 2 * patches * len(BANDS) * _PATCH**2 * _WIDTH
    return 3.0 * _BATCH * (_DEPTH * layer + embedding)


def run() -> tuple[list[Comparison], list[Figure]]:
    import torch

    from registry import connect
    from registry.learn.loading.stream import stream
    from registry.learn.loading.torch import loader
    from registry.learn.training.material import PREFETCH

    torch.set_num_threads(1)
    step = step_flops() / (_UTILISED * _PEAK)
    steps = scaled(_STEPS, least=8)
    with workplace() as place:
        counts = {"train": scaled(40, least=6) * _BATCH, "validate": 1, "test": 1}
        scars = material(place, counts, size=_SIDE)
        registry = connect(scars.lake)
        said: dict[str, Any] = {"registry": registry, "split": "train", "batch_size": _BATCH}
        plain = stream(REF, **said)
        tensors = loader(REF, **said, augment=("flip", "rotate90"), prefetch=PREFETCH)
        figures = [Figure(row="data wait · a step of ViT-L, assumed", value=1e3 * step, unit="ms")]
        figures += _measured("stream", plain, step=step, steps=steps)
        with tensors.following(steps):  # as training does; more epochs than there will be
            figures += _measured("training's loader", tensors, step=step, steps=steps)
    return [], figures


def _measured(what: str, batches: Iterable[Any], *, step: float, steps: int) -> list[Figure]:
    """Return what is waited, by step, after some that do not count; epochs follow one another.

    Raises:
        RuntimeError: A batch is another than the step is meant for.
    """
    import torch

    waited: list[float] = []
    first: list[float] = []  # of an epoch
    worked, began = 0.0, 0.0
    while len(waited) < steps + _WARM:
        fresh, asked = True, time.perf_counter()
        for batch in batches:
            image = batch["image"] if isinstance(batch, dict) else batch.arrays["image"]
            tensor = torch.as_tensor(image)
            if tensor.shape[1:] != (len(BANDS), _SIDE, _SIDE):
                raise RuntimeError(f"a batch has the shape {tuple(tensor.shape)}")
            came = time.perf_counter()
            if fresh:
                first.append(came - asked)
            fresh = False
            waited.append(came - asked)
            time.sleep(step)
            asked = time.perf_counter()
            if len(waited) == _WARM:
                began = sum(os.times()[:2])
            elif len(waited) > _WARM:
                worked += asked - came
            if len(waited) == steps + _WARM:
                break
    busy = (sum(os.times()[:2]) - began) / steps
    counted = waited[_WARM:]
    share = 100 * sum(counted) / (sum(counted) + worked)
    name = f"data wait · {what}, {_BATCH} x {len(BANDS)} x {_SIDE} x {_SIDE}"
    return [
        Figure(row=f"{name}, of a step's time", value=share, unit="%", limit=_LIMIT),
        Figure(row=f"{name}, median", value=1e3 * statistics.median(counted), unit="ms"),
        Figure(row=f"{name}, first of an epoch", value=1e3 * statistics.median(first), unit="ms"),
        Figure(row=f"{name}, processor a batch", value=1e3 * busy, unit="ms"),
    ]
