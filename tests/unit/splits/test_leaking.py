"""Each way in which one subset gives another away is found and named."""

import pyarrow.compute as pc
import pytest
import shapely

from registry.curate.splits import Plan, Shares, leaks, split
from registry.errors import NotFoundError
from tests.unit.splits.conftest import row, scattered


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
