"""What may name a split is told before anything is divided."""

import pytest

from registry.cli.app import run
from registry.curate.splits import split
from registry.errors import InvalidInputError
from tests.unit.splits.conftest import row


@pytest.mark.parametrize("name", ["a/b", "../x", "a..b", "-x", "ä", "a b", "x" * 101, "a\n"])
def test_what_cannot_name_a_split_is_refused_with_what_can(version_of, name):
    registry, version = version_of([row(number) for number in range(4)])
    with pytest.raises(InvalidInputError, match="is no name for a split") as caught:
        split(registry, version.ref, name=name)
    assert "letters, digits" in caught.value.hint


def test_a_split_without_a_name_is_asked_for_one(version_of, monkeypatch, capsys):
    registry, _ = version_of([row(number) for number in range(4)])
    monkeypatch.setenv("EOLAB_LAKE", registry.lake.address)
    assert run(["split", "ships@v1", "--name", ""]) == 2
    said = capsys.readouterr().err
    assert "a split needs a name" in said
    assert "--name default" in said
