"""Pairs of timings, A B A B …, and what can be said of their ratio."""

import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

__all__ = ["Comparison", "compare", "record", "seconds"]

RESULTS = Path(__file__).parent / "results"
_RESAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of one pair of contestants."""

    row: str
    """Which row of the table, and what is measured."""

    ours: list[float]
    """Seconds of each turn of ours."""

    peer: str
    """Who is compared with, and in which version."""

    theirs: list[float]
    """Seconds of each turn of theirs."""

    ratio: float
    """Median of theirs / ours, turn by turn: how many times faster ours is."""

    interval: tuple[float, float]
    """Bootstrap 95 % interval of that median."""

    target: float
    """The ratio that is aimed at."""

    reached: bool
    """Whether the interval's lower end clears it."""


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes, in seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare(
    row: str,
    ours: Callable[[], object],
    theirs: Callable[[], object],
    *,
    peer: str,
    target: float,
    pairs: int = 5,
    ready: Callable[[], object] = lambda: None,
) -> Comparison:
    """Time two contestants in turn, after one warm-up each.

    Args:
        row: What is measured.
        ours: One turn of ours.
        theirs: One turn of theirs.
        peer: A distribution's name, or a description.
        target: The ratio that is aimed at.
        pairs: How many turns.
        ready: Called before every turn, untimed.
    """
    a, b = [], []
    for turn in range(pairs + 1):
        ready()
        mine = seconds(ours)
        ready()
        other = seconds(theirs)
        if turn:
            a.append(mine)
            b.append(other)
    ratios = np.array(b) / np.array(a)
    low, high = _interval(ratios)
    return Comparison(
        row=row, ours=a, peer=_named(peer), theirs=b, ratio=float(np.median(ratios)),
        interval=(low, high), target=target, reached=low >= target,
    )  # fmt: skip


def record(name: str, comparisons: list[Comparison], figures: Mapping[str, object]) -> Path:
    """Write what was measured as JSON and return where."""
    RESULTS.mkdir(exist_ok=True)
    out = RESULTS / f"{name}.json"
    machine = {"machine": platform.machine(), "python": platform.python_version()}
    body = {"machine": machine, "figures": dict(figures)}
    body["comparisons"] = [asdict(one) for one in comparisons]
    out.write_text(json.dumps(body, indent=2) + "\n", "utf-8")
    return out


def _interval(ratios: np.ndarray) -> tuple[float, float]:
    draws = np.random.default_rng(0).choice(ratios, (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(low), float(high)


def _named(peer: str) -> str:
    try:
        return f"{peer} {version(peer)}"
    except PackageNotFoundError:
        return peer
