"""One sample's features by its id out of a million rows of 21 features, in a process that stays."""

import os
import random
import time
from typing import TYPE_CHECKING, Final

from bench.ground import scaled, workplace
from bench.large import published
from bench.pairs import Comparison, Figure

if TYPE_CHECKING:
    from registry.curate.features.lookup import Lookup

_ROWS: Final = 1_000_000
_FEATURES: Final = 21
_ASKED: Final = 2_000
_LIMIT_MS: Final = 10.0


def run() -> tuple[list[Comparison], list[Figure]]:
    from registry.curate.features.computing import compute
    from registry.curate.features.lookup import lookup
    from registry.curate.features.work import Call

    count = scaled(_ROWS, least=20_000)
    lines = [f"  f{number}: hilbert / {number + 1}.0" for number in range(_FEATURES)]
    definition = "name: places\ncolumns:\n" + "\n".join(lines)
    with workplace() as place:
        os.environ["EOLAB_CACHE"] = str(place / "cache")
        registry = published(place, rows=count, chips=16)
        began = time.perf_counter()
        compute(registry, "large@v1", [Call(name="places", definition=definition)])
        computing = time.perf_counter() - began
        version = registry.resolve("large@v1")
        ids = version.table("samples", columns=["id"])["id"]
        chosen = random.Random(3).choices(range(count), k=_ASKED)
        began = time.perf_counter()
        asked = lookup(version, "places")
        asked.get(ids[0].as_py())
        making = time.perf_counter() - began
        fresh = lookup(version, "places")
        took = sorted(_timed(fresh, ids[number].as_py()) for number in chosen)
    return [], [
        Figure(row=f"lookup · computing {count:,} rows", value=computing, unit="s"),
        Figure(row="lookup · the first, which makes the cache", value=making, unit="s"),
        Figure(row="lookup · median", value=took[_ASKED // 2], unit="ms", limit=_LIMIT_MS),
        Figure(row="lookup · 99th of 100", value=took[-_ASKED // 100], unit="ms", limit=_LIMIT_MS),
        Figure(row="lookup · the slowest", value=took[-1], unit="ms", limit=_LIMIT_MS),
    ]


def _timed(asked: "Lookup", sample: str) -> float:
    began = time.perf_counter()
    asked.get(sample)
    return 1000 * (time.perf_counter() - began)
