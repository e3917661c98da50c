import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.curate.features.cells import EVERYTHING
from registry.curate.features.computing import compute
from registry.curate.features.scene import Layer, MissingInputError, Scene
from registry.curate.features.statistics import by_scene, finish, gather, normalisation
from registry.curate.features.work import AssetFacts
from registry.errors import NotFoundError

NAMES = ("mean", "std", "min", "p1", "p2", "median", "p98", "p99", "max", "mad")


def plain(values):
    """What NumPy says of the same values."""
    whole = np.asarray(values, np.float64)
    median = np.median(whole)
    quantiles = np.percentile(whole, [1, 2, 50, 98, 99])
    return dict(zip(NAMES, (
        whole.mean(), whole.std(), whole.min(), *quantiles[:3], *quantiles[3:], whole.max(),
        np.median(np.abs(whole - median)),
    ), strict=True))  # fmt: skip


def scene(array, name="a", **said):
    raw = np.asarray(array)[None]
    return Scene(sample=name, layers=(Layer(asset="s2", raw=raw, **said),))


def rows_of(scenes, batches, subsets=((EVERYTHING,),), facts=None):
    partials = [
        part
        for batch in batches
        for part in gather([0] * len(batch), [by_scene(scenes[n]) for n in batch])
    ]
    table = finish(iter(partials), [list(one) for one in subsets], [facts or AssetFacts(name="s2")])
    return table.to_pylist()


def test_they_are_what_numpy_says_of_all_pixels_together():
    random = np.random.default_rng(3)
    chips = [random.integers(0, 4000, (2, 7, 9), dtype=np.uint16) for _ in range(5)]
    found = rows_of([scene(chip) for chip in chips], [range(5)])
    for band, row in enumerate(found):
        wanted = plain(np.concatenate([chip[band].ravel() for chip in chips]))
        assert {name: row[f"raw_{name}"] for name in NAMES} == pytest.approx(wanted, rel=1e-12)
        assert (row["band"], row["count"], row["samples"]) == (str(band + 1), 315, 5)


def test_percentiles_of_fractions_are_within_their_bins():
    random = np.random.default_rng(4)
    chips = [random.normal(-12, 5, (1, 30, 30)).astype(np.float32) for _ in range(4)]
    (row,) = rows_of([scene(chip) for chip in chips], [range(4)])
    wanted = plain(np.concatenate([chip.ravel() for chip in chips]))
    for name in NAMES:
        assert row[f"raw_{name}"] == pytest.approx(wanted[name], rel=3e-4, abs=3e-3), name
    assert row["raw_mean"] == pytest.approx(wanted["mean"], rel=1e-12)
    assert (row["raw_min"], row["raw_max"]) == (wanted["min"], wanted["max"])


def test_samples_of_whole_numbers_and_of_fractions_make_one_row_a_band():
    whole, fractions = np.array([[[1, 2, 3]]], np.uint8), np.array([[[0.5, 7.5]]], np.float32)
    (row,) = rows_of([scene(whole), scene(fractions)], [[0, 1]])
    wanted = plain([1, 2, 3, 0.5, 7.5])
    assert {name: row[f"raw_{name}"] for name in NAMES} == pytest.approx(wanted, rel=3e-4)
    assert (row["count"], row["samples"]) == (5, 2)


KINDS = st.sampled_from(["uint8", "int16", "uint16", "float32", "float64", "int32"])


@given(KINDS, st.permutations(range(6)), st.integers(1, 6), st.integers(0, 9))
def test_no_order_and_no_batching_changes_a_bit(kind, order, size, seed):
    random = np.random.default_rng(seed)
    scenes = [scene((random.normal(0, 50, (1, 3, 4))).astype(kind)) for _ in range(6)]
    batches = [order[start : start + size] for start in range(0, 6, size)]
    assert rows_of(scenes, batches) == rows_of(scenes, [range(6)])


def test_many_samples_keep_few_numbers_and_the_same_sums():
    random = np.random.default_rng(5)
    chips = [random.normal(0, 10.0 ** (n % 9), (1, 4, 4)) for n in range(300)]
    scenes = [scene(chip) for chip in chips]
    (part,) = gather([0] * 300, [by_scene(one) for one in scenes])
    assert len(part["sums"]) < 10
    assert rows_of(scenes, [range(300)]) == rows_of(scenes, [[n] for n in range(300)])


def test_values_whose_squares_no_number_holds_are_a_reason_and_no_crash():
    with pytest.raises(MissingInputError, match="has values up to"):
        by_scene(scene(np.full((1, 2, 2), np.finfo(np.float64).min)))


def test_nodata_and_nan_count_as_missing():
    first = scene(np.array([[[1.0, np.nan, -9999.0, 3.0]]], np.float32), nodata=-9999.0)
    (row,) = rows_of([first], [[0]])
    assert (row["count"], row["missing"], row["raw_mean"]) == (2, 2, 2.0)


def test_a_band_that_nobody_observed_has_no_statistics():
    (row,) = rows_of([scene(np.zeros((1, 2, 2), np.uint8), nodata=0.0)], [[0]])
    assert (row["count"], row["missing"], row["raw_mean"], row["mean"]) == (0, 4, None, None)


def test_physical_values_follow_scale_and_offset_also_where_that_turns_them_round():
    facts = AssetFacts(name="s2", scale=(-2.0,), offset=(1.0,), unit="m")
    (row,) = rows_of([scene(np.array([[[1, 3]]], np.uint8))], [[0]], facts=facts)
    assert (row["mean"], row["std"], row["min"], row["max"]) == (-3.0, 2.0, -5.0, -1.0)
    assert (row["raw_mean"], row["unit"], row["scale"]) == (2.0, "m", -2.0)


# --------------------------------------------------------------------------------- as a table
def test_training_normalises_by_its_training_samples_alone(lake, publish, toy):
    publish(lake)
    compute(lake, "toy@v1", ["statistics"])
    version = lake.resolve("toy@v1")
    found = normalisation(version, "s2")
    train = np.stack([toy.chip(n) for n in range(8)]).astype(np.float64)
    assert found.bands == ("B04", "B08")
    assert found.mean == pytest.approx(train.mean(axis=(0, 2, 3)))
    assert found.std == pytest.approx(train.std(axis=(0, 2, 3)))
    assert found.low == pytest.approx(np.percentile(train, 2, axis=(0, 2, 3)))
    everything = np.stack([toy.chip(n) for n in range(12)]).astype(np.float64)
    whole = normalisation(version, "s2", split="*", subset="*", physical=True)
    assert whole.mean == pytest.approx(everything.mean(axis=(0, 2, 3)) * 1e-4)
    subsets = {
        (row["split"], row["subset"]) for row in version.table("features/statistics").to_pylist()
    }
    assert subsets == {EVERYTHING, ("default", "train"), ("default", "test")}


def test_statistics_that_nobody_computed_are_missed_by_name(lake, publish):
    version = publish(lake)
    with pytest.raises(NotFoundError, match="has no statistics"):
        normalisation(version, "s2")
    compute(lake, "toy@v1", ["statistics"])
    with pytest.raises(NotFoundError, match="no statistics of 's1' in default/train"):
        normalisation(lake.resolve("toy@v1"), "s1")


def test_a_split_that_came_later_is_counted_when_it_is_computed_again(lake, publish, toy):
    from registry.tables import store
    from registry.tables.schemas import splits_schema

    version = publish(lake)
    compute(lake, "toy@v1", ["statistics"])
    schema = splits_schema("odd")
    said = [{"sample": f"s{n:02}", "subset": "train" if n % 2 else "test"} for n in range(11)]
    with lake.derive(version).edit("split") as root:
        store.append(root, schema, toy.rows(schema, said))
    assert compute(lake, "toy@v1", ["statistics"]).sets[0].status == "computed"
    odd = normalisation(lake.resolve("toy@v1"), "s2", split="odd")
    chips = np.stack([toy.chip(n) for n in range(1, 11, 2)]).astype(np.float64)
    assert odd.mean == pytest.approx(chips.mean(axis=(0, 2, 3)))


def test_the_words_of_others_for_subsets_are_counted_as_the_labs(lake, publish, toy):
    from registry.curate.features.normalising import normalisations
    from registry.tables import store
    from registry.tables.schemas import splits_schema

    version = publish(lake)
    schema = splits_schema("odd")
    words = ["Training", "train", "val", "test_far"]
    said = [{"sample": f"s{n:02}", "subset": words[n % 4]} for n in range(12)]
    with lake.derive(version).edit("split") as root:
        store.append(root, schema, toy.rows(schema, said))
    version = lake.resolve("toy@v1")
    chips = np.stack([toy.chip(n) for n in range(12) if n % 4 < 2]).astype(np.float64)
    for registry in (None, lake):  # computed on the spot, then kept
        found = normalisations(version, ["s2"], split="odd", subset="training", registry=registry)
        assert found["s2"].mean == pytest.approx(chips.mean(axis=(0, 2, 3)) * 1e-4)
    rows = lake.resolve("toy@v1").table("features/statistics").to_pylist()
    assert {row["subset"] for row in rows if row["split"] == "odd"} == {
        "train", "validate", "test:far",
    }  # fmt: skip
    with pytest.raises(NotFoundError, match="has no subset 'test' to normalise by") as error:
        normalisations(lake.resolve("toy@v1"), ["s2"], split="odd", subset="test")
    assert "it has test:far, train, validate" in error.value.hint
