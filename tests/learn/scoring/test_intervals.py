"""An interval holds the truth as often as it says, and draws what belongs together."""

import math

import numpy as np
import pytest

from registry.errors import InvalidInputError
from registry.learn.scoring import classification, intervals, regression


def _ids(count):
    return tuple(f"s{one:05}" for one in range(count))


def _binary(right):
    """Return statistics of samples that are right or wrong."""
    truth = np.zeros(len(right), np.int64)
    sure = np.where(np.asarray(right)[:, None], [[0.9, 0.1]], [[0.1, 0.9]])
    return classification.statistics(_ids(len(right)), ("a", "b"), truth, sure)


def test_groups_are_drawn_whole():
    clusters = intervals.clusters_of(["fire", "fire", None, "flood", None, "fire"])
    assert clusters.tolist() == [0, 0, 1, 2, 3, 0]
    (drawn,) = list(intervals.draws(clusters, resamples=50))
    assert drawn.shape == (50, 6)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, [0, 2, 3, 4]].sum(1) == 4).all()  # as many groups as there are


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    random = np.random.default_rng(0)
    kept = regression.statistics(_ids(60), np.zeros(60), random.normal(size=60))
    one, again, other = (
        intervals.measured(kept, np.arange(60), resamples=200, seed=seed)["bias", None]
        for seed in (1, 1, 2)
    )
    assert (one.low, one.high) == (again.low, again.high)
    assert (one.low, one.high) != (other.low, other.high)
    assert one.value == other.value


def test_drawing_in_small_parts_changes_nothing(monkeypatch):
    kept = _binary(np.random.default_rng(0).random(60) < 0.7)
    whole = intervals.measured(kept, np.arange(60), resamples=100)["accuracy", None]
    monkeypatch.setattr(intervals, "_ROOM", 700)
    assert intervals.measured(kept, np.arange(60), resamples=100)["accuracy", None] == whole


def test_an_interval_of_95_percent_holds_the_truth_about_95_times_of_100():
    random = np.random.default_rng(5)
    held = 0
    for turn in range(200):
        one = intervals.measured(
            _binary(random.random(150) < 0.8), np.arange(150), resamples=200, seed=turn
        )["accuracy", None]
        held += one.low <= 0.8 <= one.high
    assert 0.90 <= held / 200 <= 0.99


def test_an_interval_over_groups_is_wider_than_one_that_takes_samples_for_independent():
    random = np.random.default_rng(2)
    easy = np.repeat(random.random(20) < 0.5, 15)  # 20 scenes, right or wrong as a whole
    kept = _binary(easy)
    scenes = np.repeat(np.arange(20), 15)
    grouped = intervals.measured(kept, scenes, resamples=300)["accuracy", None]
    alone = intervals.measured(kept, np.arange(300), resamples=300)["accuracy", None]
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


def test_one_group_has_no_interval():
    one = intervals.measured(_binary([True, False]), np.zeros(2, np.int64))["accuracy", None]
    assert one.value == 0.5
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def test_a_paired_difference_is_narrower_than_two_intervals():
    random = np.random.default_rng(9)
    hard = random.random(200)
    ours, theirs = _binary(hard < 0.80), _binary(hard < 0.74)
    gap = intervals.paired([ours], [theirs], np.arange(200), resamples=400)["accuracy", None]
    apart = intervals.measured(ours, np.arange(200), resamples=400)["accuracy", None]
    assert gap.value == pytest.approx((hard < 0.80).mean() - (hard < 0.74).mean())
    assert 0 < gap.low < gap.value < gap.high
    assert gap.high - gap.low < apart.high - apart.low
    assert gap.p < 0.05


def test_a_model_does_not_differ_from_itself():
    kept = _binary(np.random.default_rng(1).random(80) < 0.6)
    gap = intervals.paired([kept], [kept], np.arange(80), resamples=100)["accuracy", None]
    assert (gap.value, gap.low, gap.high, gap.p) == (0, 0, 0, 1)


def test_seeds_widen_a_difference():
    random = np.random.default_rng(4)
    truth = random.normal(size=100)
    one, other = (
        [
            regression.statistics(_ids(100), truth, truth + shift + random.normal(0, 0.1, 100))
            for shift in shifts
        ]
        for shifts in ((0.1, 0.5, 0.9), (0.0, 0.0, 0.0))
    )
    alone = intervals.paired(one[1:2], other[:1], np.arange(100), resamples=300)["bias", None]
    seeds = intervals.paired(one, other, np.arange(100), resamples=300)["bias", None]
    assert seeds.value == pytest.approx(0.5, abs=0.05)
    assert seeds.high - seeds.low > 2 * (alone.high - alone.low)


def test_models_scored_on_different_samples_are_not_compared():
    with pytest.raises(InvalidInputError, match="different samples"):
        intervals.paired([_binary([True] * 3)], [_binary([True] * 4)], np.arange(3))


def test_more_seeds_do_not_shrink_what_the_samples_leave_open():
    _, low, high = intervals.pooled([0.8] * 50, [0.05] * 50)
    assert high - low == pytest.approx(0.1)
    assert intervals.pooled([0.8], [0.05]) == pytest.approx((0.8, 0.75, 0.85))


def test_quantiles_of_student_are_scipys():
    from scipy.special import stdtrit

    for freedom in (1, 2, 3, 9, 10, 11, 20, 100, 10_000):
        mine = intervals._student(freedom)
        assert mine == pytest.approx(stdtrit(freedom, 0.975), rel=2e-4)


def test_an_interval_of_few_groups_holds_its_figure_and_says_that_they_are_few(monkeypatch):
    monkeypatch.setattr(intervals, "_ends", lambda _: (0.1, 0.2))
    one = intervals.measured(_binary([True, True, False]), np.arange(3), resamples=20)
    assert (one["accuracy", None].low, one["accuracy", None].high) == (0.1, 2 / 3)
    assert intervals.few_groups(3) == "3 groups: intervals are too narrow"
    assert intervals.few_groups(1) is None
    assert intervals.few_groups(10) is None
