"""What a split is refused for, and what mends a leak, can be followed as it stands."""

import datetime as dt

import pyarrow as pa
import pytest

from registry.cli.app import run
from registry.curate.splits import HoldOut, Plan, Shares, leaks, split
from registry.curate.splits.columns import divided
from registry.errors import InvalidInputError
from tests.unit.splits.conftest import START, row


def test_what_mends_a_leak_is_a_command_as_it_stands(version_of):
    registry, _ = version_of([row(n, lon=4.0, group="a", item="one") for n in range(20)])
    said = split(registry, "ships@v1").leaks.to_text()
    assert "eolab split ships@v1 --method blocked --buffer-km 2 --name blocked" in said
    assert "eolab split ships@v1 --method group --name by-group" in said
    assert "eolab split ships@v1 --method group --by scene --name by-scene" in said


def test_how_many_samples_leak_is_said_in_sentences(version_of):
    registry, _ = version_of([row(n, lon=4.0, group="a", item="one") for n in range(20)])
    plan = Plan(shares=Shares.of({"train": 0.8, "test": 0.2}))
    several = split(registry, "ships@v1", plan=plan).leaks.to_text()
    assert "error: 4 of 4 samples of test are of a group that train has too; " in several
    assert "warning: 4 of 4 samples of test were cut from scenes of samples of train; " in several
    folds = split(registry, "ships@v1", name="folds", plan=Plan(folds=5)).leaks.to_text()
    assert "in 10 pairs of subsets, a sample covers ground of samples of the other subset" in folds


def test_one_sample_that_leaks_is_counted_as_one(version_of):
    registry, _ = version_of(
        [row(n, lon=4 + 0.1 * n) for n in range(9)] + [row(9, lon=4.011, group="apart")]
    )
    held = HoldOut(subset="test", by="group", values=("apart",))
    plan = Plan(hold_out=(held,))
    said = split(registry, "ships@v1", plan=plan).leaks.to_text()
    assert "1 of 1 samples of test lies nearer to samples of " in said


def test_another_name_is_proposed_where_the_split_has_that_one(version_of):
    rows = [row(n, lon=4 + 0.011 * n) for n in range(60)]
    registry, _ = version_of(rows)
    split(registry, "ships@v1", name="blocked")
    said = leaks(registry, registry.resolve("ships@v1"), "blocked", keep=False).to_text()
    assert "eolab split ships@v1 --method blocked --buffer-km 2 --name blocked-2" in said


def test_many_pairs_of_folds_are_told_the_same_command(version_of):
    registry, _ = version_of([row(n, lon=4.0) for n in range(20)])
    found = split(registry, "ships@v1", plan=Plan(folds=5)).leaks
    assert "pairs of subsets" in found.to_text()
    assert "eolab split ships@v1 --method blocked --buffer-km 2" in found.to_text()


def test_what_samples_have_is_offered_once_in_place_of_an_empty_column(version_of):
    kind = pa.struct([("provider", pa.string()), ("haze", pa.float64())])
    said = pa.array([{"provider": "esa", "haze": None}] * 9, kind)
    _, version = version_of([row(n, label="boat") for n in range(9)])
    samples = version.table("samples")
    if "properties" in samples.column_names:
        samples = samples.drop_columns("properties")
    samples = samples.append_column("properties", said)

    with pytest.raises(InvalidInputError, match="no sample has a value of 'group'") as caught:
        divided(samples, "group")

    offered = caught.value.hint.removeprefix("divide by another: ").split(", ")
    assert offered[:3] == ["label", "scene", "provider"]
    assert offered.count("provider") == 1
    assert not {"group", "haze"} & {*offered}


def test_no_sample_has_a_label_to_hold_out_by(version_of):
    registry, _ = version_of([row(n, group=f"g{n}") for n in range(10)])
    plan = Plan(hold_out=(HoldOut(subset="test:x", by="label", values=("boat",)),))
    with pytest.raises(InvalidInputError, match="no sample has a label, so 'boat'") as caught:
        split(registry, "ships@v1", plan=plan)
    assert "one of group, " in caught.value.hint


def test_samples_of_one_moment_are_not_divided_by_time(version_of):
    registry, _ = version_of([row(n) | {"datetime": START} for n in range(10)])
    with pytest.raises(InvalidInputError) as caught:
        split(registry, "ships@v1", plan=Plan(method="temporal"))
    assert "all samples are of one moment, 2023-01-01T00:00:00Z" in caught.value.problem
    assert "--method blocked" in caught.value.hint


def test_samples_of_two_moments_are_too_few_for_three_subsets(version_of):
    times = [START + dt.timedelta(days=n % 2) for n in range(10)]
    registry, _ = version_of([row(n) | {"datetime": at} for n, at in enumerate(times)])
    with pytest.raises(InvalidInputError, match="of 2 moments, too few for 3 subsets"):
        split(registry, "ships@v1", plan=Plan(method="temporal"))


def test_one_value_is_counted_as_one(version_of):
    registry, _ = version_of([row(n, group="a") for n in range(9)])
    with pytest.raises(InvalidInputError, match="have 1 value of group, too few for 3 subsets"):
        split(registry, "ships@v1", plan=Plan(method="group"))


def test_whoever_asks_strictly_is_told_how_to_make_another(version_of, monkeypatch, capfd):
    registry, _ = version_of([row(n, lon=4.0) for n in range(20)])
    monkeypatch.setattr("registry.cli.commands.splits.connected", lambda: registry)
    split(registry, "ships@v1")
    assert run(["leaks", "ships@v1", "--strict"]) == 5
    assert "eolab split ships@v1 --method blocked --buffer-km 2" in capfd.readouterr().err
