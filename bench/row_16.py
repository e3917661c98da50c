"""Row 16: how soon the lab's recipe is as good as TerraTorch's fit of the same chips, and how good.

TerraTorch fits each seed for as many epochs as there are; the mean of the best validation of each,
as mean IoU, is what the lab's recipe has to reach, and the time until it does is compared with the
whole of TerraTorch's, seed by seed. A seed that does not get there took for ever. How good both are
at the end is measured on the test chips by one function, in 32 bits.
"""

import math
import statistics
from pathlib import Path
from typing import Final

from bench.ground import emptied, scaled, workplace
from bench.outcome import confusion, iou
from bench.pairs import Comparison, Figure, busy, judged, named
from bench.scars import Scars, material
from bench.tuning import Ours, ours, place_to_run, recipe_batch, recipe_of, theirs

NEEDS: Final = "terratorch"
_SEEDS: Final = 5
_EPOCHS: Final = 20
_CHIPS: Final = {"train": 540, "validate": 120, "test": 264}
_SIDES: Final = {"gpu": 224, "cpu": 64}
_TARGET: Final = 3.0
_WORSE: Final = 0.5


def run() -> tuple[list[Comparison], list[Figure]]:
    where = place_to_run()
    if where is None:
        return [], []
    least = 2 * recipe_batch(where)
    counts = {subset: scaled(count, least=least) for subset, count in _CHIPS.items()}
    epochs, seeds = scaled(_EPOCHS, least=2), scaled(_SEEDS, least=2)
    with workplace() as place:
        scars = material(place, counts, size=_SIDES[where], own=where == "gpu")
        return _measured(scars, where, place=place, epochs=epochs, seeds=seeds)


def _measured(
    scars: Scars, where: str, *, place: Path, epochs: int, seeds: int
) -> tuple[list[Comparison], list[Figure]]:
    batch = recipe_batch(where)
    recipe = recipe_of(where, epochs=epochs, data__augment=["flip", "rotate90"])
    their_time, their_best, their_test, their_busy = [], [], [], []
    curves, our_test, our_busy = [], [], []
    for seed in range(seeds):
        before = busy()
        other = theirs(
            scars, where, seed=seed, epochs=epochs, batch_size=batch, tuned=True, validate=True
        )
        their_busy.append(busy() - before)
        their_time.append(other.seconds)
        their_best.append(100 * max(other.quality))
        their_test.append(iou(confusion(other, scars, batch_size=batch)))
        del other
        before = busy()
        mine = ours(scars, recipe, seed=seed, folder=emptied(place / "run"))
        our_busy.append(busy() - before)
        curves.append(_curve(mine))
        our_test.append(iou(confusion(mine, scars, batch_size=batch)))
        del mine
    goal = statistics.mean(their_best)
    times = [until(curve, goal) for curve in curves]
    found = "simulated burn scars" if scars.simulated else "HLS burn scars"
    tried = "" if where == "gpu" else "tried on a CPU, says nothing: "
    row = f"16 · {tried}{found}, {scars.counts['train']} chips, {epochs} epochs"
    worse = statistics.mean(their_test) - statistics.mean(our_test)
    figures = [
        Figure(row=f"{row}, mean IoU to reach", value=goal, unit="%"),
        Figure(row=f"{row}, seeds that reach it", value=sum(map(math.isfinite, times)), unit=""),
        Figure(row=f"{row}, TerraTorch's fit", value=statistics.median(their_time), unit="s"),
        Figure(row=f"{row}, TerraTorch's test", value=statistics.mean(their_test), unit="% IoU"),
        Figure(row=f"{row}, ours, test", value=statistics.mean(our_test), unit="% IoU"),
        Figure(
            row=f"{row}, worse than TerraTorch by",
            value=worse,
            unit="points",
            limit=_WORSE if where == "gpu" else None,
        ),
    ]
    if where == "cpu" or not all(map(math.isfinite, times)):
        return [], figures
    peer = f"{named('terratorch')} bfloat16, workers, {seeds} seeds"
    mine = list(zip(times, our_busy, strict=True))  # the whole run's processor time
    other = list(zip(their_time, their_busy, strict=True))
    return [judged(f"{row}, until as good", mine, peer, other, target=_TARGET)], figures


def _curve(run: Ours) -> list[tuple[float, float]]:
    """Return when each epoch was measured, and its mean IoU in per cent."""
    values = [
        100 * value
        for _, _, subset, name, value in run.fitted.history
        if (subset, name) == ("validate", "iou")
    ]
    return list(zip(run.ended, values, strict=True))


def until(curve: list[tuple[float, float]], goal: float) -> float:
    """Return when a curve reaches a goal; infinity if it never does.

    Examples:
        >>> until([(1.0, 50.0), (2.0, 70.0)], 60.0), until([(1.0, 50.0)], 60.0)
        (2.0, inf)
    """
    return next((seconds for seconds, value in curve if value >= goal), math.inf)
