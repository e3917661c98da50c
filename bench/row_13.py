"""Row 13: features on Spark beside the same function on one thread; one worker beside two."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from bench.ground import emptied, scaled, workplace
from bench.pairs import Comparison, Contestant, Figure, compare
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import ASSETS, PIXELS, SAMPLES
from tests.spark.cluster import running

_CHIPS: Final = 2_000
_SHARE: Final = 0.90
_EFFICIENCY: Final = 0.8
_ROOT: Final = Path(__file__).parent.parent
# One thread a process, as each of Spark's workers has.
_QUIET: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def run() -> tuple[list[Comparison], list[Figure]]:
    count = scaled(_CHIPS, least=60)
    python = _python()
    if python is None:
        print("  left out: there is no PySpark", flush=True)
        return [], []
    what = f"13 spectral features of {count:,} chips"
    with workplace() as place:
        root = _chips(place, count)
        with ExitStack() as stack:
            cores = len(os.sched_getaffinity(0))
            here = stack.enter_context(_turns(python, f"local[{cores}]", root, place / "here"))
            one = stack.enter_context(_turns(python, "library", root, place / "one"))
            peer = Contestant(name="the same on one thread", work=one.turn, target=_SHARE * cores)
            found = compare(
                f"{what}, Spark on {cores} cores", Contestant(name="eolab", work=here.turn), [peer]
            )
        with ExitStack() as stack:
            two = stack.enter_context(_on_cluster(python, root, place, workers=2))
            single = stack.enter_context(_on_cluster(python, root, place, workers=1))
            peer = Contestant(name="one worker", work=single.turn, target=2 * _EFFICIENCY)
            found += compare(
                f"{what}, two workers of a cluster", Contestant(name="eolab", work=two.turn), [peer]
            )
    return found, []


def _python() -> Path | None:
    """Return a Python that has Spark: this one, or that of the lab beside it."""
    if find_spec("pyspark"):
        return Path(sys.executable)
    beside = _ROOT / ".venv" / "bin" / "python"
    return beside if beside.exists() else None


def _chips(place: Path, count: int) -> Path:
    done = place / f"spark-{count}"
    if done.exists():
        return done
    half = emptied(place / "spark.half")
    rng = np.random.default_rng(0)
    ids = [f"s{number:06}" for number in range(count)]
    store.append(half, SAMPLES, pa.table({"id": ids}))
    for start in range(0, count, 200):
        names = ids[start : start + 200]
        # A slope with noise: packs about as well as land does.
        slope = np.linspace(300, 4000, 256, dtype=np.float32)[:, None]
        noise = rng.normal(0, 60, (len(names), 6, 256, 256)).astype(np.float32)
        packed = [encode(np.clip(slope + one, 1, None).astype(np.uint16)) for one in noise]
        columns = ("sha256", "codec", "data")
        store.append(half, PIXELS, pa.table({c: [getattr(p, c) for p in packed] for c in columns}))
        store.append(half, ASSETS, pa.table({
            "sample": names,
            "asset": ["s2"] * len(names),
            "pixels": [one.sha256 for one in packed],
            "shape": [list(one.shape) for one in packed],
            "dtype": [one.dtype for one in packed],
        }))  # fmt: skip
    half.rename(done)
    return done


class _Turns:
    """A process that works once for each turn."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._hear("ready")

    def turn(self) -> None:
        if self._process.stdin is not None:
            print(file=self._process.stdin, flush=True)
        self._hear("done")

    def _hear(self, word: str) -> None:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if line.strip() != word:
            raise RuntimeError(f"it said {line!r} instead of {word!r}")


@contextmanager
def _turns(python: Path, where: str, root: Path, out: Path) -> Iterator[_Turns]:
    process = subprocess.Popen(
        [python, "-m", "bench.spark_turns", where, root, out],
        cwd=_ROOT,
        env={**os.environ, **_QUIET, "SPARK_MASTER": "" if where == "library" else where},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield _Turns(process)
    finally:
        if process.stdin is not None:
            process.stdin.close()  # no further turn: it ends
        process.wait()


@contextmanager
def _on_cluster(python: Path, root: Path, place: Path, *, workers: int) -> Iterator[_Turns]:
    folder = emptied(place / f"cluster-{workers}")
    with (
        running(folder, workers=workers, memory="2g") as cluster,
        _turns(python, cluster.master, root, place / f"out-{workers}") as turns,
    ):
        yield turns
