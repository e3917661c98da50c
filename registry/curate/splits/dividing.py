"""Divide samples by a plan: set apart, divide the rest, and leave out what would leak."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.splits import learning_order
from registry.curate.layers.moments import NEVER, instants_of
from registry.curate.splits import assigning
from registry.curate.splits.assigning import NOWHERE
from registry.curate.splits.columns import divided, having, stratum_by_label
from registry.curate.splits.nearness import Places, apart_in_time, buffered, places_of
from registry.curate.splits.plan import Plan
from registry.errors import InvalidInputError
from registry.geo import equal_area_cell
from registry.tables.schemas import splits_schema

__all__ = ["BUFFER", "GAP", "OVERLAP", "TORN", "Made", "divide"]

BUFFER: Final = "within the buffer"
"""Why a sample is in no subset: it is too near to one of another."""

GAP: Final = "within the gap"
"""Likewise in time."""

OVERLAP: Final = "going on into the time of a later subset"
"""Likewise, of what has an interval."""

TORN: Final = "because others of the same {what} are held out"
"""Likewise: it would tear apart what stays together."""

_DAY_US: Final = 86_400_000_000

Codes = npt.NDArray[np.int64]
Names = npt.NDArray[np.object_]
Some = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Which subset or fold each sample is in."""

    subset: Names
    """Of each sample; None where it is in a fold, or left out."""

    fold: Codes
    """Of each sample; -1 where it is in none."""

    left_out: Mapping[str, int]
    """Samples in neither, by the reason."""

    unit: str | None
    """What was kept together."""

    def rows(self, samples: pa.Table) -> pa.Table:
        """Return the rows of ``splits/<name>``: the samples that are somewhere.

        Args:
            samples: The same that were divided.
        """
        table = pa.table({
            "sample": samples["id"].combine_chunks(),
            "subset": pa.array(self.subset, pa.string()),
            "fold": pa.array(self.fold, pa.int32(), mask=self.fold == NOWHERE),
        })
        there = pc.or_(pc.is_valid(table["subset"]), pc.is_valid(table["fold"]))
        return table.filter(there).cast(splits_schema("default").arrow)


def divide(samples: pa.Table, plan: Plan) -> Made:
    """Divide samples.

    What is held out is set apart first. Of what the method keeps together, such as a group, one
    subset alone has samples: those that share it with held-out ones are left out, and where several
    hold-outs share it, the one that judges the others has it. So it is with the buffer and the gap:
    who learns gives way to who judges.

    Args:
        samples: Rows of ``samples``, in an order that says nothing.
        plan: How.

    Returns:
        Where each is, and how many are nowhere.

    Raises:
        InvalidInputError: They cannot be divided so.
    """
    side = _held_out(samples, plan)
    fold = np.full(samples.num_rows, NOWHERE, np.int64)
    free = side == None  # noqa: E711 — element by element
    left_out: dict[str, int] = {}
    if plan.hold_out and (torn := _torn(samples, side, plan)) is not None:
        lost, what = torn
        side[lost], free = None, free & ~lost
        left_out[TORN.format(what=what)] = int(lost.sum())
    if not free.any():
        raise InvalidInputError(
            "nothing is left to divide", hint="hold out less, or a version with samples"
        )
    rest = samples if free.all() else samples.filter(pa.array(free))
    codes, unit = _divided(rest, plan)
    if plan.folds:
        fold[free] = codes
    else:
        side[free] = np.array(plan.shares.subsets, object)[codes]
    if plan.method == "temporal":
        lost = _running_on(rest, codes)
        side[np.flatnonzero(free)[lost]] = None
        left_out[OVERLAP] = int(lost.sum())
    for why, width, kept in (BUFFER, plan.buffer_km, _buffered), (GAP, plan.gap_days, _in_time):
        if width:
            ranks = _ranks(side, fold)
            lost = (ranks != NOWHERE) & (kept(samples, ranks, plan) == NOWHERE)
            side[lost], fold[lost] = None, NOWHERE
            left_out[why] = int(lost.sum())
    there = {why: count for why, count in left_out.items() if count}
    return Made(subset=side, fold=fold, left_out=there, unit=unit)


# ------------------------------------------------------------------------------------- set apart
def _held_out(samples: pa.Table, plan: Plan) -> Names:
    """Return the subset of each sample that is set apart; where two claim it, the later one."""
    side = np.full(samples.num_rows, None, object)
    for one in plan.hold_out:
        side[having(samples, one.by, one.values)] = one.subset
    return side


def _torn(samples: pa.Table, side: Names, plan: Plan) -> tuple[Some, str] | None:
    """Return which samples share what stays together with held-out ones, and what that is."""
    if plan.method not in {"group", "region", "blocked"}:
        return None
    ranks = _ranks(side, np.full(len(side), NOWHERE, np.int64))
    units, what = _units(samples, plan, among=side == None)  # noqa: E711 — element by element
    first = np.full(int(units.max()) + 1, NOWHERE, np.int64)
    np.maximum.at(first, units, ranks)
    return ranks < first[units], what


# --------------------------------------------------------------------------------------- divided
def _divided(samples: pa.Table, plan: Plan) -> tuple[Codes, str | None]:
    """Divide the samples.

    Returns:
        The subset, or fold, of each, and what was kept together.
    """
    if plan.method == "temporal":
        moments = _moments(samples)
        _refuse_simultaneous(np.unique(moments), plan)
        return assigning.by_time(moments, plan.shares), "samples of equal moments"
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


def _refuse_simultaneous(moments: Codes, plan: Plan) -> None:
    """Refuse to divide by time what was taken at fewer times than there are subsets.

    Raises:
        InvalidInputError: It was.
    """
    wanted = len(plan.shares.subsets)
    if len(moments) >= wanted:
        return
    if len(moments) == 1:
        when = f"{np.datetime64(int(moments[0]), 'us').astype('datetime64[s]')}Z"
        problem = f"all samples are of one moment, {when}, so none of them comes later"
    else:
        problem = (
            f"samples are of {len(moments)} moments, too few for {wanted} subsets one after another"
        )
    raise InvalidInputError(
        problem, hint="divide by place or at random: --method blocked, group or random"
    )


def _refuse_few(there: int, what: str, plan: Plan) -> None:
    wanted, of = (plan.folds, "folds") if plan.folds else (len(plan.shares.subsets), "subsets")
    if there < wanted:
        raise InvalidInputError(
            f"the samples have {there} {_single(what) if there == 1 else what}, too few for "
            f"{wanted} {of}",
            hint="divide by something finer, or into less",
        )


def _single(what: str) -> str:
    """Return one of what samples are kept together by.

    Examples:
        >>> _single("values of country"), _single("10 km blocks")
        ('value of country', '10 km block')
    """
    return what.replace("values of", "value of", 1).replace(" km blocks", " km block")


def _units(samples: pa.Table, plan: Plan, *, among: Some | None = None) -> tuple[Codes, str]:
    """Return what each sample is kept together with, from 0, and what that is called.

    Args:
        samples: All, or those to divide.
        plan: How.
        among: Which of them need a place, for blocks; all if None.
    """
    if plan.method == "blocked":
        places = _placed(samples, among)
        cells = -1 - np.arange(samples.num_rows)  # one without a place is alone
        known = places.known
        cells[known] = equal_area_cell(places.lon[known], places.lat[known], block_km=plan.block_km)
        return np.unique(cells, return_inverse=True)[1].reshape(-1), f"{plan.block_km:g} km blocks"
    by = plan.by or ("group" if plan.method == "group" else "country")
    units = divided(samples, by).units()
    return np.unique(units, return_inverse=True)[1].reshape(-1), f"values of {by}"


# ----------------------------------------------------------------------------------------- apart
def _ranks(side: Names, fold: Codes) -> Codes:
    """Return where each sample's subset or fold stands among those that judge; -1 for none."""
    names = side.copy()
    folded = fold != NOWHERE
    names[folded] = [f"fold {number:03}" for number in fold[folded]]
    order = sorted({name for name in names if name is not None}, key=learning_order)
    rank = {name: number for number, name in enumerate(order)} | {None: NOWHERE}
    return np.array([rank[name] for name in names], np.int64)


def _buffered(samples: pa.Table, ranks: Codes, plan: Plan) -> Codes:
    return buffered(_placed(samples, ranks != NOWHERE), ranks, buffer_km=plan.buffer_km)


def _in_time(samples: pa.Table, ranks: Codes, plan: Plan) -> Codes:
    begin = _moments(samples, ranks != NOWHERE)
    return apart_in_time(begin, _ends(samples, begin), ranks, gap=round(plan.gap_days * _DAY_US))


def _running_on(samples: pa.Table, subsets: Codes) -> Some:
    """Return which samples have an interval that goes on into the time of who judges them."""
    begin = _moments(samples)
    first = np.full(int(subsets.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(first, subsets, begin)
    later = np.append(np.minimum.accumulate(first[::-1])[::-1][1:], np.iinfo(np.int64).max)
    return np.asarray(_ends(samples, begin) >= later[subsets])


def _ends(samples: pa.Table, begin: Codes) -> Codes:
    """Return when samples end: those with an interval later than they begin."""
    spans = instants_of(samples) == NEVER
    return np.maximum(begin, np.where(spans, instants_of(samples, "end_datetime"), begin))


def _placed(samples: pa.Table, among: Some | None = None) -> Places:
    """Return where samples are.

    Raises:
        InvalidInputError: One that needs a place has none.
    """
    places = places_of(samples)
    lacking = ~places.known if among is None else among & ~places.known
    if lacking.any():
        raise InvalidInputError(
            f"{int(lacking.sum()):,} of {samples.num_rows:,} samples have no place",
            hint="divide by group or at random, without a buffer; or state where they are: "
            "eolab edit --set geometry",
        )
    return places


def _moments(samples: pa.Table, among: Some | None = None) -> Codes:
    """Return when samples begin, in microseconds of UTC since 1970.

    Raises:
        InvalidInputError: One that needs a time has none.
    """
    said = instants_of(samples)
    moments = np.where(said == NEVER, instants_of(samples, "start_datetime"), said)
    lacking = (moments == NEVER) & (True if among is None else among)
    if lacking.any():
        raise InvalidInputError(
            f"{int(lacking.sum()):,} of {samples.num_rows:,} samples have no time",
            hint="divide by group or at random, without a gap; or state when they were taken",
        )
    return moments
