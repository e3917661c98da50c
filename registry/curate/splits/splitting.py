"""Make a split of a version, keep it beside the version, and look at once for leaks."""

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.beside import beside, stands_apart
from registry.catalog.ref import Ref
from registry.catalog.registry import Registry
from registry.catalog.version import Version
from registry.curate.splits.dividing import BUFFER, GAP, OVERLAP, Made, divide
from registry.curate.splits.leaking import LEAKS, LeakReport, keep_leaks, leaks_of
from registry.curate.splits.plan import Plan
from registry.curate.splits.shares import TOLERANCE
from registry.errors import ConflictError, InvalidInputError
from registry.lake.records import Location
from registry.progress import SILENT, Progress
from registry.tables import store
from registry.tables.schemas import splits_schema

__all__ = ["Split", "split"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")  # and its folds' numbers after it
_FEW: Final = 5  # below this one sample more or less moves a score by 20 points
_TAKES: Final = {"the buffer": BUFFER, "the gap": GAP, "what went on into a later one": OVERLAP}
_COLUMNS: Final = (
    "id", "geometry", "bbox", "datetime", "start_datetime", "end_datetime", "label", "target",
    "group", "source", "properties",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """A split as it was made."""

    ref: str
    """Of the version."""

    name: str
    """As in ``splits/<name>``."""

    plan: Plan
    """How it was made."""

    rows: pa.Table = field(repr=False, compare=False)
    """``sample``, ``subset``, ``fold``; samples left out are not among them."""

    left_out: Mapping[str, int]
    """Samples in no subset, by the reason."""

    reasons: tuple[str, ...]
    """Why a share is more than two points off, if one is."""

    leaks: LeakReport = field(compare=False)
    """What it lets through."""

    @property
    def counts(self) -> dict[str, int]:
        """How many samples each subset, or fold, has."""
        return _counts(self.rows, self.plan)

    @property
    def few(self) -> Mapping[str, int]:
        """Subsets, or folds, of less than 5 samples, with how many they have."""
        judged = (one for one in self.counts.items() if one[0] != _name(None, folds=True))
        return {name: count for name, count in judged if count < _FEW}

    def facts(self) -> dict[str, Any]:
        """Return what a program wants to know, as JSON's own types."""
        return {
            "ref": self.ref, "split": self.name, "plan": asdict(self.plan), "counts": self.counts,
            "left_out": dict(self.left_out), "reasons": list(self.reasons),
            "few": dict(self.few),
            "leaks": self.leaks.facts(),
        }  # fmt: skip

    def to_text(self) -> str:
        """Return it for people."""
        total = max(self.rows.num_rows, 1)
        lines = [f"{self.ref}: splits/{self.name}, {self.plan.method}, seed {self.plan.seed}"]
        lines += [f"  {name:<12} {n:>9,}  {n / total:6.1%}" for name, n in self.counts.items()]
        lines += [f"  left out: {n:,} {why}" for why, n in self.left_out.items()]
        lines += [f"  {reason}" for reason in self.reasons]
        if self.few:
            named = ", ".join(f"{name} ({count})" for name, count in self.few.items())
            who = f"{len(self.few)} of {self.plan.folds} folds" if self.plan.folds else named
            how = "less --folds" if self.plan.folds else "other --shares, or --folds 5"
            lines.append(f"  {who}: less than {_FEW} samples say little; take more, {how}")
        return "\n".join([*lines, self.leaks.to_text()])


def split(
    registry: Registry,
    ref: Ref | str,
    *,
    name: str = "default",
    plan: Plan | None = None,
    replace: bool = False,
    progress: Progress = SILENT,
) -> Split:
    """Divide a version's samples and keep who is where, beside the version.

    Args:
        registry: Where the version is.
        ref: A published version, whose split is kept beside it; or a draft or branch, in which it
            is published later.
        name: The split's name. Folds are kept under it, and each as a split of its own,
            ``<name>-0`` and so on: what is held out tests, the next fold validates.
        plan: How; 80, 10 and 10 % at random by default.
        replace: Make one of that name again.
        progress: Told what happens.

    Returns:
        The split, with a first report on what leaks.

    Raises:
        InvalidInputError: The samples cannot be divided so, or a subset would be empty.
        ConflictError: There is one of that name, or others kept moving the branch.
    """
    chosen = plan or Plan()
    _check_name(name)
    version = registry.resolve(ref)
    names = [name, *(f"{name}-{number}" for number in range(chosen.folds))]
    _refuse_published(version, names)
    if not replace:
        _refuse_taken(version.ref, version.tables(), names)
    progress.stage("dividing samples", total=None, unit="samples")
    samples = _samples(version)
    made = divide(samples, chosen)
    rows = made.rows(samples)
    _refuse_empty(rows, chosen, made)
    tables = dict(zip(names, [rows, *_each_held(rows, chosen.folds)], strict=True))
    progress.stage("looking for leaks", total=len(tables), unit="splits")
    found = {}
    for one, members in tables.items():
        found[one] = leaks_of(version, one, members)
        progress.advance()
    said = tuple((key, str(one)) for key, one in chosen.said().items())

    def write(root: Path) -> None:
        before = _kept_as(root, name) if replace else frozenset[str]()
        _refuse_taken(version.ref, store.names(root), tables.keys() - before)
        for stale in before:  # a table says at its making alone how it was made
            shutil.rmtree(root / "splits" / stale)
            keep_leaks(root, stale, LEAKS.arrow.empty_table())
        for one, members in tables.items():
            store.append(root, splits_schema(one, said), members)
        for report in found.values():
            keep_leaks(root, report.split, report.findings)

    beside(registry, version, f"split {name}: {chosen.method}, seed {chosen.seed}", write)
    return Split(
        ref=str(version.ref), name=name, plan=chosen, rows=rows, left_out=made.left_out,
        reasons=_reasons(rows, chosen, made), leaks=found[name],
    )  # fmt: skip


def _check_name(name: str) -> None:
    """Refuse what cannot name a split, as a table of it would be named by it.

    Raises:
        InvalidInputError: It cannot.
    """
    if not _NAME.fullmatch(name) or ".." in name:
        raise InvalidInputError(
            f"{name!r} is no name for a split" if name else "a split needs a name",
            hint="use at most 100 letters, digits, '_', '-' and '.', a letter or digit first and "
            "no '..', as in --name default",
        )


def _refuse_published(version: Version, names: Sequence[str]) -> None:
    if not stands_apart(version):
        return
    for name in names:
        if f"splits/{name}" in version.tables_published():
            raise ConflictError(
                f"split '{name}' was published with {version.ref}, which never changes",
                hint="give the new one another --name; or replace it in a draft: "
                f"eolab split {version.dataset}@draft",
            )


def _refuse_taken(ref: Ref, there: Iterable[str], names: Iterable[str]) -> None:
    for name in sorted(names):
        if f"splits/{name}" in there:
            raise ConflictError(
                f"{ref} has a split '{name}' already",
                hint="give the new one another --name, or --replace it",
            )


def _kept_as(root: Path | Location, name: str) -> frozenset[str]:
    """Return the splits that are kept under a name: it, and the folds that were made with it."""
    if not store.exists(root, f"splits/{name}"):
        return frozenset()
    said = store.schema_of(root, f"splits/{name}").properties
    pattern = re.compile(rf"splits/({re.escape(name)}-\d+)")
    alike = (found[1] for table in store.names(root) if (found := pattern.fullmatch(table)))
    folds = {one for one in alike if store.schema_of(root, f"splits/{one}").properties == said}
    return frozenset({name, *(folds if "folds" in dict(said) else ())})


def _each_held(rows: pa.Table, count: int) -> Iterator[pa.Table]:
    """Yield the subsets where each fold in turn is held out.

    It tests and the next one validates; where samples are held out for tests, it validates.
    """
    fold, subset = rows["fold"], rows["subset"]
    tested = any(one.startswith("test") for one in subset.drop_null().unique().to_pylist())
    for number in range(count):
        rest = pc.if_else(pc.equal(fold, (number + 1) % count), "validate", "train")
        held = (
            pc.if_else(pc.equal(fold, number), "validate", "train")
            if tested
            else pc.if_else(pc.equal(fold, number), "test", rest)
        )
        yield rows.set_column(1, "subset", pc.coalesce(subset, held))


def _samples(version: Version) -> pa.Table:
    if "samples" not in version.tables() or not version.count("samples"):
        raise InvalidInputError(
            f"{version.ref} has no samples", hint="ingest some, then divide them"
        )
    there = version.scan("samples").schema.names
    rows = version.table("samples", columns=[one for one in _COLUMNS if one in there])
    return rows.sort_by("id")  # where rows lie changes with every edit; who is where must not


def _refuse_empty(rows: pa.Table, plan: Plan, made: Made) -> None:
    divided: set[object] = set(range(plan.folds)) if plan.folds else set(plan.shares.subsets)
    there = {*rows["subset"].unique().to_pylist(), *rows["fold"].unique().to_pylist()}
    if empty := sorted(map(str, {*divided, *(one.subset for one in plan.hold_out)} - there)):
        raise InvalidInputError(
            f"nothing is left for {', '.join(empty)}",
            hint="take smaller blocks, a smaller buffer or gap, or less subsets"
            if made.left_out
            else f"there are only {rows.num_rows:,} samples: take more, or other --shares",
        )


def _reasons(rows: pa.Table, plan: Plan, made: Made) -> tuple[str, ...]:
    named = _counts(rows, plan)
    wanted = (
        {f"fold {number}": 1 / plan.folds for number in range(plan.folds)}
        if plan.folds
        else dict(zip(plan.shares.subsets, plan.shares.wanted, strict=True))
    )
    total = sum(named.get(name, 0) for name in wanted)
    why = [f"{made.unit} stay together"] if made.unit else []
    why += [f"{what} took its part" for what, left in _TAKES.items() if left in made.left_out]
    said = ", ".join(why) or f"there are only {total:,} samples"
    return tuple(
        f"{name} has {named.get(name, 0) / total:.1%}, not {share:.1%}, because {said}"
        for name, share in wanted.items()
        if abs(named.get(name, 0) / total - share) > TOLERANCE
    )


def _counts(rows: pa.Table, plan: Plan) -> dict[str, int]:
    found = pc.value_counts(rows["fold" if plan.folds else "subset"].combine_chunks()).to_pylist()
    named = {_name(one["values"], folds=bool(plan.folds)): one["counts"] for one in found}
    order = list(plan.shares.subsets)
    return dict(
        sorted(
            named.items(),
            key=lambda one: (order.index(one[0]) if one[0] in order else 99, one[0]),
        )
    )


def _name(value: object, *, folds: bool) -> str:
    if value is None:
        return "held out" if folds else "none"
    return f"fold {value}" if folds else str(value)
