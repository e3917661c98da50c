"""Row 4: the first batch in a new process, and going on in the middle of an epoch.

Each peer has two workers, as its documentation advises; imports count, because whoever starts a
run waits for them too.
"""

import time
from functools import partial
from typing import Final

from bench.chips import BATCH, material
from bench.ground import command, scaled, workplace
from bench.pairs import Comparison, Contestant, Figure, compare, named

_CHIPS: Final = 2000
_TARGET: Final = 10
_LIMIT_S: Final = 1.0
_OURS: Final = """
import registry
found = registry.stream("chips@v1", registry=registry.connect({lake!r}), batch_size={batch})
print(next(iter(found)).arrays["hls"].shape)
"""
_THEIRS: Final = """
from itertools import islice
from pathlib import Path
import bench.chips as chips
chips._counted = lambda batches: batches
print(next(iter(chips.{epoch}(Path({folder!r}), 2)())).shape)
"""
_PEERS: Final = (
    ("litdata", "lit_epoch"), ("mosaicml-streaming", "mds_epoch"), ("webdataset", "wds_epoch"),
)  # fmt: skip


def run() -> tuple[list[Comparison], list[Figure]]:
    count = scaled(_CHIPS, least=64)
    with workplace() as place:
        folder = material(place, count, formats=("lit", "mds", "wds"))
        mine = _OURS.format(lake=str(folder / "lake"), batch=BATCH)
        compared = compare(
            f"4 · the first of {count:,} chips",
            Contestant(name="ours", work=partial(command, "python", "-c", mine)),
            [
                Contestant(
                    name=f"{named(package)}, 2 workers",
                    work=partial(
                        command,
                        "python",
                        "-c",
                        _THEIRS.format(epoch=epoch, folder=str(folder)),
                    ),
                    target=_TARGET,
                )
                for package, epoch in _PEERS
            ],
        )
        taken = _resumed(str(folder / "lake"))
    return compared, [
        Figure(row="4 · until the next batch in mid epoch", value=taken, unit="s", limit=_LIMIT_S)
    ]


def _resumed(lake: str) -> float:
    """Return how long it takes from nothing to the batch after those that were given.

    Raises:
        RuntimeError: That was another batch.
    """
    from registry import connect
    from registry.learn.loading.stream import stream

    registry = connect(lake)
    whole = [batch.ids for batch in stream("chips@v1", registry=registry, batch_size=BATCH)]
    first = stream("chips@v1", registry=registry, batch_size=BATCH)
    batches = iter(first)
    for _ in range(len(whole) // 2):
        next(batches)
    state = first.state()
    batches.close()
    began = time.perf_counter()
    second = stream("chips@v1", registry=connect(lake), batch_size=BATCH)
    second.resume(state)
    batch = next(iter(second))
    taken = time.perf_counter() - began
    if batch.ids != whole[len(whole) // 2]:
        raise RuntimeError("the stream did not go on where it stood")
    return taken
