"""An evaluation that cannot go through is refused without a model being run."""

import pytest

from registry.errors import NotFoundError, RegistryError
from registry.learn.scoring.foreseeing import foresee


def test_what_is_there_passes(lab):
    foresee(lab.registry, "toy-net@v1", on="fields@v1")
    foresee(lab.registry, None, on="fields@v1", split=None)


@pytest.mark.parametrize(
    ("model", "change"),
    [
        ("toy-nett@v1", {}),
        ("toy-net@v9", {}),
        ("toy-net@v1", {"on": "feilds@v1"}),
        ("toy-net@v1", {"on": "fields@v9"}),
        ("toy-net@v1", {"splits": "official"}),
        (None, {"on": "feilds@v1"}),
    ],
)
def test_what_is_not_there_is_refused(lab, model, change):
    with pytest.raises(NotFoundError):
        foresee(lab.registry, model, **{"on": "fields@v1"} | change)


def test_a_subset_that_the_split_has_not_is_refused(lab):
    with pytest.raises(RegistryError, match="tset"):
        foresee(lab.registry, "toy-net@v1", on="fields@v1", split="tset")


@pytest.mark.parametrize(
    ("model", "on", "hint"),
    [
        ("toy-nett@v1", "fields@v1", "did you mean 'toy-net'?"),
        ("toy-net@v1", "feilds@v1", 'did you mean "fields@v1"?'),
    ],
)
def test_names_that_come_close_are_said(lab, model, on, hint):
    with pytest.raises(NotFoundError) as caught:
        foresee(lab.registry, model, on=on)

    assert hint in caught.value.hint
