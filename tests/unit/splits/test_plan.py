"""What a plan cannot mean is refused before anything is divided."""

import re

import pytest

from registry.curate.splits import HoldOut, Plan
from registry.errors import InvalidInputError


def test_all_that_is_held_out_is_said_with_the_table():
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
