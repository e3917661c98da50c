import pytest

from registry.catalog.branches import protect
from registry.cli.app import run
from registry.curate.splits import HoldOut, Plan, Shares, leaks, split
from registry.errors import ConflictError, ForbiddenError, InvalidInputError
from registry.tables import store
from tests.unit.splits.conftest import row, scattered, subsets


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
