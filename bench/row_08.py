"""Row 8: what versioning costs at a million samples, and after ten thousand commits."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from bench.ground import emptied, scaled, workplace
from bench.pairs import Comparison, Figure, repeated

if TYPE_CHECKING:
    from registry.catalog import Registry

_LARGE: Final = 1_000_000
_SMALL: Final = 10_000
_EDITS: Final = 100
_COMMITS: Final = 10_000
_TURNS: Final = 15
_SLOWER: Final = 1.2


@dataclass(frozen=True, slots=True, kw_only=True)
class _Times:
    """Median seconds of each thing that people do with versions."""

    commit: float
    diff: float
    branch: float
    open: float


def run() -> tuple[list[Comparison], list[Figure]]:
    large, commits = scaled(_LARGE, least=_SMALL), scaled(_COMMITS, least=20)
    with workplace() as place:
        folder = emptied(place / "versioning")
        registry = _lake(folder, {"small": _SMALL, "large": large})
        small = _times(registry, "small", _SMALL, word="first")
        before = _times(registry, "large", large, word="first")
        each = _history(registry, "large", commits)
        after = _times(registry, "large", large, word="second")
    return [], [
        _ms(f"8 · commit of {_EDITS} label edits, {large:,} samples", before.commit, 300),
        _ms(f"8 · commit of {_EDITS} label edits, {_SMALL:,} samples", small.commit, None),
        _times_as(f"8 · commit, {large:,} beside {_SMALL:,} samples", before.commit, small.commit),
        _ms("8 · row diff of two versions", before.diff, 200),
        _ms("8 · branch", before.branch, 1),
        _ms("8 · open a version", before.open, 50),
        _ms(f"8 · one of {commits:,} small commits", each, None),
        _times_as(f"8 · commit after {commits:,} commits", after.commit, before.commit),
        _times_as(f"8 · row diff after {commits:,} commits", after.diff, before.diff),
        _times_as(f"8 · branch after {commits:,} commits", after.branch, before.branch),
        _times_as(f"8 · open after {commits:,} commits", after.open, before.open),
    ]


def _ms(row: str, value: float, limit: float | None) -> Figure:
    return Figure(row=row, value=value * 1e3, unit="ms", limit=limit)


def _times_as(row: str, value: float, beside: float) -> Figure:
    return Figure(row=row, value=value / beside, unit="×", limit=_SLOWER)  # noqa: RUF001 — times


def _lake(folder: Path, sizes: dict[str, int]) -> "Registry":
    from registry import Spec, connect
    from registry.curate.ingest.simulator import samples_table
    from registry.lake import init
    from registry.tables import samples_schema, store

    init(str(folder / "lake"))
    registry = connect(str(folder / "lake"))
    for name, count in sizes.items():
        samples = samples_table(count, seed=8)
        schema = samples_schema(samples.schema.field("properties").type)
        with registry.create(Spec(name=name)).edit("samples") as root:
            store.overwrite(root, schema, samples)
    return registry


def _times(registry: "Registry", name: str, count: int, *, word: str) -> _Times:
    """Time each on the draft; the word goes into the labels, so that every edit changes them."""
    from registry import connect

    draft = registry.draft(name)
    ids = registry.resolve(f"{name}@draft").table("samples", ["id"])["id"]
    turns, heads = iter(range(_TURNS + 1)), [draft.head]

    def edit() -> None:
        turn = next(turns)
        start = int(np.linspace(0, count - _EDITS, _TURNS + 1)[turn])
        chosen = ids.slice(start, _EDITS)
        labels = pa.array([[f"{word}-{turn}"]] * _EDITS, pa.list_(pa.string()))
        _relabel(registry, name, pa.table({"id": chosen, "label": labels}))
        heads.append(draft.head)

    made = iter(range(_TURNS + 1))
    return _Times(
        commit=_median(edit),
        diff=_median(lambda: registry.diff(f"{name}@{heads[-2]}", f"{name}@{heads[-1]}")),
        branch=_median(lambda: draft.repository.create_branch(f"{word}-{next(made)}", at=heads[0])),
        open=_median(
            lambda: connect(registry.lake.address).resolve(f"{name}@draft").count("samples")
        ),
    )


def _median(work: Callable[[], object]) -> float:
    return float(np.median(repeated(work, times=_TURNS)))


def _relabel(registry: "Registry", name: str, rows: pa.Table) -> None:
    from registry.tables import schema_of
    from registry.tables.edit import upsert

    with registry.draft(name).edit("relabel") as root:
        upsert(root, schema_of(root, "samples"), rows)


def _history(registry: "Registry", name: str, commits: int) -> float:
    """Make many commits of one small file each; return the median seconds of one."""
    draft = registry.draft(name)
    numbers = iter(range(commits))

    def commit() -> None:
        number = next(numbers)
        with draft.repository.transaction(draft.branch, message=f"note {number}") as transaction:
            transaction.put(f"notes/{number % 100:02d}.txt", str(number).encode())

    return float(np.median(repeated(commit, times=commits - 1)))
