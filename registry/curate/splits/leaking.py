"""What a split lets through: the same pixels, ground, scene or group on both sides of it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.beside import beside
from registry.catalog.version import Version
from registry.curate.splits.sides import Distance, Hits, Sides
from registry.errors import NotFoundError
from registry.tables import store
from registry.tables.schemas import reports_schema

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["LEAKS", "Distance", "LeakReport", "keep_leaks", "leaks", "leaks_of", "split_rows"]

LEAKS: Final = reports_schema("leaks")
"""Where findings are kept: ``reports/leaks``."""

_ALL_SEEN: Final[Mapping[str, pa.Array]] = MappingProxyType({})
_ERROR, _WARNING, _INFO = "error", "warning", "info"
_SHOWN: Final = 6
_KEPT: Final = 1000  # findings a check and pair of subsets; the first one counts all

_BLOCKED: Final = "eolab split {ref} --method blocked --buffer-km 2 --name {name}"
_NAMES: Final[Mapping[str, str]] = {
    "leak-group": "by-group", "leak-scene": "by-scene",
    "leak-overlap": "blocked", "leak-near": "blocked",
}  # fmt: skip
_SAYS: Final[Mapping[str, tuple[str, str, str]]] = {
    "leak-pixels": (
        _ERROR,
        "has exactly the pixels of {other}",
        "keep one of them, or keep them on one side",
    ),
    "leak-group": (
        _ERROR,
        "is of group '{what}', as {other} is",
        "divide by group: eolab split {ref} --method group --name {name}",
    ),
    "leak-overlap": (
        _ERROR,
        "covers {share:.0%} of the ground of {other}, or is covered",
        "divide by blocks with a buffer: " + _BLOCKED,
    ),
    "leak-scene": (
        _WARNING,
        "was cut from the scene of {other}",
        "divide by scene: eolab split {ref} --method group --by scene --name {name}",
    ),
    "leak-near": (
        _WARNING,
        "lies {km:.2f} km from {other}, less than its own width",
        "leave a buffer: " + _BLOCKED,
    ),
}
_COUNTED: Final[Mapping[str, tuple[str, str, str]]] = {
    "leak-pixels": ("has", "have", "exactly the pixels of samples of {other}"),
    "leak-group": ("is", "are", "of a group that {other} has too"),
    "leak-overlap": ("covers", "cover", "ground of samples of {other}"),
    "leak-scene": ("was", "were", "cut from scenes of samples of {other}"),
    "leak-near": ("lies", "lie", "nearer to samples of {other} than one sample is wide"),
}
"""What one sample does, what several do, and what it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeakReport:
    """What leaks between the subsets of a split."""

    ref: str
    """Of the version."""

    split: str
    """Name of the split."""

    findings: pa.Table = field(repr=False, compare=False)
    """Rows of ``reports/leaks``; for each check and pair of subsets one that counts all (its
    ``sample`` is null), and up to 1,000 that name samples."""

    distances: tuple[Distance, ...]
    """Of each pair of subsets that have places."""

    unplaced: int
    """Samples without a place, of which nothing is known but pixels, groups and scenes."""

    @property
    def counts(self) -> dict[str, int]:
        """How many samples each check found, all pairs of subsets together."""
        whole = self.findings.filter(pc.is_null(self.findings["sample"])).to_pylist()
        found: dict[str, int] = {}
        for row in whole:
            count = json.loads(row["evidence"])["samples"]
            found[row["check"]] = found.get(row["check"], 0) + count
        return found

    @property
    def clean(self) -> bool:
        """Whether nothing leaks for certain."""
        return not any(_SAYS[check][0] == _ERROR for check in self.counts)

    def facts(self) -> dict[str, Any]:
        """Return what a program wants to know, as JSON's own types."""
        return {
            "ref": self.ref,
            "split": self.split,
            "clean": self.clean,
            "counts": self.counts,
            "distances_km": [
                {"judged": d.judged, "learned": d.learned, "least": d.least, "median": d.median}
                for d in self.distances
            ],
            "unplaced": self.unplaced,
        }

    def to_text(self) -> str:
        """Return it for people."""
        lines = [f"leaks of {self.ref}, split {self.split}"]
        lines += [f"  {line}" for line in self._lines()]
        if len(lines) == 1:
            lines.append("  none: no pixels, ground, scene or group is on two sides")
        lines += [
            f"  {d.judged} is {d.least:.2f} km or more from {d.learned}, {d.median:.2f} km at the "
            "median"
            for d in (self.distances if len(self.distances) <= _SHOWN else ())
        ]
        if self.unplaced:
            lines.append(f"  {self.unplaced:,} samples have no place, so their ground is not known")
        return "\n".join(lines)

    def _lines(self) -> list[str]:
        """Return a line a finding; a line a check where many pairs of subsets leak."""
        whole = self.findings.filter(pc.is_null(self.findings["sample"])).to_pylist()
        if len(whole) <= _SHOWN:
            return [f"{row['severity']}: {row['message']}; {row['fix']}" for row in whole]
        pairs = Counter(row["check"] for row in whole)
        return [
            f"{_SAYS[check][0]}: {count:,} times, in {pairs[check]} pairs of subsets, a sample "
            f"{_counted(check, 1, 'the other subset')}; {_fix(check, self.ref, self.split)}"
            for check, count in self.counts.items()
        ]


def leaks(
    registry: "Registry",
    version: Version,
    split: str = "default",
    *,
    pretrained: Sequence[Version] = (),
    keep: bool = True,
) -> LeakReport:
    """Return what a split lets through.

    Args:
        registry: Where the version is.
        version: Whose split.
        split: Its name.
        pretrained: Versions that a model has seen before: all of their samples count as learned.
        keep: Keep the findings as ``reports/leaks`` beside a published version, where scores on
            the split show them.

    Raises:
        NotFoundError: There is no such split.
    """
    rows = split_rows(version, split)
    found = leaks_of(version, split, rows, pretrained=pretrained)
    if keep and version.tag is not None:
        message = f"leaks of split {split}"
        beside(registry, version, message, lambda root: keep_leaks(root, split, found.findings))
    return found


def split_rows(version: Version, split: str) -> pa.Table:
    """Return who is where in a split.

    Raises:
        NotFoundError: There is no such split.
    """
    if f"splits/{split}" not in version.tables():
        there = [name.removeprefix("splits/") for name in version.tables() if name[:7] == "splits/"]
        raise NotFoundError(
            f"{version.ref} has no split '{split}'",
            hint=f"it has {', '.join(there)}" if there else f"make one: eolab split {version.ref}",
        )
    return version.table(f"splits/{split}")


def leaks_of(
    version: Version,
    split: str,
    rows: pa.Table,
    *,
    pretrained: Sequence[Version] = (),
    seen: Mapping[str, pa.Array] = _ALL_SEEN,
) -> LeakReport:
    """Return what leaks between subsets, whose rows need not be kept yet.

    Args:
        version: Whose samples.
        split: What the split is called.
        rows: Rows of ``splits/<name>``.
        pretrained: Versions that were seen before.
        seen: By their refs, the ids that were; all if nothing is said.
    """
    sides = Sides.of(version, rows, pretrained, seen)
    findings: list[dict[str, Any]] = []
    distances: list[Distance] = []
    for judged, learned in sides.pairs():
        for check, hits in sides.hits(judged, learned):
            fix = _fix(check, str(version.ref), split)
            findings += _found(split, check, judged, learned, hits, sides, fix)
        if (distance := sides.distance(judged, learned)) is not None:
            distances.append(distance)
    table = pa.Table.from_pylist(findings, LEAKS.arrow)
    return LeakReport(
        ref=str(version.ref), split=split, findings=table, distances=tuple(distances),
        unplaced=int((~sides.places.known).sum()),
    )  # fmt: skip


def keep_leaks(root: Path, split: str, findings: pa.Table) -> None:
    """Keep the findings of a split in place of those that were kept of it before.

    Args:
        root: A writable view of the version.
        split: Its name.
        findings: Rows of ``reports/leaks``; none where the split is there no more.
    """
    kept = LEAKS.arrow.empty_table()
    if store.exists(root, LEAKS.name):
        before = store.read(root, LEAKS.name)
        own = pc.starts_with(before["id"], f"{split}:")
        kept = before.filter(pc.invert(own)).select(LEAKS.arrow.names)
    store.overwrite(root, LEAKS, pa.concat_tables([kept, findings]))


def _fix(check: str, ref: str, split: str) -> str:
    """Return what mends a leak, as a command that can be followed as it stands."""
    name = _NAMES.get(check, "")
    return _SAYS[check][2].format(ref=ref, name=f"{name}-2" if name == split else name)


def _counted(check: str, count: int, other: str) -> str:
    """Return what so many samples have of another subset, as a sentence goes on."""
    one, several, what = _COUNTED[check]
    return f"{one if count == 1 else several} {what.format(other=other)}"


def _found(
    split: str, check: str, judged: int, learned: int, hits: Hits, sides: Sides, fix: str
) -> Iterator[dict[str, Any]]:
    severity, text, _ = _SAYS[check]
    pair = f"{sides.names[judged]} and {sides.names[learned]}"
    total = int((sides.side == judged).sum())
    base = {"check": check, "severity": severity, "asset": None, "fix": fix}
    count = len(hits.samples)
    yield base | {
        "id": f"{split}:{check}:{sides.names[judged]}:{sides.names[learned]}",
        "sample": None,
        "message": f"{count:,} of {total:,} samples of {sides.names[judged]} "
        f"{_counted(check, count, sides.names[learned])}",
        "evidence": json.dumps({"split": split, "subsets": pair, "samples": count, "of": total}),
    }
    for position in range(min(count, _KEPT)):
        sample, other = sides.ids[hits.samples[position]], sides.ids[hits.others[position]]
        said = dict(hits.said[position]) if hits.said else {}
        yield base | {
            "id": f"{split}:{check}:{sides.names[judged]}:{sides.names[learned]}:{sample}",
            "sample": sample,
            "message": f"{sample} ({sides.names[judged]}) "
            + text.format(other=f"{other} ({sides.names[learned]})", **said),
            "evidence": json.dumps({"split": split, "other": other, **said}),
        }
