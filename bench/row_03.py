"""Row 3: a shuffled epoch over chips that are not in memory, beside the disk's own best.

The rival is the disk: the same files read from beginning to end in 4 MB steps, nothing unpacked.
Before each turn their pages are dropped from the page cache.
"""

import os
from functools import partial
from pathlib import Path
from typing import Final

from bench.chips import material, ours
from bench.ground import scaled, workplace
from bench.pairs import Comparison, Contestant, Figure, compare

_CHIPS: Final = 4000
_STEP: Final = 4 * 2**20
_TARGET: Final = 0.85


def run() -> tuple[list[Comparison], list[Figure]]:
    from registry import connect
    from registry.tables import store

    count = scaled(_CHIPS, least=64)
    with workplace() as place:
        folder = material(place, count, formats=())
        root = connect(str(folder / "lake")).resolve("chips@v1").root
        files = store.files(root, "pixels")
        forget = partial(_forget, files)
        compared = compare(
            f"3 · a cold epoch over {count:,} chips",
            Contestant(name="ours", work=ours(folder), ready=forget),
            [
                Contestant(
                    name="the disk, in sequence",
                    work=partial(_sequence, files),
                    target=_TARGET,
                    ready=forget,
                )
            ],
        )
        size = sum(path.stat().st_size for path in files)
    best = min(sum(one.ours) / len(one.ours) for one in compared)
    return compared, [Figure(row="3 · packed bytes a second", value=size / best / 1e6, unit="MB")]


def _forget(files: list[Path]) -> None:
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _sequence(files: list[Path]) -> None:
    memory = bytearray(_STEP)
    for path in files:
        with path.open("rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
            while file.readinto(memory):
                pass
