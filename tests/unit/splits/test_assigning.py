import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from registry.curate.splits.assigning import NOWHERE, by_stratum, by_time, by_unit, folds_of
from registry.curate.splits.nearness import apart_in_time
from registry.curate.splits.shares import TOLERANCE, Shares

WHOLE = Shares.of()
codes = st.lists(st.integers(0, 12), min_size=60, max_size=300).map(np.array)


def given_shares(found):
    return np.bincount(found, minlength=3) / len(found)


@given(codes, st.integers(0, 5))
def test_shares_at_random_are_exact_to_a_sample(strata, seed):
    found = by_stratum(np.zeros(len(strata), np.int64), WHOLE, seed=seed)
    assert np.abs(np.bincount(found, minlength=3) - np.array(WHOLE.wanted) * len(found)).max() <= 1


@given(codes, st.integers(0, 5))
def test_every_stratum_has_its_share_to_a_sample_or_two(strata, seed):
    found = by_stratum(strata, WHOLE, seed=seed)
    assert np.abs(given_shares(found) - WHOLE.wanted).max() <= TOLERANCE + 1 / len(found)
    for one in np.unique(strata):
        own = found[strata == one]
        assert np.abs(np.bincount(own, minlength=3) - np.array(WHOLE.wanted) * len(own)).max() <= 2


@given(codes, st.integers(0, 5))
def test_units_are_never_cut(units, seed):
    units = np.unique(units, return_inverse=True)[1]
    found = by_unit(units, WHOLE, seed=seed)
    assert all(len(set(found[units == one])) == 1 for one in np.unique(units))


@given(st.integers(3, 9), st.integers(1, 20), st.integers(0, 5))
def test_few_units_of_one_size_leave_no_subset_empty(count, size, seed):
    found = by_unit(np.repeat(np.arange(count), size), WHOLE, seed=seed)
    assert set(found.tolist()) == {0, 1, 2}


def test_many_units_of_different_sizes_come_within_two_points():
    sizes = np.random.default_rng(3).geometric(0.1, 9000)
    found = by_unit(np.repeat(np.arange(len(sizes)), sizes), WHOLE, seed=1)
    assert np.abs(given_shares(found) - WHOLE.wanted).max() <= TOLERANCE


def test_another_seed_draws_others_and_the_same_seed_the_same():
    strata = np.arange(500) % 7
    first, again, other = (by_stratum(strata, WHOLE, seed=seed) for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


@given(codes)
def test_what_is_earlier_never_judges_what_is_later(moments):
    assume(len(np.unique(moments)) >= 3)
    found = by_time(moments, WHOLE)
    assert set(found.tolist()) == {0, 1, 2}
    order = np.argsort(moments, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


def test_a_gap_keeps_subsets_apart_in_time():
    moments = np.arange(1000)
    found = apart_in_time(moments, moments, by_time(moments, WHOLE), gap=25)
    for earlier, later in ((0, 1), (1, 2)):
        assert moments[found == later].min() - moments[found == earlier].max() > 25
    assert (found == NOWHERE).sum() == 50


def test_a_day_of_most_samples_leaves_the_others_something():
    found = by_time(np.array([5] * 90 + list(range(6, 16))), WHOLE)
    assert np.bincount(found).tolist() == [90, 1, 9]


def test_whole_intervals_are_apart_in_time_whoever_begins_first():
    begin, end = np.array([0, 0, 8, 20, 40]), np.array([1, 9, 12, 30, 41])
    subsets = np.array([0, 0, 1, 0, 0])
    assert apart_in_time(begin, end, subsets, gap=7).tolist() == [-1, -1, 1, 0, 0]
    assert apart_in_time(begin, end, subsets, gap=0).tolist() == [0, -1, 1, 0, 0]


@given(codes, st.integers(2, 6))
def test_folds_are_about_equal_and_keep_strata(strata, count):
    found = folds_of(np.arange(len(strata)), count, seed=0, strata=strata)
    sizes = np.bincount(found, minlength=count)
    assert sizes.max() - sizes.min() <= 2


@pytest.mark.parametrize(
    ("said", "subsets"),
    [("train=0.7,val=0.3", ("train", "validate")), ("train=90,test:far=10", ("train", "test:far"))],
)
def test_shares_are_read_as_people_type_them(said, subsets):
    assert Shares.parse(said).subsets == subsets


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("train=80,validate=1,test=19", (0.8, 0.01, 0.19)),
        ("train=99.5%,test=0.5%", (0.995, 0.005)),
        ("train=90%, test=0.1", (0.9, 0.1)),
    ],
)
def test_percent_stay_percent_however_small(said, wanted):
    assert Shares.parse(said).wanted == pytest.approx(wanted)


@pytest.mark.parametrize(
    "said",
    [
        "train", "train=1.1", "train=0.5", "rest=1", "train=0,test=1", "", "train=0.7,test=0.5",
        "train=nan,test=0.5", "train=inf", "train=-0.5,test=1.5", "train=80,test=30",
        "train=0.3,train=0.8,test=0.2", "train=0.8,training=0.1,test=0.1", "train=1e400",
    ],
)  # fmt: skip
def test_what_are_no_shares_is_refused(said):
    with pytest.raises(ValueError, match=r"shares|subset"):
        Shares.parse(said)
