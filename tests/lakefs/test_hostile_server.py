"""What a server answers is checked, and so are the names it is asked for."""

import pytest

from registry.errors import CorruptError, InvalidInputError, NotFoundError, RegistryError
from tests.lakefs.operations import content, put


@pytest.mark.parametrize(
    "path", ["../../etc/passwd", "/etc/passwd", "a/../../x", ".git/config", "x" * 1025, "a\0b"]
)
def test_a_listing_that_leads_elsewhere_is_refused(ships, fake, strangers, tmp_path, path):
    def hostile(document):
        for one in document["results"][:1]:
            one["path"] = path
        return document

    other = strangers()
    fake.faults.add("GET .*/refs/[0-9a-f]{64}/objects/ls", rewrite=hostile, times=None)
    with pytest.raises((CorruptError, InvalidInputError)) as raised:
        other.locate("main")
    assert raised.value.hint
    assert not [file for file in tmp_path.rglob("*") if file.name in {"passwd", "config.x"}]


@pytest.mark.parametrize(
    "lie",
    [
        lambda _: None,
        lambda _: [],
        lambda _: {"results": "x", "pagination": {}},
        lambda document: {**document, "results": [{"path": 3}]},
        lambda document: {"results": document["results"]},
    ],
)
def test_answers_that_are_none_are_refused_in_words(ships, fake, strangers, lie):
    other = strangers()
    fake.faults.add("GET .*/refs/[0-9a-f]{64}/objects/ls", rewrite=lie, times=None)
    with pytest.raises(RegistryError) as raised:
        list(other.entries("main"))
    assert raised.value.hint


def test_bytes_that_are_not_what_their_hash_says_are_refused(ships, fake, strangers):
    for stored in list(fake.state.repository("ships").tree("main").entries.values()):
        if stored.size == 5:
            stored.file.write_bytes(b"SHIPS")
    with pytest.raises(CorruptError) as raised:
        strangers().read("README.md", at="main")
    assert raised.value.hint


def test_bytes_that_are_gone_are_told(ships, fake, strangers):
    fake.state.repository("ships").tree("main").entries["README.md"].file.unlink()
    with pytest.raises(CorruptError, match="README") as raised:
        strangers().read("README.md", at="main")
    assert raised.value.hint


# ------------------------------------------------------------------ odd names
def test_branches_with_odd_names_keep_them(ships):
    names = ["a", "b/c.d", "an_x", "an__x", "an/x", "v1.0", "x-y", "A", "__", "c/b/c/d", "0", "x+y"]
    for name in names:
        ships.create_branch(name, at="main")
    assert set(names) <= set(ships.branches())
    for name in names:
        put(ships, name, {"me": name.encode()})
    assert {name: content(ships, name)["me"] for name in names} == {
        name: name.encode() for name in names
    }
    ships.create_tag("v1.0-tag", at="main")
    ships.create_tag("data/v2", at="main")
    assert {"v1.0-tag", "data/v2"} <= set(ships.tags())


@pytest.mark.parametrize("name", ["", "a b", "-x", "../x", "a..b", "a@{1}", "x\0", "é", "a~1", "^"])
def test_names_that_no_lake_takes_are_refused_before_they_are_sent(ships, fake, name):
    sent = fake.faults.add("POST .*/(branches|tags)$", times=0)
    for make in (ships.create_branch, ships.create_tag):
        with pytest.raises(InvalidInputError):
            make(name, at="main")
    assert sent.seen == 0
    with pytest.raises((NotFoundError, InvalidInputError)):
        ships.resolve(name)
