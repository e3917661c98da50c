"""What was planted is found, named, and of the size that it was planted with."""

import math

import numpy as np
import pyarrow as pa
import pytest

from registry.curate.bias.association import association, label_sources, split_shift
from registry.curate.bias.clustering import clustering, moran, neighbours, range_km
from registry.curate.bias.counting import COUNTS, KEYS, OBJECTS, STEPS, Recipe, combine, tally
from registry.curate.bias.evidence import Evidence
from registry.curate.bias.groups import intersections, scores, targets
from registry.curate.bias.representation import outside, representation, shares
from registry.curate.bias.timing import timing
from registry.curate.bias.weighing import CAP, rake, weigh


def one(measures, **wanted):
    [found] = [m for m in measures if all(getattr(m, k) == v for k, v in wanted.items())]
    return found


def repeated(*groups):
    return [value for value, count in groups for _ in range(count)]


def test_a_stratum_without_samples_is_empty_with_the_probability_of_chance(evidence_of, shares_of):
    world = shares_of(continent={"Africa": 0.5, "Asia": 0.4, "Europe": 0.1})
    found = representation(
        evidence_of({".continent": repeated(("Africa", 30), ("Asia", 30))}), world
    )
    empty = one(found, measure="empty", stratum="Europe")

    assert empty.p == pytest.approx(0.9**60)
    assert empty.value == pytest.approx(0.1)
    assert empty.flagged
    assert empty.reference == "world (7)"


def test_ratios_and_expected_counts_are_those_of_a_hand_calculation(evidence_of, shares_of):
    world = shares_of(climate_group={"dry": 0.5, "temperate": 0.3, "polar": 0.2})
    evidence = evidence_of({
        ".climate_group": repeated(("dry", 10), ("temperate", 90), ("unknown", 7), ("sea", 5))
    })
    found = representation(evidence, world)
    dry = one(found, measure="representation", stratum="dry")

    assert (dry.count, dry.expected, dry.share) == (10, 50.0, 0.1)
    assert dry.value == pytest.approx(0.2)
    assert one(found, measure="representation", stratum="temperate").value == pytest.approx(3.0)
    assert one(found, measure="divergence").value == pytest.approx(
        0.5 * (0.1 * math.log2(0.1 / 0.3) + 0.9 * math.log2(0.9 / 0.6))
        + 0.5 * (0.5 * math.log2(0.5 / 0.3) + 0.3 * math.log2(0.3 / 0.6) + 0.2 * math.log2(2))
    )
    assert outside(evidence, world) == 5
    listed = list(shares(evidence, world))
    assert one(listed, measure="unknown").count == 7
    assert one(listed, measure="outside", stratum="sea").count == 5


def test_a_planted_shortcut_is_found_and_said_in_words(evidence_of):
    clouds = repeated(("cloudy", 92), ("clear", 8), ("cloudy", 31), ("clear", 69))
    labels = [["flood"]] * 100 + [["dry"]] * 100
    found = association(evidence_of({".cloud": clouds, ".orbit": ["up", "down"] * 100,
                                     "label": labels}))  # fmt: skip
    shortcut = one(found, measure="shortcut", of_class="flood")

    assert shortcut.stratum == "cloudy"
    assert shortcut.flagged
    assert (shortcut.share, shortcut.reference_share) == (0.92, 0.31)
    assert "cloudy ⇒ flood: 92 % of flood samples are in cloud cloudy, 31 % of others" in (
        shortcut.note
    )
    strong = one(found, measure="association", dimension="cloud", of_class="flood")
    assert strong.flagged
    assert 0.55 < strong.value < 0.65
    assert not one(found, measure="association", dimension="orbit", of_class="flood").flagged


def test_annotators_who_draw_different_classes_are_named(evidence_of):
    rows = [("anna", "ship", 90), ("anna", "buoy", 10), ("ben", "ship", 30), ("ben", "buoy", 70)]
    columns = {field.name: pa.nulls(4, field.type) for field in COUNTS}
    columns |= {
        "kind": pa.repeat(OBJECTS, 4), "dimension": pa.repeat("annotator", 4),
        "stratum": pa.array([row[0] for row in rows]), "class": pa.array([row[1] for row in rows]),
        "count": pa.array([row[2] for row in rows]),
    }  # fmt: skip
    [found] = label_sources(Evidence(counts=pa.table(columns).cast(COUNTS)))

    assert found.flagged
    assert found.measure == "label-source"
    assert 0.55 < found.value < 0.65


def test_a_split_that_tests_elsewhere_than_it_trains_is_told(evidence_of):
    found = split_shift(
        evidence_of({
            ".split default": ["train"] * 100 + ["test"] * 100,
            ".continent": ["Europe"] * 100 + ["Asia"] * 100,
            "label": [["a"], ["b"]] * 100,
        })
    )

    assert one(found, dimension="split default & continent").flagged
    assert not one(found, of_class="a").flagged


def test_combinations_that_only_together_are_rare_are_found(evidence_of, shares_of):
    half = {"a": 0.5, "b": 0.5}
    world = shares_of(continent=half, season=half)
    pairs = repeated((("a", "a"), 100), (("b", "b"), 100), (("a", "b"), 4), (("b", "a"), 4))
    columns = {".continent": [x for x, _ in pairs], ".season": [y for _, y in pairs]}
    found, tested = intersections(evidence_of(columns), world)

    assert tested == 4
    assert {m.stratum for m in found} == {"a & a", "a & b", "b & a", "b & b"}
    assert one(found, stratum="a & b").expected == 52
    assert not [m for m in representation(evidence_of(columns), world) if m.flagged]


def test_a_group_that_a_model_serves_worse_is_the_worst(evidence_of):
    labels = [["a"]] * 300
    guesses = ["a"] * 190 + ["b"] * 10 + ["a"] * 50 + ["b"] * 50
    regions = ["Europe"] * 200 + ["Africa"] * 100
    found = scores(evidence_of({".continent": regions, "label": labels, "prediction": guesses}))
    worst = one(found, dimension="continent", stratum="Africa")

    assert worst.flagged
    assert (worst.value, worst.reference_share) == (0.5, 0.95)
    assert worst.low < 0.5 < worst.high
    assert one(found, dimension="all", of_class=None).value == 0.8
    assert not one(found, dimension="continent", stratum="Europe").flagged


def test_a_difference_of_targets_is_recovered_within_its_interval(evidence_of):
    generator = np.random.default_rng(3)
    values = np.concatenate([generator.normal(10, 2, 400), generator.normal(13, 2, 400)])
    recipe = Recipe(cell_km=100.0, low=values.min(), high=values.max())
    columns = {".continent": ["a"] * 400 + ["b"] * 400, "target": values}
    found = targets(evidence_of(columns, low=recipe.low, high=recipe.high), recipe, "t/ha")
    high = one(found, stratum="b")

    assert high.low < 3 < high.high
    assert high.flagged
    step = (recipe.high - recipe.low) / STEPS
    assert high.value == pytest.approx(values[400:].mean() - values[:400].mean(), abs=step)


# ------------------------------------------------------------------------------------------ space
@pytest.fixture(scope="module")
def grid():
    lon, lat = np.meshgrid(np.arange(10.0, 22.0, 0.4), np.arange(-6.0, 6.0, 0.4))
    return lon.ravel(), lat.ravel()


def unit(lon, lat):
    lon, lat = np.radians(lon), np.radians(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)


def test_labels_that_lie_together_have_a_positive_i_and_the_range_of_their_patches(
    evidence_of, places, grid
):
    lon, lat = (np.repeat(axis, 4) for axis in grid)
    crop = (np.floor((lon - 10) / 4) + np.floor((lat + 6) / 4)) % 2 == 0  # patches of 4 degrees
    columns = {".a": ["x"] * len(lon), "bbox": places(lon, lat)}
    columns["label"] = [["crop"] if here else ["forest"] for here in crop]
    found = clustering(evidence_of(columns, cell_km=50.0), cell_km=50.0)

    together = one(found, measure="clustering", of_class="crop")
    assert together.flagged
    assert together.value > 0.6
    joins = one(found, measure="join-count", of_class="crop")
    assert joins.flagged
    assert joins.value > joins.expected
    reach = one(found, measure="range", of_class="crop")
    assert 150 < reach.value < 450  # a patch is 445 km across; resemblance ends within it


def test_labels_in_a_chequerboard_have_a_negative_i(grid):
    lon, lat = grid
    board = np.where((np.arange(len(lon)) % 30 + np.arange(len(lon)) // 30) % 2, 1.0, -1.0)
    near = np.array([
        list(np.argsort((lon - x) ** 2 + (lat - y) ** 2)[1:5])
        for x, y in zip(lon, lat, strict=True)
    ])

    found = moran(board, near)

    assert found.value < -0.5
    assert found.p < 0.01


def test_labels_without_order_are_not_said_to_cluster(grid):
    points = unit(*grid)
    near = neighbours(points)
    p = [moran(np.random.default_rng(seed).normal(size=len(points)), near).p for seed in range(100)]

    assert np.mean(np.array(p) <= 0.05) <= 0.08  # 5 of a hundred, give or take


def test_the_normal_approximation_agrees_with_shuffles(grid):
    from registry.curate.bias.clustering import _normal_p

    points = unit(*grid)
    near = neighbours(points)
    for seed in range(6):
        z = np.random.default_rng(seed).normal(size=len(points))
        found = moran(z, near)
        z = z - z.mean()
        assert _normal_p(found.value, found.expected, z, near) == pytest.approx(found.p, abs=0.05)


def test_the_range_is_the_distance_at_which_a_wave_turns(grid):
    lon, lat = grid
    wave = np.sin(np.radians(lon) * 360 / 8 * 2)  # a period of 4 degrees, 445 km at the equator
    distance, _ = range_km(wave, unit(lon, lat), first_km=60)

    assert distance is not None
    assert 90 < distance < 250  # a quarter of a period along, farther across


# ------------------------------------------------------------------------------------------- time
def test_the_longest_gap_and_the_empty_months_are_those_that_were_left(evidence_of):
    days = [*range(60), *range(200, 365)]
    times = (np.array(days) * 86_400_000_000).astype("datetime64[us]")
    found = timing(evidence_of({".a": ["x"] * len(days), "datetime": times}))
    gap = one(found, measure="gap")

    assert (gap.value, gap.stratum) == (141, "1970-03-01/1970-07-20")
    assert gap.flagged
    assert one(found, measure="empty-months").value == 3  # April, May, June
    assert one(found, measure="month", stratum="05").count == 0
    assert one(found, measure="season-balance").flagged


# --------------------------------------------------------------------------------------- weights
def test_weights_make_both_dimensions_look_like_the_reference(
    evidence_of, shares_of, strata_as_said
):
    world = shares_of(
        continent={"Europe": 0.25, "Asia": 0.75}, climate_group={"dry": 0.5, "polar": 0.5}
    )
    pairs = repeated(
        (("Europe", "dry"), 50), (("Europe", "polar"), 20), (("Asia", "dry"), 10),
        (("Asia", "polar"), 20),
    )  # fmt: skip
    columns = {
        "id": [str(n) for n in range(100)],
        ".continent": [x for x, _ in pairs],
        ".climate_group": [y for _, y in pairs],
    }
    evidence = evidence_of(columns, joint=("continent", "climate_group"))
    weights = rake(evidence, world)
    table = weigh(pa.table(columns), weights)
    weight = np.array(table["weight"].to_pylist())

    assert weight.sum() == pytest.approx(100)
    assert weight[[x == "Asia" for x, _ in pairs]].sum() == pytest.approx(75, abs=1e-3)
    assert weight[[y == "dry" for _, y in pairs]].sum() == pytest.approx(50, abs=1e-3)
    assert weights.effective == pytest.approx(weight.sum() ** 2 / (weight**2).sum())


def test_weights_are_cut_and_unknown_samples_have_none(evidence_of, shares_of, strata_as_said):
    world = shares_of(continent={"Europe": 0.1, "Asia": 0.9})
    columns = {
        "id": [str(n) for n in range(103)],
        ".continent": repeated(("Europe", 99), ("Asia", 1), ("unknown", 2), ("Moon", 1)),
    }
    weights = rake(evidence_of(columns, joint=("continent",)), world)
    weight = weigh(pa.table(columns), weights)["weight"].to_pylist()

    assert weight[99] == pytest.approx(CAP)
    assert weight[100:] == [None, None, None]
    assert np.mean(weight[:100]) == pytest.approx(1)


# -------------------------------------------------------------------------------------- counting
def test_counts_are_those_of_counting_by_hand_however_rows_are_cut(evidence_of, places):
    size = 500
    generator = np.random.default_rng(0)
    labels = [
        sorted(set(generator.choice(["a", "b", "<b>c</b>\n"], n).tolist()))
        for n in generator.integers(0, 3, size)
    ]
    columns = {
        ".continent": generator.choice(["x", "y", "unknown"], size),
        ".season": generator.choice(["s", "w"], size),
        "label": labels,
        "bbox": places(generator.uniform(-180, 180, size), generator.uniform(-60, 60, size)),
        "target": generator.integers(0, 100, size).astype(float),
        "prediction": generator.choice(["a", "b"], size),
    }
    table = pa.table(columns)
    recipe = Recipe(cell_km=200.0, joint=("continent", "season"), low=0.0, high=100.0)
    whole = combine([tally(table, recipe)])
    parts = combine([tally(table.slice(at, 77), recipe) for at in range(0, size, 77)])

    assert whole.equals(parts)
    assert whole.select(list(KEYS)).group_by(list(KEYS)).aggregate([]).num_rows == whole.num_rows
    evidence = Evidence(counts=whole)
    for stratum in ("x", "y"):
        here = [row for row in range(size) if columns[".continent"][row] == stratum]
        assert evidence.strata("continent")[stratum] == len(here)
        assert evidence.strata("continent", "<b>c</b>\n").get(stratum, 0) == sum(
            "<b>c</b>\n" in labels[row] for row in here
        )
        judged = [row for row in here if labels[row]]
        right = sum(columns["prediction"][row] in labels[row] for row in judged)
        assert evidence.scores()["continent", None][stratum] == (len(judged), right)
    both = evidence.pair("continent", "season")
    assert both.counts.sum() == size - evidence.unknown("continent")
    count, total, _ = evidence.targets()["all"]["all"]
    assert count == size
    assert total == np.rint(columns["target"] / 100 * STEPS).sum()
    assert evidence.cells()[1].sum() == size
    assert sum(evidence.joint()[1].values()) == size


def test_of_very_many_strata_the_rare_ones_are_counted_together(evidence_of):
    names = [f"annotator {n % 900}" for n in range(900)] + ["annotator 3"] * 5
    evidence = evidence_of({".annotator": names, ".season": ["s", "w"] * 452 + ["s"]})
    found = evidence.strata("annotator")

    assert len(found) == 501
    assert found["annotator 3"] == 6
    assert sum(found.values()) == 905
    assert evidence.pair("annotator", "season").counts.sum() == 905
