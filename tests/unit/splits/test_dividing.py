"""What trains is kept apart from what judges, in groups, on the ground and in time."""

import dataclasses
import datetime as dt
import itertools

import numpy as np
import pyarrow as pa
import pytest

from registry.curate.splits import HoldOut, Plan, Shares, split
from registry.curate.splits.columns import divided
from registry.curate.splits.nearness import places_of
from registry.errors import InvalidInputError
from tests.unit.splits.conftest import row, scattered, subsets


def test_a_buffer_is_kept_between_footprints(version_of):
    registry, version = version_of(scattered(600))
    made = split(registry, "ships@v1", plan=Plan(method="blocked", block_km=60, buffer_km=8))
    samples = version.table("samples")
    places, said = places_of(samples), subsets(made)
    side = np.array([said.get(one) or "" for one in samples["id"].to_pylist()])
    for one, other in (("train", "validate"), ("train", "test"), ("validate", "test")):
        own, others = np.flatnonzero(side == one), np.flatnonzero(side == other)
        every = np.linalg.norm(places.points[own][:, None] - places.points[others], axis=2)
        apart = every - places.reach[own][:, None] - places.reach[others]
        assert apart.min() >= 8
    assert made.left_out["within the buffer"] == 600 - made.rows.num_rows
    assert made.leaks.clean


def distances(version, said):
    """How far apart the footprints of each pair of subsets are at least."""
    samples = version.table("samples")
    places = places_of(samples)
    side = np.array([said.get(one) or "" for one in samples["id"].to_pylist()])
    found = {}
    for one, other in itertools.combinations(sorted(set(side) - {""}), 2):
        own, others = np.flatnonzero(side == one), np.flatnonzero(side == other)
        every = np.linalg.norm(places.points[own][:, None] - places.points[others], axis=2)
        found[one, other] = (every - places.reach[own][:, None] - places.reach[others]).min()
    return found


def test_the_buffer_is_kept_between_hold_outs_too_and_folds_give_way_to_them(version_of):
    rows = [one | {"group": f"g{n % 20}"} for n, one in enumerate(scattered(600))]
    registry, version = version_of(rows)
    apart = tuple(
        HoldOut(subset=f"test:{name}", by="group", values=(f"g{n}",))
        for n, name in enumerate(("a", "b"))
    )
    plan = Plan(buffer_km=8, hold_out=apart, shares=Shares.of({"train": 0.9, "val": 0.1}))
    found = distances(version, subsets(split(registry, "ships@v1", plan=plan)))
    assert len(found) == 6
    assert min(found.values()) >= 8
    plan = Plan(buffer_km=8, hold_out=apart, method="blocked", block_km=60, folds=3)
    made = split(registry, "ships@v1", name="cross", plan=plan)
    sides = {row["sample"]: row["subset"] or f"fold {row['fold']}" for row in made.rows.to_pylist()}
    found = distances(version, sides)
    assert len(found) == 10
    assert min(found.values()) >= 8
    assert made.counts["held out"] > 40


def test_the_gap_is_kept_from_hold_outs_whenever_they_were_taken(version_of):
    registry, _ = version_of([row(n, group="g" if n in {10, 50} else f"g{n}") for n in range(100)])
    apart = HoldOut(subset="test:event", by="group", values=("g",))
    made = split(
        registry, "ships@v1", plan=Plan(method="temporal", gap_days=2.5, hold_out=(apart,))
    )
    days = {name: [] for name in made.counts}
    for one, subset in subsets(made).items():
        days[subset].append(int(one[1:]))
    for one, other in itertools.combinations(days.values(), 2):
        assert np.abs(np.subtract.outer(one, other)).min() > 2.5
    assert days["test:event"] == [10, 50]
    assert made.left_out == {"within the gap": 12}


def test_in_time_whoever_judges_comes_last_however_it_was_typed(version_of):
    registry, _ = version_of([row(n) for n in range(20)])
    shares = Shares.parse("test=0.25,train=0.75")
    said = subsets(split(registry, "ships@v1", plan=Plan(method="temporal", shares=shares)))
    assert [said["s0000"], said["s0019"]] == ["train", "test"]


def test_an_interval_that_goes_on_into_the_time_of_a_test_does_not_train(version_of):
    rows = [row(n) for n in range(40)]
    for number, days in ((3, 50), (20, 5), (30, 3)):
        ends = rows[number]["datetime"] + dt.timedelta(days=days)
        rows[number] |= {
            "start_datetime": rows[number]["datetime"], "end_datetime": ends, "datetime": None,
        }  # fmt: skip
    registry, _ = version_of(rows)
    made = split(registry, "ships@v1", plan=Plan(method="temporal"))
    assert {f"s{n:04}" for n in range(40)} - subsets(made).keys() == {"s0003", "s0030"}
    assert made.left_out == {"going on into the time of a later subset": 2}


def test_a_label_is_held_out_with_all_that_have_it_among_others(version_of):
    labels = [["ship"], ["cloud", "ship"], ["cloud"], None, [], ["ship", "cloud"]]
    registry, _ = version_of([row(n) | {"label": labels[n % 6]} for n in range(60)])
    apart = HoldOut(subset="test", by="label", values=("ship",))
    said = subsets(split(registry, "ships@v1", plan=Plan(hold_out=(apart,))))
    assert {int(one[1:]) % 6 for one, subset in said.items() if subset == "test"} == {0, 1, 5}
    assert {int(one[1:]) % 6 for one, subset in said.items() if subset == "train"} == {2, 3, 4}
    made = split(registry, "ships@v1", name="sets", plan=Plan(method="group", by="label", folds=3))
    folds = dict(zip(*(made.rows[one].to_pylist() for one in ("sample", "fold")), strict=True))
    assert folds["s0001"] == folds["s0005"]
    assert len({fold for one, fold in folds.items() if int(one[1:]) % 6 in {3, 4}}) > 1


def test_samples_are_spread_by_their_target_and_not_by_what_has_no_one_value(version_of):
    lists = pa.array([{"tags": ["a"]}] * 20, pa.struct([("tags", pa.list_(pa.string()))]))
    rows = [row(n) | {"target": float(n % 2)} for n in range(20)]
    registry, version = version_of(rows)
    made = split(registry, "ships@v1", plan=Plan(method="stratified", by="target", folds=5))
    folds = made.rows["fold"].to_pylist()
    assert {sum(int(fold == one) for one in folds[::2]) for fold in range(5)} == {2}
    with pytest.raises(InvalidInputError, match="cannot be divided by 'tags', which is list"):
        divided(version.table("samples").append_column("properties", lists), "tags")


@pytest.mark.parametrize(
    ("plan", "what"),
    [
        ({"method": "group"}, "values of group"),
        ({"method": "group", "by": "scene"}, "values of scene"),
        ({"method": "region", "by": "scene"}, "values of scene"),
        ({"method": "blocked", "block_km": 20}, "20 km blocks"),
        ({"method": "group", "folds": 3}, "values of group"),
    ],
)
def test_what_stays_together_is_not_torn_apart_by_what_is_held_out(version_of, plan, what):
    rows = [
        row(n, lon=float(n // 5), group=f"g{n // 5}", item=f"i{n // 5}", label="ship" if n in {
            0, 7, 8} else "none")
        for n in range(50)
    ]  # fmt: skip
    registry, _ = version_of(rows)
    apart = HoldOut(subset="test", by="label", values=("ship",))
    made = split(registry, "ships@v1", plan=Plan(**plan, hold_out=(apart,)))
    said = subsets(made)
    assert {one for one, subset in said.items() if subset == "test"} == {"s0000", "s0007", "s0008"}
    assert not {f"s{n:04}" for n in range(10)} - {"s0000", "s0007", "s0008"} & said.keys()
    assert made.left_out == {f"because others of the same {what} are held out": 7}
    assert made.leaks.clean


def test_of_several_hold_outs_of_one_group_the_one_that_judges_has_it(version_of):
    rows = [row(n, group=f"g{n // 4}", label="abcd"[n] if n < 4 else "e") for n in range(40)]
    registry, _ = version_of(rows)
    apart = tuple(
        HoldOut(subset=subset, by="label", values=(value,))
        for subset, value in (("test:far", "a"), ("test:near", "b"), ("validate", "c"))
    )
    with pytest.raises(InvalidInputError, match="nothing is left for test:far, validate"):
        split(registry, "ships@v1", plan=Plan(method="group", hold_out=apart))
    made = split(registry, "ships@v1", plan=Plan(method="group", hold_out=apart[1:2]))
    assert made.counts["test:near"] == 1
    assert "s0000" not in subsets(made)


def test_a_held_out_sample_without_a_place_is_in_no_block(version_of):
    rows = [row(n, lon=None if n < 3 else float(n), group="a" if n < 3 else "b") for n in range(20)]
    registry, _ = version_of(rows)
    apart = HoldOut(subset="test", by="group", values=("a",))
    plan = Plan(method="blocked", hold_out=(apart,))
    assert split(registry, "ships@v1", plan=plan).counts["test"] == 3
    with pytest.raises(InvalidInputError, match="3 of 20 samples have no place"):
        split(registry, "ships@v1", name="far", plan=dataclasses.replace(plan, buffer_km=1))


def test_a_country_can_be_held_out_under_a_name(version_of):
    registry, _ = version_of([
        row(n, group="bolivia" if n % 4 == 0 else f"g{n}") for n in range(40)
    ])
    apart = HoldOut(subset="test:bolivia", by="group", values=("bolivia",))
    made = split(registry, "ships@v1", plan=Plan(hold_out=(apart,)))
    assert made.counts == {"train": 24, "validate": 3, "test": 3, "test:bolivia": 10}


def test_time_divides_without_looking_ahead(version_of):
    registry, _ = version_of([row(n) for n in range(100)])
    made = split(registry, "ships@v1", plan=Plan(method="temporal", gap_days=4.5))
    said = subsets(made)
    last = max(one for one, subset in said.items() if subset == "train")
    first = min(one for one, subset in said.items() if subset == "validate")
    assert (last, first) == ("s0075", "s0080")
    assert made.left_out == {"within the gap": 8}
