"""Where there is no bias, as good as nothing is flagged: a hundred worlds, each drawn anew."""

import numpy as np
import pyarrow as pa
import pytest

from registry.curate.bias.association import association, split_shift
from registry.curate.bias.counting import Recipe
from registry.curate.bias.groups import intersections, scores, targets
from registry.curate.bias.population import AT_SEA, Population
from registry.curate.bias.representation import outside, representation
from registry.curate.bias.timing import timing

NOMINAL = 0.05
SEEDS = range(100)

WORLD = {
    "continent": {"Africa": 0.22, "Asia": 0.33, "Europe": 0.08, "America": 0.31, "Oceania": 0.06},
    "climate_group": {
        "tropical": 0.22,
        "dry": 0.32,
        "temperate": 0.16,
        "snow": 0.23,
        "polar": 0.07,
    },
    "country": {f"country {n:02d}": weight / 820 for n, weight in enumerate(range(1, 41))},
}


def drawn(seed, size, shares):
    names = list(shares)
    generator = np.random.default_rng([seed, *map(ord, "".join(names))])
    return generator.choice(names, size, p=np.array(list(shares.values())))


def sampled(seed, size=400):
    return {f".{name}": drawn(seed, size, shares) for name, shares in WORLD.items()}


def flagged(measures):
    tested = [one for one in measures if one.p == one.p]
    return sum(one.flagged for one in tested), len(tested)


def test_samples_of_the_population_itself_flag_no_more_strata_than_nominal(evidence_of, shares_of):
    world = shares_of(**WORLD)
    hits = tests = worlds = 0
    for seed in SEEDS:
        found = representation(evidence_of(sampled(seed)), world)
        mine, all_of_them = flagged(one for one in found if one.measure == "representation")
        hits, tests, worlds = hits + mine, tests + all_of_them, worlds + (mine > 0)

    assert tests == 100 * (5 + 5 + 40)
    assert hits / tests <= NOMINAL
    assert worlds / 100 <= NOMINAL


def test_empty_strata_of_an_unbiased_sample_are_put_down_to_chance(evidence_of, shares_of):
    world = shares_of(**WORLD)
    found = [
        one
        for seed in SEEDS
        for one in representation(evidence_of(sampled(seed, size=60)), world)
        if one.measure == "empty"
    ]

    assert len(found) > 500
    assert sum(one.flagged for one in found) == 0


def test_two_samples_of_one_population_do_not_differ_beyond_the_nominal_rate(
    evidence_of, shares_of
):
    hits = tests = 0
    for seed in SEEDS:
        names, counts = np.unique(drawn(1000 + seed, 300, WORLD["country"]), return_counts=True)
        shares = dict(zip(names.tolist(), (counts / 300).tolist(), strict=True))
        other = shares_of(size=300, country=shares)
        mine, every = flagged(
            one
            for one in representation(
                evidence_of({".country": drawn(seed, 300, WORLD["country"])}), other
            )
            if one.measure == "representation"
        )
        hits, tests = hits + mine, tests + every

    assert hits / tests <= NOMINAL


def test_combinations_of_two_samples_of_one_population_do_not_differ_beyond_the_nominal_rate(
    evidence_of,
):
    hits = worlds = 0
    names = ("continent", "climate_group")
    for seed in SEEDS:
        theirs = {name: drawn(1000 + seed, 300, WORLD[name]) for name in names}
        other = Population(
            name="other", version="1", size=300, table=pa.table({**theirs, "weight": [1.0] * 300})
        )
        mine = {f".{name}": drawn(seed, 600, WORLD[name]) for name in names}
        together, _ = intersections(evidence_of(mine), other)
        hits, worlds = hits + len(together), worlds + bool(together)

    assert worlds / 100 <= NOMINAL
    assert hits <= 2 * worlds


def test_what_is_unsaid_of_a_reference_is_outside_of_it(evidence_of):
    table = pa.table({"continent": ["Asia", "Europe", "none (sea)"], "weight": [60.0, 39.0, 1.0]})
    land = Population(name="land", version="1", unsaid=AT_SEA, table=table)
    here = evidence_of({".continent": ["Asia"] * 60 + ["Europe"] * 40 + ["none (sea)"] * 50})
    found = {one.stratum: one for one in representation(here, land) if one.stratum}

    assert set(found) == {"Asia", "Europe"}
    assert found["Asia"].share == 0.6
    assert outside(here, land) == 50
    assert land.counted(["continent"]) is None


def test_a_sampled_reference_is_as_sure_as_the_samples_that_it_knows_of():
    table = pa.table({"continent": ["Asia", "Europe", "unknown"], "weight": [6.0, 4.0, 90.0]})
    assert Population(name="r", version="1", size=100, table=table).counted(["continent"]) == 10


def test_classes_that_depend_on_nothing_show_no_shortcut(evidence_of):
    hits = tests = worlds = 0
    for seed in SEEDS:
        labels = [[one] for one in drawn(500 + seed, 200, {"flood": 0.2, "fire": 0.1, "none": 0.7})]
        found = association(evidence_of({**sampled(seed, 200), "label": labels}))
        shortcuts = [one for one in found if one.measure == "shortcut"]
        mine, every = flagged(one for one in found if one.measure == "association")
        hits, tests = hits + mine, tests + every
        worlds += bool(shortcuts)

    assert hits / tests <= NOMINAL
    assert worlds / 100 <= NOMINAL


def test_predictions_that_err_everywhere_alike_single_nobody_out(evidence_of):
    hits = tests = 0
    for seed in SEEDS:
        labels = drawn(500 + seed, 300, {"a": 0.5, "b": 0.5})
        right = np.random.default_rng(seed).random(300) < 0.8
        guesses = np.where(right, labels, np.where(labels == "a", "b", "a"))
        columns = {**sampled(seed, 300), "label": [[one] for one in labels], "prediction": guesses}
        mine, every = flagged(scores(evidence_of(columns)))
        hits, tests = hits + mine, tests + every

    assert tests > 4000
    assert hits / tests <= NOMINAL


def test_combinations_splits_and_targets_of_chance_are_not_flagged(evidence_of, shares_of):
    world = shares_of(**{name: WORLD[name] for name in ("continent", "climate_group")})
    hits = dict.fromkeys(("together", "split", "target"), 0)
    tests = dict.fromkeys(hits, 0)
    for seed in SEEDS:
        columns = sampled(seed)
        columns[".split default"] = drawn(seed, 400, {"train": 0.7, "validate": 0.1, "test": 0.2})
        columns["target"] = np.random.default_rng(seed).normal(size=400)
        columns["label"] = [[one] for one in drawn(500 + seed, 400, {"a": 0.5, "b": 0.5})]
        recipe = Recipe(cell_km=100.0, low=columns["target"].min(), high=columns["target"].max())
        evidence = evidence_of(columns, low=recipe.low, high=recipe.high)
        together, looked_at = intersections(evidence, world)
        found = {
            "together": (len(together), looked_at),
            "split": flagged(split_shift(evidence)),
            "target": flagged(targets(evidence, recipe, "m")),
        }
        for name, (mine, every) in found.items():
            hits[name], tests[name] = hits[name] + mine, tests[name] + every

    assert all(tests.values())
    assert all(hits[name] / tests[name] <= NOMINAL for name in hits), (hits, tests)


def test_samples_taken_evenly_through_the_years_show_no_gap(evidence_of):
    hits = 0
    for seed in SEEDS:
        days = np.random.default_rng(seed).integers(0, 1461, 500)
        times = (days * 86_400_000_000).astype("datetime64[us]")
        found = timing(evidence_of({".a": ["x"] * 500, "datetime": times}))
        hits += any(one.flagged for one in found)

    assert hits / 100 <= NOMINAL


@pytest.mark.parametrize("ratio", [0.2, 0.5, 2.0, 3.0])
def test_a_planted_ratio_is_recovered_within_its_interval(evidence_of, shares_of, ratio):
    inside = 0
    for seed in range(40):
        biased = dict(WORLD["continent"])
        biased["Europe"] *= ratio
        rest = (1 - biased["Europe"]) / (1 - WORLD["continent"]["Europe"])
        biased |= {name: biased[name] * rest for name in biased if name != "Europe"}
        found = representation(
            evidence_of({".continent": drawn(seed, 4000, biased)}), shares_of(**WORLD)
        )
        [europe] = [
            one for one in found if one.stratum == "Europe" and one.measure == "representation"
        ]
        assert europe.flagged
        inside += europe.low <= ratio <= europe.high

    assert inside >= 36  # nominally 38 of 40
