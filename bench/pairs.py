"""Timings in turn, A B C A B C …, and what can be said of their ratios."""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = [
    "Comparison",
    "Contestant",
    "Figure",
    "Turns",
    "busy",
    "compare",
    "judged",
    "named",
    "record",
    "repeated",
    "results",
    "seconds",
]

PAIRS: Final = "EOLAB_BENCH_PAIRS"
"""Variable that says how many turns each contestant has; 5 by default."""

RESULTS: Final = "EOLAB_BENCH_RESULTS"
"""Variable that says where results go; ``bench/results`` by default."""

_RESAMPLES: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """Somebody who does the same work."""

    name: str
    """A distribution's name, or a description with its version."""

    work: Callable[[], object]
    """One turn, timed."""

    target: float = 1.0
    """How many times faster ours is meant to be."""

    ready: Callable[[], object] = lambda: None
    """What is done before each turn, untimed."""


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

    our_processor: float
    """Median seconds that a turn of ours kept processors busy, those of its children included."""

    their_processor: float
    """The same of theirs; what else runs on the machine hardly changes it."""

    ratio: float
    """Median of theirs / ours, turn by turn: how many times faster ours is."""

    interval: tuple[float, float]
    """Bootstrap 95 % interval of that median."""

    target: float
    """The ratio that is aimed at."""

    reached: bool
    """Whether the interval's lower end clears it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A quantity that has a limit rather than a rival."""

    row: str
    """Which row of the table, and what is measured."""

    value: float
    """How much."""

    unit: str
    """Of what."""

    limit: float | None = None
    """The most it may be; None where it is only told."""

    @property
    def reached(self) -> bool | None:
        """Whether it is within its limit; None if it has none."""
        return None if self.limit is None else self.value <= self.limit


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes, in seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def busy() -> float:
    """Return how long this process and its children that ended have kept processors busy."""
    return sum(os.times()[:4])


def repeated(
    work: Callable[[], object], *, times: int = 7, ready: Callable[[], object] = lambda: None
) -> list[float]:
    """Return how long each of several calls takes, in seconds, after one that does not count.

    Args:
        work: What is timed.
        times: How many calls count.
        ready: Called before each, untimed.
    """
    taken = []
    for _ in range(times + 1):
        ready()
        taken.append(seconds(work))
    return taken[1:]


def compare(
    row: str, ours: Contestant, peers: Sequence[Contestant], *, pairs: int | None = None
) -> list[Comparison]:
    """Time contestants in turn, after one warm-up each.

    Args:
        row: What is measured.
        ours: The lab.
        peers: The others, each with the ratio that is aimed at.
        pairs: How many turns; from the environment, or 5, if None.
    """
    turns = pairs or int(os.environ.get(PAIRS, "5"))
    taken: dict[str, list[tuple[float, float]]] = {one.name: [] for one in (ours, *peers)}
    for turn in range(turns + 1):
        for one in (ours, *peers):
            one.ready()
            before = busy()
            took = seconds(one.work)
            if turn:
                taken[one.name].append((took, busy() - before))
    return [
        judged(row, taken[ours.name], peer.name, taken[peer.name], target=peer.target)
        for peer in peers
    ]


Turns: TypeAlias = Sequence[tuple[float, float]]
"""Of each turn, the seconds that it took and those that it kept processors busy."""


def judged(row: str, ours: Turns, peer: str, theirs: Turns, *, target: float) -> Comparison:
    """Return what can be said of turns that were timed.

    Args:
        row: What was measured.
        ours: Of the lab, in their order.
        peer: Who is compared with.
        theirs: Its turns, as many.
        target: The ratio that is aimed at.
    """
    mine, other = np.array(ours), np.array(theirs)
    ratios = other[:, 0] / mine[:, 0]
    low, high = _interval(ratios)
    return Comparison(
        row=row,
        ours=mine[:, 0].tolist(),
        peer=named(peer),
        theirs=other[:, 0].tolist(),
        our_processor=float(np.median(mine[:, 1])),
        their_processor=float(np.median(other[:, 1])),
        ratio=float(np.median(ratios)),
        interval=(low, high),
        target=target,
        reached=low >= target,
    )


def named(peer: str) -> str:
    """Return a distribution's name with its version; other names as they are."""
    try:
        return f"{peer} {version(peer)}"
    except PackageNotFoundError:
        return peer


def results() -> Path:
    """Return the folder of results; made if there is none."""
    folder = Path(os.environ.get(RESULTS) or Path(__file__).parent / "results")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def record(name: str, comparisons: Sequence[Comparison], figures: Sequence[Figure]) -> Path:
    """Write what was measured as JSON and return where."""
    from bench.ground import scale

    out = results() / f"{name}.json"
    body = {
        "machine": _machine(),
        "scale": scale(),
        "at": datetime.now(tz=UTC).isoformat(timespec="seconds"),
        "figures": [{**asdict(one), "reached": one.reached} for one in figures],
        "comparisons": [asdict(one) for one in comparisons],
    }
    out.write_text(json.dumps(body, indent=2) + "\n", "utf-8")
    return out


def _machine() -> dict[str, object]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cores": len(os.sched_getaffinity(0)),
        "memory-gb": round(memory / 1e9, 1),
        "load": [round(one, 2) for one in os.getloadavg()],
        "python": platform.python_version(),
    }


def _interval(ratios: npt.NDArray[np.float64]) -> tuple[float, float]:
    draws = np.random.default_rng(0).choice(ratios, (_RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(low), float(high)
