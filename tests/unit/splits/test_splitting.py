import dataclasses
import datetime as dt
import itertools
import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely

from registry.catalog.branches import protect
from registry.cli.app import run
from registry.curate.splits import HoldOut, Plan, Shares, leaks, split
from registry.curate.splits.columns import divided
from registry.curate.splits.nearness import places_of
from registry.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from registry.tables import store
from tests.unit.splits.conftest import row


def subsets(made):
    return dict(zip(made.rows["sample"].to_pylist(), made.rows["subset"].to_pylist(), strict=True))


def scattered(count, seed=0):
    rng = np.random.default_rng(seed)
    return [
        row(n, lon=float(rng.uniform(0, 6)), lat=float(rng.uniform(45, 51))) for n in range(count)
    ]


def test_a_split_is_read_with_the_version_and_says_how_it_was_made(version_of):
    registry, version = version_of(scattered(50))
    made = split(registry, "ships@v1", plan=Plan(seed=3))
    kept = registry.resolve("ships@v1")
    assert kept.content_id == version.content_id
    assert kept.table("splits/default").sort_by("sample").equals(made.rows.sort_by("sample"))
    said = dict(store.schema_of(kept.home_of("splits/default"), "splits/default").properties)
    assert (said["method"], said["seed"]) == ("random", "3")
    assert made.counts == {"train": 40, "validate": 5, "test": 5}


def test_the_same_seed_divides_alike_on_another_lake(version_of, tmp_path, ungated):
    registry, _ = version_of(scattered(50))
    again, _ = version_of(scattered(50), name="boats")
    first = split(registry, "ships@v1").rows
    assert first.equals(split(again, "boats@v1").rows)


def test_a_name_is_taken_only_once_unless_it_is_to_be_replaced(version_of):
    registry, _ = version_of(scattered(30))
    split(registry, "ships@v1")
    with pytest.raises(ConflictError, match="has a split 'default' already"):
        split(registry, "ships@v1")
    made = split(registry, "ships@v1", plan=Plan(seed=9), replace=True)
    kept = registry.resolve("ships@v1")
    said = dict(store.schema_of(kept.home_of("splits/default"), "splits/default").properties)
    assert (said["seed"], made.plan.seed) == ("9", 9)
    assert kept.table("splits/default").sort_by("sample").equals(made.rows.sort_by("sample"))


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


def test_a_subset_of_few_samples_is_said_in_one_line(version_of):
    registry, _ = version_of([row(n) for n in range(24)])
    made = split(registry, "ships@v1")
    assert made.facts()["few"] == {"validate": 3, "test": 2}
    (said,) = [line for line in made.to_text().splitlines() if "say little" in line]
    assert said.startswith("  validate (3), test (2): less than 5 samples say little")
    assert not any(one in said for one in ("train", "\n"))
    folds = split(registry, "ships@v1", name="cross", plan=Plan(folds=8)).to_text()
    assert "  8 of 8 folds: less than 5 samples say little" in folds
    even = split(registry, "ships@v1", name="even", plan=Plan(folds=4))
    assert (even.few, "say little" in even.to_text()) == ({}, False)


def test_folds_that_groups_make_uneven_say_why(version_of):
    registry, _ = version_of([row(n, group=f"g{max(n - 30, 0)}") for n in range(60)])
    made = split(registry, "ships@v1", plan=Plan(method="group", folds=3))
    assert made.reasons[0] == ("fold 0 has 51.7%, not 33.3%, because values of group stay together")


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


def test_all_that_is_held_out_is_said_with_the_table(version_of):
    plan = Plan(hold_out=(
        HoldOut(subset="test", by="group", values=("a", "b")),
        HoldOut(subset="test", by="country", values=("France",)),
    ))  # fmt: skip
    assert plan.said()["hold_out test"] == "group=a|b, country=France"


@pytest.mark.parametrize("method", ["random", "blocked", "temporal"])
def test_a_column_that_a_method_would_not_look_at_is_refused(method):
    with pytest.raises(InvalidInputError, match=f"'{method}' keeps nothing of 'scene'") as error:
        Plan(method=method, by="scene")
    assert "--method group" in error.value.hint
    apart = HoldOut(subset="test", by="scene", values=("a",))
    assert Plan(method=method, by="scene", hold_out=(apart,)).by == "scene"


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


def test_groups_stay_together_and_shares_that_miss_say_why(version_of):
    rows = [row(n, group="large" if n < 50 else f"g{n}") for n in range(80)]
    registry, _ = version_of(rows)
    made = split(registry, "ships@v1", plan=Plan(method="group"))
    said = subsets(made)
    assert len({said[one["id"]] for one in rows if one["group"] == "large"}) == 1
    assert not made.reasons
    halves = Plan(method="group", shares=Shares.of({"train": 0.5, "test": 0.5}))
    (train, test) = split(registry, "ships@v1", name="halves", plan=halves).reasons
    assert "because values of group stay together" in train + test


def test_a_country_can_be_held_out_under_a_name(version_of):
    registry, _ = version_of([
        row(n, group="bolivia" if n % 4 == 0 else f"g{n}") for n in range(40)
    ])
    apart = HoldOut(subset="test:bolivia", by="group", values=("bolivia",))
    made = split(registry, "ships@v1", plan=Plan(hold_out=(apart,)))
    assert made.counts == {"train": 24, "validate": 3, "test": 3, "test:bolivia": 10}


def test_folds_have_no_subset_and_a_held_out_test_has_no_fold(version_of):
    registry, _ = version_of([row(n, group=f"g{n % 9}") for n in range(45)])
    apart = HoldOut(subset="test", by="group", values=("g0",))
    made = split(registry, "ships@v1", plan=Plan(method="group", folds=4, hold_out=(apart,)))
    assert made.counts == {"fold 0": 10, "fold 1": 10, "fold 2": 10, "fold 3": 10, "held out": 5}
    folds, names = made.rows["fold"].to_pylist(), made.rows["subset"].to_pylist()
    assert {(fold is None, name) for fold, name in zip(folds, names, strict=True)} == {
        (True, "test"), (False, None),
    }  # fmt: skip


def test_each_fold_is_a_split_of_its_own_in_which_it_is_held_out(version_of):
    registry, _ = version_of([row(n) for n in range(20)])
    made = split(registry, "ships@v1", name="cross", plan=Plan(folds=4))
    fold = dict(zip(*(made.rows[name].to_pylist() for name in ("sample", "fold")), strict=True))
    version = registry.resolve("ships@v1")
    for number in range(4):
        rows = version.table(f"splits/cross-{number}").to_pylist()
        roles = {0: "test", 1: "validate"}
        assert all(
            one["subset"] == roles.get((fold[one["sample"]] - number) % 4, "train") for one in rows
        )


def test_folds_take_no_name_that_another_split_has_and_leave_none_behind(version_of):
    registry, _ = version_of([row(n) for n in range(20)])
    split(registry, "ships@v1", name="mine-0")
    with pytest.raises(ConflictError, match="has a split 'mine-0' already"):
        split(registry, "ships@v1", name="mine", plan=Plan(folds=3))
    split(registry, "ships@v1", name="cross", plan=Plan(folds=5))
    split(registry, "ships@v1", name="cross", plan=Plan(folds=2), replace=True)
    there = [one for one in registry.resolve("ships@v1").tables() if "cross" in one]
    assert there == ["splits/cross", "splits/cross-0", "splits/cross-1"]


def test_a_split_that_is_only_called_like_a_fold_stays(version_of):
    registry, _ = version_of([row(n, group="a") for n in range(30)])
    split(registry, "ships@v1", name="year-2020")
    kept = registry.resolve("ships@v1").table("splits/year-2020")
    split(registry, "ships@v1", name="year")
    split(registry, "ships@v1", name="year", plan=Plan(seed=2), replace=True)
    assert registry.resolve("ships@v1").table("splits/year-2020").equals(kept)
    split(registry, "ships@v1", name="mine-1")
    with pytest.raises(ConflictError, match="has a split 'mine-1' already"):
        split(registry, "ships@v1", name="mine", plan=Plan(folds=2), replace=True)
    split(registry, "ships@v1", name="year", plan=Plan(folds=2), replace=True)
    split(registry, "ships@v1", name="year", replace=True)
    version = registry.resolve("ships@v1")
    there = {one for one in version.tables() if one.startswith("splits/")}
    assert there == {"splits/year", "splits/year-2020", "splits/mine-1"}
    kept = {one.partition(":")[0] for one in version.table("reports/leaks")["id"].to_pylist()}
    assert kept == {"year", "year-2020", "mine-1"}


def test_a_published_split_is_not_said_to_be_replaced(version_of, ungated):
    registry, _ = version_of(scattered(20))
    draft = registry.draft("ships")
    split(registry, "ships@draft", name="own")
    split(registry, "ships@draft", name="own", plan=Plan(seed=3), replace=True)
    ungated(registry, draft, lambda root: (root / "NOTE").write_text("second"))
    with pytest.raises(ConflictError, match="was published with ships@v2, which never") as error:
        split(registry, "ships@v2", name="own", plan=Plan(seed=1), replace=True)
    assert "--name" in error.value.hint


def test_what_leaks_between_folds_is_known_of_each(version_of):
    registry, _ = version_of([row(n, group="a") for n in range(20)])
    split(registry, "ships@v1", name="cross", plan=Plan(folds=4))
    kept = registry.resolve("ships@v1").table("reports/leaks")["id"].to_pylist()
    assert {one.partition(":")[0] for one in kept} == {"cross", *(f"cross-{n}" for n in range(4))}


def test_a_fold_validates_where_others_are_held_out_for_tests(version_of):
    registry, _ = version_of([row(n, group=f"g{n % 9}") for n in range(45)])
    apart = HoldOut(subset="test", by="group", values=("g0",))
    split(registry, "ships@v1", name="cross", plan=Plan(method="group", folds=4, hold_out=(apart,)))
    subsets = (
        registry.resolve("ships@v1").table("splits/cross-2")["subset"].value_counts().to_pylist()
    )
    assert {one["values"]: one["counts"] for one in subsets} == {
        "train": 30,
        "validate": 10,
        "test": 5,
    }


def test_time_divides_without_looking_ahead(version_of):
    registry, _ = version_of([row(n) for n in range(100)])
    made = split(registry, "ships@v1", plan=Plan(method="temporal", gap_days=4.5))
    said = subsets(made)
    last = max(one for one, subset in said.items() if subset == "train")
    first = min(one for one, subset in said.items() if subset == "validate")
    assert (last, first) == ("s0075", "s0080")
    assert made.left_out == {"within the gap": 8}


@pytest.mark.parametrize(
    ("rows", "plan", "problem"),
    [
        ([row(n) for n in range(9)], Plan(method="blocked"), "9 of 9 samples have no place"),
        ([row(n) for n in range(9)], Plan(method="group"), "no sample has a value of 'group'"),
        ([row(n) for n in range(9)], Plan(method="stratified"), "no sample has a label"),
        ([row(n) for n in range(2)], Plan(), "nothing is left for"),
        ([row(n, group="a") for n in range(9)], Plan(method="group"), "too few for 3 subsets"),
        ([row(n) for n in range(9)], Plan(method="group", by="colour"), "cannot be divided by"),
        (
            [row(n, group="a") for n in range(9)],
            Plan(hold_out=(HoldOut(subset="test", by="group", values=("b",)),)),
            "no sample has group 'b'",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_divided_is_said_with_the_value(version_of, rows, plan, problem):
    registry, version = version_of(rows)
    with pytest.raises(InvalidInputError, match=problem):
        split(registry, "ships@v1", plan=plan)
    assert registry.resolve("ships@v1").tables() == version.tables()


@pytest.mark.parametrize(
    "said",
    [
        {"folds": 1}, {"folds": -3}, {"folds": 101}, {"folds": 3, "method": "temporal"},
        {"method": "x"},
    ],
)  # fmt: skip
def test_a_plan_that_means_nothing_is_refused(said):
    with pytest.raises(InvalidInputError):
        Plan(**said)


@pytest.mark.parametrize("name", ["block_km", "buffer_km", "gap_days"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -2.0, 1e300])
def test_a_number_that_is_no_length_is_refused_with_its_value(name, value):
    with pytest.raises(InvalidInputError, match=re.escape(f"{name}={value:g} is not in [")) as seen:
        Plan(**{name: value})
    assert name.replace("_", "-") in seen.value.hint


def test_a_block_has_an_edge_and_a_seed_is_named():
    with pytest.raises(InvalidInputError, match="block_km=0 is not in"):
        Plan(block_km=0)
    with pytest.raises(InvalidInputError, match="the seed -1 is below 0"):
        Plan(seed=-1)


def test_a_draft_takes_its_split_along_when_it_is_published(version_of):
    registry, _ = version_of(scattered(20))
    registry.draft("ships")
    split(registry, "ships@draft", name="own")
    assert "splits/own" in registry.resolve("ships@draft").tables()
    assert "splits/own" not in registry.resolve("ships@v1").tables()


def test_a_protected_branch_is_split_as_the_version_that_it_stands_at(version_of):
    registry, version = version_of(scattered(20))
    split(registry, "ships@main", name="mine")
    registry.branch("ships", "stable")
    protect(registry, "ships", "stable")
    split(registry, "ships@stable", name="yours")
    assert registry.resolve("ships@main").commit == version.commit
    for ref in ("ships@v1", "ships@main", "ships@stable"):
        found = registry.resolve(ref)
        assert {"splits/mine", "splits/yours"} < set(found.tables())
        assert leaks(registry, found, "mine").clean


def test_a_branch_or_commit_that_takes_nothing_says_what_to_do(version_of):
    registry, _ = version_of(scattered(20))
    with registry.branch("ships", "stable").edit("note") as root:
        (root / "NOTE").write_text("not published")
    protect(registry, "ships", "stable")
    with pytest.raises(ForbiddenError, match="'stable' of 'ships' is protected") as error:
        split(registry, "ships@stable")
    assert "eolab merge ships BRANCH --into stable" in error.value.hint
    commit = registry.resolve("ships@stable").commit.id
    with pytest.raises(InvalidInputError, match="is not a published version") as error:
        split(registry, f"ships@{commit[:12]}")
    assert "eolab publish ships" in error.value.hint


# ------------------------------------------------------------------------------------- leaks
def test_each_way_to_leak_is_found_and_names_what_gives_it_away(version_of):
    rows = [
        row(0, lon=4.0, group="a", item="one"), row(1, lon=4.005, group="b", item="two"),
        row(2, lon=9.0, group="c", item="three"), row(3, lon=12.0, group="c", item="four"),
        row(4, lon=20.0, item="five"), row(5, lon=25.0, item="five"),
        row(6, lon=30.0), row(7, lon=35.0), row(8, lon=40.0), row(9, lon=40.011),
    ]  # fmt: skip
    pixels = [("s2", bytes([n if n != 7 else 6]) * 32) for n in range(10)]
    registry, _ = version_of(rows, pixels=pixels)
    halves = Shares.of({"train": 0.5, "test": 0.5})
    made = split(registry, "ships@v1", plan=Plan(shares=halves))
    odd = made.rows.set_column(
        1, "subset", [["train" if n % 2 == 0 else "test" for n in range(10)]]
    )
    from registry.curate.splits.leaking import leaks_of

    found = leaks_of(registry.resolve("ships@v1"), "default", odd)
    named = {
        row["check"]: row["sample"]
        for row in found.findings.to_pylist()
        if row["sample"] is not None
    }
    assert named == {
        "leak-overlap": "s0001", "leak-group": "s0003", "leak-scene": "s0005",
        "leak-pixels": "s0007", "leak-near": "s0009",
    }  # fmt: skip
    assert not found.clean
    (distance,) = found.distances
    assert (distance.judged, distance.learned) == ("test", "train")
    assert 0.3 < distance.least < 0.4


def test_the_words_of_others_are_sides_too(version_of):
    registry, version = version_of([row(n, group="a") for n in range(4)])
    made = split(registry, "ships@v1", plan=Plan(folds=2)).rows.slice(0, 4)
    words = made.set_column(1, "subset", [["Training", "train", "val", "testing"]])
    from registry.curate.splits.leaking import leaks_of

    found = leaks_of(version, "default", words)
    pairs = {one["evidence"].partition('subsets": "')[2].partition('"')[0]
             for one in found.findings.to_pylist() if one["sample"] is None}  # fmt: skip
    assert pairs == {"validate and train", "test and train", "test and validate"}


def test_footprints_that_cross_themselves_are_looked_at_as_well(version_of):
    bow = shapely.to_wkb(shapely.Polygon([(0, 52), (1, 53), (1, 52), (0, 53)]))
    registry, _ = version_of([row(n, lon=0.0) | {"geometry": bow} for n in range(20)])
    assert split(registry, "ships@v1").leaks.counts["leak-overlap"] == 6


def test_equal_masks_are_no_leak(version_of):
    registry, _ = version_of([row(n) for n in range(10)], pixels=[("mask", bytes(32))] * 10)
    assert split(registry, "ships@v1").leaks.counts == {}


def test_neighbours_that_share_an_edge_share_no_ground(version_of):
    rows = [row(n, lon=4 + 0.01 * n) for n in range(30)]
    registry, _ = version_of(rows)
    assert "leak-overlap" not in split(registry, "ships@v1").leaks.counts


def test_what_a_model_was_pretrained_on_counts_as_learned(version_of):
    registry, _ = version_of([row(n, lon=4 + n) for n in range(10)])
    _, seen = version_of([row(n, lon=4.002 + n) for n in range(10)], name="archive")
    split(registry, "ships@v1")
    version = registry.resolve("ships@v1")
    found = leaks(registry, version, pretrained=[seen], keep=False)
    assert found.counts["leak-overlap"] == 10
    assert "pretraining archive@v1" in found.to_text()


def test_findings_are_kept_a_split_at_a_time(version_of):
    registry, _ = version_of([row(n, group="a") for n in range(20)])
    split(registry, "ships@v1")
    split(registry, "ships@v1", name="other")
    kept = registry.resolve("ships@v1").table("reports/leaks")
    names = {one.partition(":")[0] for one in kept["id"].to_pylist()}
    assert names == {"default", "other"}
    assert pc.all(pc.equal(kept["severity"], "error")).as_py()


def test_a_split_that_is_not_there_is_named_with_those_that_are(version_of):
    registry, _ = version_of(scattered(20))
    split(registry, "ships@v1", name="mine")
    with pytest.raises(NotFoundError, match="has no split 'default'") as error:
        leaks(registry, registry.resolve("ships@v1"))
    assert "it has mine" in str(error.value)


def test_the_commands_say_what_they_did(version_of, capsys):
    registry, _ = version_of([row(n, group=f"g{n % 3}") for n in range(30)])
    lake = ["--lake", registry.lake.address]
    assert run([*lake, "split", "ships@v1", "--seed", "2"]) == 0
    assert "train               24   80.0%" in capsys.readouterr().out
    assert run([*lake, "leaks", "ships@v1", "--strict"]) == 5
    assert "split 'default' of ships@v1 leaks: leak-group" in capsys.readouterr().err
    assert (
        run([
            *lake,
            "split",
            "ships@v1",
            "--name",
            "cv",
            "--method",
            "group",
            "--folds",
            "3",
            "--json",
        ])
        == 0
    )
    assert '"fold 2": 10' in capsys.readouterr().out
    assert run([*lake, "split", "ships@v1", "--name", "x", "--hold-out", "test"]) == 2
    assert "holds out nothing" in capsys.readouterr().err
