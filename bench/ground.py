"""What the rows stand on: how large, where, with which material, and processes of their own."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

__all__ = [
    "chips_folder",
    "command",
    "emptied",
    "peak_memory",
    "plain_files",
    "real",
    "scale",
    "scaled",
    "workplace",
]

SCALE: Final = "EOLAB_BENCH_SCALE"
"""Variable that shrinks every row: 0.01 tries it in seconds."""

FOLDER: Final = "EOLAB_BENCH_FOLDER"
"""Variable that names where to work; kept between rows, so that material is made once."""

DATA: Final = "EOLAB_BENCH_DATA"
"""Variable that names a folder with real sets, one folder each; simulated ones stand in."""

_SEED: Final = 7


def scale() -> float:
    """Return how large rows are, as a share of their full size."""
    return float(os.environ.get(SCALE, "1"))


def scaled(full: int, *, least: int = 1) -> int:
    """Return a count of the full size at this run's scale."""
    return max(least, round(full * scale()))


def real(*parts: str) -> Path | None:
    """Return where a real set lies; None if it is not at hand."""
    folder = os.environ.get(DATA)
    path = Path(folder, *parts) if folder else None
    return path if path is not None and path.exists() else None


@contextmanager
def workplace() -> Iterator[Path]:
    """Yield the folder to work in; removed afterwards unless the environment names one."""
    if kept := os.environ.get(FOLDER):
        Path(kept).mkdir(parents=True, exist_ok=True)
        yield Path(kept).resolve()
        return
    with tempfile.TemporaryDirectory(prefix="eolab-bench-") as folder:
        yield Path(folder)


def emptied(folder: Path) -> Path:
    """Return a folder with nothing in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def chips_folder(place: Path, count: int) -> Path:
    """Return a folder of simulated GeoTIFF chips by class, 64 x 64 pixels of 6 bands, ~40 KiB each.

    Args:
        place: The work folder; what is there from before is used.
        count: How many chips.
    """
    from registry.curate.ingest.simulator import write_folder

    done = place / f"chips-{count}"
    if not done.exists():
        half = emptied(place / "chips.half")
        write_folder("classification", half, samples=count, seed=_SEED, layout="class-folder")
        half.rename(done)
    return done


def plain_files(place: Path, count: int, *, size: int = 16 << 10) -> Path:
    """Return a folder of random files, a hundred a folder."""
    done = place / f"plain-{count}-{size}"
    if not done.exists():
        half = emptied(place / "plain.half")
        rng = np.random.default_rng(_SEED)
        for number in range(count):
            folder = half / f"{number // 100:04d}"
            folder.mkdir(exist_ok=True)
            (folder / f"{number:06d}.bin").write_bytes(rng.bytes(size))
        half.rename(done)
    return done


def command(
    *words: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> str:
    """Run a command to its end and return what it printed.

    Args:
        words: The command; ``eolab``, ``dvc`` and ``python`` are those of this environment.
        cwd: Where it runs.
        env: Variables beside those of this process.

    Raises:
        RuntimeError: It failed; says why in its own words.
    """
    done = subprocess.run(
        _found(words),
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{words}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def _found(words: Sequence[str | Path]) -> list[str]:
    beside = Path(sys.executable).with_name(str(words[0]))
    first = str(beside) if beside.exists() else str(words[0])
    return [first, *map(str, words[1:])]


def peak_memory(*words: str | Path, env: Mapping[str, str] | None = None) -> float:
    """Run a command and return the most memory that it and its children held at once, in MB.

    Pages that processes share count once (proportional set size), twenty looks a second.

    Args:
        words: As for :func:`command`.
        env: As for :func:`command`.
    """
    peak, done = 0.0, threading.Event()
    own = os.getpid()

    def look() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, sum(_held(pid) for pid in _below(own)))
            time.sleep(0.05)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        command(*words, env=env)
    finally:
        done.set()
        watcher.join()
    return peak


def _below(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = task.read_text().split()
        except OSError:
            continue
        for child in map(int, children):
            yield child
            yield from _below(child)


def _held(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1e3 for line in lines if line.startswith("Pss:"))
