"""Row 15: chips a second of fine-tuning Prithvi-EO-2.0 300M on one GPU, beside TerraTorch.

The network is the same: a ViT-L with TerraTorch's pyramid and U-Net decoder, weights at random, six
bands of 224 x 224, batches of 32. Ours runs as recipes do, in bfloat16 and compiled, from the
stream. TerraTorch runs once as it comes (32 bits, no workers) and once tuned (bfloat16, workers,
pinned memory). The steps of the second epoch are timed, so nobody's start is, nor a compilation.
"""

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from bench.ground import emptied, scaled, workplace
from bench.outcome import flops
from bench.pairs import PAIRS, Comparison, Figure, busy, judged, named
from bench.scars import Scars, material
from bench.tuning import Watch, ours, peak, place_to_run, recipe_batch, recipe_of, theirs

if TYPE_CHECKING:
    from collections.abc import Callable

NEEDS: Final = "terratorch"
_STEPS: Final = 40  # of an epoch
_SIDES: Final = {"gpu": 224, "cpu": 64}
_TARGETS: Final = {"as it comes": 3.0, "tuned": 1.0}
_MFU: Final = 40.0
_WAIT: Final = 2.0


def run() -> tuple[list[Comparison], list[Figure]]:
    where = place_to_run()
    if where is None:
        return [], []
    side, batch = _SIDES[where], recipe_batch(where)
    steps = scaled(_STEPS, least=8 if where == "gpu" else 4)
    with workplace() as place:
        counts = {"train": steps * batch, "validate": batch, "test": 1}
        scars = material(place, counts, size=side)
        return _measured(scars, where, steps=steps, side=side, place=place)


def _measured(
    scars: Scars, where: str, *, steps: int, side: int, place: Path
) -> tuple[list[Comparison], list[Figure]]:
    batch = recipe_batch(where)
    recipe = recipe_of(where, epochs=2, stop__keep="last")
    waits: list[float] = []
    known: dict[str, Any] = {}

    def our_turn(watch: Watch) -> None:
        found = ours(scars, recipe, seed=0, folder=emptied(place / "run"), watch=watch)
        waits.append(100 * found.fitted.waiting[-1])
        if "flops" not in known:
            known["flops"] = batch * flops(found.network, side)

    def their_turn(watch: Watch, *, tuned: bool) -> None:
        theirs(scars, where, seed=0, epochs=2, batch_size=batch, tuned=tuned, watch=watch)

    turns: dict[str, Callable[[Watch], None]] = {
        "ours": our_turn,
        "as it comes": lambda watch: their_turn(watch, tuned=False),
        "tuned": lambda watch: their_turn(watch, tuned=True),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in turns}
    for turn in range(int(os.environ.get(PAIRS, "5")) + 1):
        for name, work in turns.items():
            watch, before = Watch(first=steps + 1, last=2 * steps), busy()
            work(watch)
            _let_go()
            if turn:
                taken[name].append((watch.seconds, busy() - before))
    return _said(taken, where, timed=steps - 1, batch=batch, flops_=known["flops"], waits=waits)


def _said(
    taken: dict[str, list[tuple[float, float]]],
    where: str,
    *,
    timed: int,
    batch: int,
    flops_: int,
    waits: list[float],
) -> tuple[list[Comparison], list[Figure]]:
    row = "15 · fine-tuning" if where == "gpu" else "15 · tried on a CPU, says nothing: fine-tuning"
    middle = {name: sorted(s for s, _ in one)[len(one) // 2] for name, one in taken.items()}
    figures = [
        Figure(row=f"{row}, {name}", value=timed * batch / seconds, unit="chips/s")
        for name, seconds in middle.items()
    ]
    figures.append(Figure(row=f"{row}, operations of a step", value=flops_ / 1e12, unit="Tflop"))
    share = sorted(waits[1:])[len(waits[1:]) // 2]
    if where == "cpu":
        return [], [*figures, Figure(row=f"{row}, waiting for data", value=share, unit="%")]
    figures += _of_the_device(row, flops_ * timed / middle["ours"])
    figures.append(Figure(row=f"{row}, waiting for data", value=share, unit="%", limit=_WAIT))
    compared = [
        judged(row, taken["ours"], f"{named('terratorch')} {name}", taken[name], target=target)
        for name, target in _TARGETS.items()
    ]
    return compared, figures


def _of_the_device(row: str, done: float) -> list[Figure]:
    """Return what share of a device's peak is used, and how far that is from the target."""
    import torch

    device = torch.cuda.get_device_name()
    most = peak(device)
    if most is None:
        print(f"  nobody knows the peak of {device}: no share of it is given", flush=True)
        return []
    used = 100 * done / most
    return [
        Figure(row=f"{row}, share of the peak of {device} (MFU)", value=used, unit="%"),
        Figure(row=f"{row}, MFU short of {_MFU:g} %", value=_MFU - used, unit="points", limit=0.0),
    ]


def _let_go() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch._dynamo.reset()  # noqa: SLF001 — each turn compiles for itself
        torch.cuda.empty_cache()
