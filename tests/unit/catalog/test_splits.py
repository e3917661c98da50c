from types import SimpleNamespace

import pytest

from registry.catalog.splits import learning_order, usual_split
from registry.errors import InvalidInputError, NotFoundError
from registry.learn.loading.choosing import split_table


def version(*names):
    tables = ("samples", *(f"splits/{name}" for name in names))
    return SimpleNamespace(ref="ships@v1", tables=lambda: tables)


@pytest.mark.parametrize("asked", [None, "default"])
@pytest.mark.parametrize(
    ("there", "meant"),
    [
        (("default", "official"), "default"),
        (("mine", "official"), "official"),
        (("mine",), "mine"),
    ],
)
@pytest.mark.parametrize("choose", [usual_split, split_table])
def test_what_trains_and_what_normalises_means_the_same_usual_split(choose, asked, there, meant):
    assert choose(version(*there), asked) == meant


@pytest.mark.parametrize("choose", [usual_split, split_table])
def test_a_split_is_asked_for_where_it_is_not_clear_or_not_there(choose):
    with pytest.raises(InvalidInputError, match="has the splits mine, yours") as error:
        choose(version("mine", "yours"), None)
    assert "splits='mine'" in error.value.hint
    with pytest.raises(NotFoundError, match="has no split 'theirs'") as error:
        choose(version("mine"), "theirs")
    assert "it has mine" in error.value.hint


def test_without_a_split_all_samples_normalise_but_none_train():
    assert usual_split(version()) is None
    with pytest.raises(NotFoundError, match="has no split"):
        split_table(version())


def test_whoever_learns_comes_before_whoever_judges():
    names = ["test:b", "test", "train", "odd", "test:a", "validate", "pretraining ships@v1"]
    assert sorted(names, key=learning_order) == [
        "pretraining ships@v1", "train", "validate", "test", "test:a", "test:b", "odd",
    ]  # fmt: skip
