"""Make a split of a version, keep it beside the version, and look at once for leaks."""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.beside import beside
from registry.catalog.ref import Ref
from registry.catalog.registry import Registry
from registry.catalog.version import Version
from registry.curate.layers.moments import instants_of
from registry.curate.splits import assigning
from registry.curate.splits.assigning import NOWHERE
from registry.curate.splits.columns import divided, stratum_by_label
from registry.curate.splits.leaking import LeakReport, keep_leaks, leaks_of
from registry.curate.splits.nearness import buffered, places_of
from registry.curate.splits.plan import Plan
from registry.curate.splits.shares import TOLERANCE
from registry.errors import ConflictError, InvalidInputError
from registry.geo import equal_area_cell
from registry.lake.names import check_key
from registry.progress import SILENT, Progress
from registry.tables import store
from registry.tables.schemas import splits_schema

__all__ = ["Split", "split"]

_DAY_US: Final = 86_400_000_000
_COLUMNS: Final = (
    "id", "geometry", "bbox", "datetime", "start_datetime", "end_datetime", "label", "group",
    "source", "properties",
)  # fmt: skip

Codes = npt.NDArray[np.int64]


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
        column = "fold" if self.plan.folds else "subset"
        found = pc.value_counts(self.rows[column].combine_chunks()).to_pylist()
        named = {_name(one["values"], folds=bool(self.plan.folds)): one["counts"] for one in found}
        order = list(self.plan.shares.subsets)
        return dict(
            sorted(
                named.items(),
                key=lambda one: (order.index(one[0]) if one[0] in order else 99, one[0]),
            )
        )

    def facts(self) -> dict[str, Any]:
        """Return what a program wants to know, as JSON's own types."""
        return {
            "ref": self.ref, "split": self.name, "plan": asdict(self.plan), "counts": self.counts,
            "left_out": dict(self.left_out), "reasons": list(self.reasons),
            "leaks": self.leaks.facts(),
        }  # fmt: skip

    def to_text(self) -> str:
        """Return it for people."""
        total = max(self.rows.num_rows, 1)
        lines = [f"{self.ref}: splits/{self.name}, {self.plan.method}, seed {self.plan.seed}"]
        lines += [f"  {name:<12} {n:>9,}  {n / total:6.1%}" for name, n in self.counts.items()]
        lines += [f"  left out: {n:,} {why}" for why, n in self.left_out.items()]
        lines += [f"  {reason}" for reason in self.reasons]
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
    check_key(f"splits/{name}")
    version = registry.resolve(ref)
    names = [name, *(f"{name}-{number}" for number in range(chosen.folds))]
    if not replace:
        _refuse_taken(version, names)
    progress.stage("dividing samples", total=None, unit="samples")
    samples = _samples(version)
    made = _Made.of(samples, chosen)
    rows = made.rows(samples)
    _refuse_empty(rows, chosen)
    tables = dict(zip(names, [rows, *_each_held(rows, chosen.folds)], strict=True))
    progress.stage("looking for leaks", total=len(tables), unit="splits")
    found = {}
    for one, members in tables.items():
        found[one] = leaks_of(version, one, members)
        progress.advance()
    said = tuple((key, str(one)) for key, one in chosen.said().items())

    def write(root: Path) -> None:
        for stale in _folds_of(store.names(root), name):
            if stale not in tables:
                shutil.rmtree(root / "splits" / stale)
        for one, members in tables.items():
            store.overwrite(root, splits_schema(one, said), members)
        for report in found.values():
            keep_leaks(root, report)

    beside(registry, version, f"split {name}: {chosen.method}, seed {chosen.seed}", write)
    return Split(
        ref=str(version.ref), name=name, plan=chosen, rows=rows, left_out=made.left_out,
        reasons=_reasons(rows, chosen, made), leaks=found[name],
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    """Which subset or fold each sample is in."""

    subset: npt.NDArray[np.object_]
    fold: Codes
    left_out: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    unit: str | None = None
    """What was kept together, and the largest share that one of them has."""

    @classmethod
    def of(cls, samples: pa.Table, plan: Plan) -> "_Made":
        subset = np.full(samples.num_rows, None, object)
        for one in plan.hold_out:
            subset[divided(samples, one.by).among(one.values)] = one.subset
        free = np.flatnonzero(subset == None)  # noqa: E711 — element by element
        if not len(free):
            raise InvalidInputError(
                "nothing is left to divide", hint="hold out less, or a version with samples"
            )
        rest = samples.take(pa.array(free)) if len(free) < samples.num_rows else samples
        codes, unit = _divided(rest, plan)
        left_out: dict[str, int] = {}
        everyone = np.full(samples.num_rows, NOWHERE, np.int64)
        everyone[free] = codes
        if plan.method == "blocked" and plan.buffer_km > 0:
            everyone = _without_buffer(samples, everyone, subset, plan)
        lost = int((everyone[free] == NOWHERE).sum())
        if lost:
            why = "within the gap" if plan.method == "temporal" else "within the buffer"
            left_out[why] = lost
        if plan.folds:
            return cls(subset=subset, fold=everyone, left_out=left_out, unit=unit)
        there = everyone != NOWHERE
        subset[there] = np.array(plan.shares.subsets, object)[everyone[there]]
        nowhere = np.full(samples.num_rows, NOWHERE, np.int64)
        return cls(subset=subset, fold=nowhere, left_out=left_out, unit=unit)

    def rows(self, samples: pa.Table) -> pa.Table:
        fold = pa.array(self.fold, pa.int32(), mask=self.fold == NOWHERE)
        table = pa.table({
            "sample": samples["id"].combine_chunks(),
            "subset": pa.array(self.subset, pa.string()),
            "fold": fold,
        })
        there = pc.or_(pc.is_valid(table["subset"]), pc.is_valid(table["fold"]))
        return table.filter(there).cast(splits_schema("default").arrow)


def _refuse_taken(version: Version, names: Sequence[str]) -> None:
    there = set(version.tables())
    for name in names:
        if f"splits/{name}" in there:
            raise ConflictError(
                f"{version.ref} has a split '{name}' already",
                hint="give the new one another --name, or --replace it",
            )


def _folds_of(tables: Sequence[str], name: str) -> list[str]:
    """Return the splits that are folds of one, by their names."""
    pattern = re.compile(rf"splits/({re.escape(name)}-\d+)")
    return [found[1] for table in tables if (found := pattern.fullmatch(table))]


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


def _divided(samples: pa.Table, plan: Plan) -> tuple[Codes, str | None]:
    """Divide the samples.

    Returns:
        The subset, or fold, of each, and what was kept together.
    """
    if plan.method == "temporal":
        moments, what = _moments(samples), "moments"
        _refuse_few(len(np.unique(moments)), what, plan)
        gap = round(plan.gap_days * _DAY_US)
        return assigning.by_time(moments, plan.shares, gap=gap), f"samples of equal {what}"
    if plan.method in {"random", "stratified"}:
        return _spread(_strata(samples, plan), plan), None
    units, what = _units(samples, plan)
    _refuse_few(int(units.max()) + 1, what, plan)
    if plan.folds:
        return assigning.folds_of(units, plan.folds, seed=plan.seed), what
    return assigning.by_unit(units, plan.shares, seed=plan.seed), what


def _strata(samples: pa.Table, plan: Plan) -> Codes:
    if plan.method == "random":
        return np.zeros(samples.num_rows, np.int64)
    return stratum_by_label(samples) if plan.by is None else divided(samples, plan.by).codes


def _spread(strata: Codes, plan: Plan) -> Codes:
    if plan.folds:
        alone = np.arange(len(strata))
        return assigning.folds_of(alone, plan.folds, seed=plan.seed, strata=strata)
    return assigning.by_stratum(strata, plan.shares, seed=plan.seed)


def _refuse_few(there: int, what: str, plan: Plan) -> None:
    wanted, of = (plan.folds, "folds") if plan.folds else (len(plan.shares.subsets), "subsets")
    if there < wanted:
        raise InvalidInputError(
            f"there are {there} {what}, too few for {wanted} {of}",
            hint="divide by something finer, or into less",
        )


def _units(samples: pa.Table, plan: Plan) -> tuple[Codes, str]:
    if plan.method == "blocked":
        places = _placed(samples)
        cells = equal_area_cell(places.lon, places.lat, block_km=plan.block_km)
        return np.unique(cells, return_inverse=True)[1].reshape(-1), f"{plan.block_km:g} km blocks"
    by = plan.by or ("group" if plan.method == "group" else "country")
    units = divided(samples, by).units()
    return np.unique(units, return_inverse=True)[1].reshape(-1), f"values of {by}"


def _placed(samples: pa.Table) -> Any:  # noqa: ANN401 — places, checked
    places = places_of(samples)
    if not places.known.all():
        raise InvalidInputError(
            f"{int((~places.known).sum()):,} of {samples.num_rows:,} samples have no place",
            hint="divide by group or at random, or state where they are: eolab edit --set geometry",
        )
    return places


def _without_buffer(
    samples: pa.Table, codes: Codes, held: npt.NDArray[np.object_], plan: Plan
) -> Codes:
    """Take out what is too near to others; what was held out judges all others.

    Returns:
        The codes that are left.
    """
    apart = held != None  # noqa: E711 — element by element
    judged = np.where(apart, int(codes.max()) + 1, codes)
    kept = buffered(_placed(samples), judged, buffer_km=plan.buffer_km)
    return np.where(apart, codes, kept)


def _moments(samples: pa.Table) -> Codes:
    known = pc.coalesce(
        *(samples[name] for name in ("datetime", "start_datetime") if name in samples.column_names)
    )
    if known.null_count:
        raise InvalidInputError(
            f"{known.null_count:,} of {samples.num_rows:,} samples have no time",
            hint="divide by group or at random, or state when they were taken",
        )
    return instants_of(pa.table({"datetime": known}))


def _refuse_empty(rows: pa.Table, plan: Plan) -> None:
    there = set(rows["fold" if plan.folds else "subset"].unique().to_pylist())
    wanted: set[object] = set(range(plan.folds)) if plan.folds else set(plan.shares.subsets)
    if empty := sorted(map(str, wanted - there)):
        raise InvalidInputError(
            f"nothing is left for {', '.join(empty)}",
            hint="take smaller blocks, a smaller buffer or gap, or less subsets",
        )


def _reasons(rows: pa.Table, plan: Plan, made: _Made) -> tuple[str, ...]:
    if plan.folds:
        return ()
    counted = {one["values"]: one["counts"] for one in pc.value_counts(rows["subset"]).to_pylist()}
    total = sum(counted.get(name, 0) for name in plan.shares.subsets)
    why = f"because {made.unit} stay together" if made.unit else "because samples are whole"
    if "within the buffer" in made.left_out:
        why += " and the buffer took its part"
    if "within the gap" in made.left_out:
        why += " and the gap took its part"
    return tuple(
        f"{name} has {counted.get(name, 0) / total:.1%}, not {wanted:.1%}, {why}"
        for name, wanted in zip(plan.shares.subsets, plan.shares.wanted, strict=True)
        if abs(counted.get(name, 0) / total - wanted) > TOLERANCE
    )


def _name(value: object, *, folds: bool) -> str:
    if value is None:
        return "held out" if folds else "none"
    return f"fold {value}" if folds else str(value)
