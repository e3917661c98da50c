"""A server holds datasets whole: what a cache has would be missed on every other machine."""

import pytest

from registry import lake
from registry.errors import InvalidInputError
from registry.lake.transfer import Part, clone, origin_of


@pytest.fixture
def home(tmp_path, put):
    made = lake.init(str(tmp_path / "home"))
    put(made.create("ships"), {"README.md": b"ships", "a": b"1"})
    return made


@pytest.mark.parametrize("part", [Part(tables=()), Part(without=("pixels",))], ids=repr)
def test_a_part_of_a_dataset_is_refused_and_nothing_is_made(home, machine, tmp_path, part):
    server = machine()
    with pytest.raises(InvalidInputError, match="keeps no parts") as raised:
        clone(home, "ships", into=server, part=part)
    assert "clone all of it" in raised.value.hint
    assert server.repositories() == []
    assert list((tmp_path / "one").rglob("origin*")) == []


def test_a_whole_dataset_arrives_and_leaves_nothing_behind_in_the_cache(home, machine, content):
    server = machine()
    assert clone(home, "ships", into=server, part=None).left == 0
    assert content(machine("other").repository("ships"), "main") == {
        "README.md": b"ships",
        "a": b"1",
    }
    assert origin_of(server, "ships") is None
