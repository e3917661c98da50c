"""Changing a card: what is refused, what stays as it was, what the commit holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.catalog.card import front
from registry.catalog.card.changing import change_card, read_card, settings
from registry.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError

WRITTEN = """---
# made by hand
name: ships
classes: [Boat]  # more to come

# of the data, not of the code
license: MIT
authors:
- Ada
- Ben

note: |
  # no comment
  kept
---
# Ships

Prose --- with dashes.
"""


def card_of(registry, at="draft/anna"):
    return read_card(registry.lake.repository("ships"), at)


def test_only_the_lines_of_a_changed_key_differ():
    said = front.placed(WRITTEN, {"classes": ["Boat", "Ferry"], "authors": ["Ada"], "task": "3d"})
    expected = WRITTEN.replace("[Boat]", "[Boat, Ferry]").replace("- Ben\n", "")
    assert said == expected.replace("  kept\n---", "  kept\ntask: 3d\n---")


def test_a_key_is_taken_out_and_the_comment_of_the_next_one_stays():
    assert front.placed(WRITTEN, {"classes": None}) == WRITTEN.replace(
        "classes: [Boat]  # more to come\n", ""
    )


def test_lines_end_as_they_did():
    text = WRITTEN.replace("\n", "\r\n")
    said = front.placed(text, {"license": "CC0-1.0"})
    assert said == text.replace("MIT", "CC0-1.0")


@pytest.mark.parametrize("text", ["", "prose\n", "---\n---\n", "---\n{a: 1}\n---\n",
                                  "---\n  a: 1\n---\nx", "---\n? a\n: 1\n---\n",
                                  "---\na: 1\na: 2\n---\n", "---\n# only\n---\n"])  # fmt: skip
def test_front_matter_however_written_says_what_was_set(text):
    known, body = front.split(text)
    assert front.split(front.placed(text, {"a": [1], "b": {"c": None}})) == (
        known | {"a": [1], "b": {"c": None}}, body,
    )  # fmt: skip


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("xyz"), inner),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(["name", "classes", "license", "note", "new"]), PLAIN))
def test_any_values_are_read_back_and_the_prose_stays(values):
    # What YAML itself cannot hold is no value that somebody could have given.
    known, body = front.split(WRITTEN)
    try:
        front.split(front.join(values, ""))
    except InvalidInputError:
        return
    wanted = {key: said for key, said in (known | values).items() if said is not None}
    assert front.split(front.placed(WRITTEN, values)) == (wanted, body)


def test_a_change_is_one_commit_and_says_what_changed(ships):
    done = change_card(ships, "ships", values=settings(["classes=[Boat, Ferry]"]), message="two")
    [change] = done.changes
    assert (change.key, change.before, change.after) == ("classes", None, ["Boat", "Ferry"])
    commit = ships.lake.repository("ships").commit(done.commit)
    assert (commit.message, len(list(ships.log("ships@draft")))) == ("two", 3)
    assert ships.resolve("ships@draft").spec.classes == ("Boat", "Ferry")
    assert ships.resolve("ships@main").spec.classes == ()


def test_keys_within_keys_are_set_and_taken_out(ships):
    change_card(ships, "ships", values=settings(["assets.mask.values={1: water}"]))
    change_card(ships, "ships", values=settings(["assets.mask.values.1=sea", "before.merge=[a]"]))
    spec = ships.resolve("ships@draft").spec
    assert (spec.assets["mask"].values, spec.before) == ({1: "sea"}, {"merge": ("a",)})
    change_card(ships, "ships", values=settings(["before.merge="]))
    assert "before" not in card_of(ships)


@pytest.mark.parametrize("key", ["license", "licence"])
def test_a_key_is_set_under_the_name_that_the_card_has_for_it(ships, key):
    change_card(ships, "ships", values={key: "CC0-1.0"})
    assert ships.resolve("ships@draft").spec.licence == "CC0-1.0"
    assert card_of(ships).count("licen") == 1


def test_what_is_said_already_makes_no_commit(ships):
    done = change_card(ships, "ships", values={"license": "MIT"})
    assert (done.commit, done.changes) == (None, ())


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("task=fly", "'task'"), ("clases=[a]", "did you mean 'classes'"),
        ("classes=[a, a]", "twice"),
        ("licence.x=1", "there is no 'x'"), ("classes=[a", "no YAML"), ("classes", "sets nothing"),
        ("before.delete=[a]", "names 'delete'"), ("properties.age=year", "type 'year'"),
        ("body=hello", "prose"), ("=x", "sets nothing"), ("a..b=1", "sets nothing"),
        ("a=1\nlicense: X", "no YAML"), ("assets.image.gsd=-1", "-1"),
        ("source=javascript:alert(1)", "address"), ("title=\udcff", "no YAML"),
    ],
)  # fmt: skip
def test_what_a_card_cannot_say_is_refused_and_nothing_is_written(ships, pair, said):
    before = ships.lake.repository("ships").resolve("draft/anna")
    with pytest.raises(InvalidInputError) as caught:
        change_card(ships, "ships", values=settings([pair]))
    assert said in str(caught.value)
    assert ships.lake.repository("ships").resolve("draft/anna") == before


def test_versions_and_protected_branches_keep_their_card(ships):
    for ref in ("ships@v1", "ships@main"):
        with pytest.raises(ForbiddenError):
            change_card(ships, ref, values={"license": "MIT"})
    with pytest.raises(NotFoundError):
        change_card(ships, "ships@nowhere", values={"license": "MIT"})


def test_a_whole_card_is_taken_byte_for_byte_unless_somebody_changed_it_meanwhile(ships):
    base = card_of(ships)
    assert change_card(ships, "ships", text=WRITTEN, base=base).unread == ("note",)
    assert card_of(ships) == WRITTEN
    with pytest.raises(ConflictError):
        change_card(ships, "ships", text=WRITTEN + "more", base=base)
    with pytest.raises(InvalidInputError):
        change_card(ships, "ships", text="---\nlicense: [\n---\n")
    assert card_of(ships) == WRITTEN


def test_a_card_that_cannot_be_read_is_mended_as_a_whole(ships, write):
    draft = ships.draft("ships")
    write(draft, "README.md", "---\nlicense: [\n---\n")
    with pytest.raises(InvalidInputError):
        change_card(ships, "ships", values={"license": "MIT"})
    with draft.edit("bytes") as root:
        (root / "README.md").write_bytes(b"\xff")
    with pytest.raises(InvalidInputError, match="not UTF-8"):
        change_card(ships, "ships", values={"license": "MIT"})
    change_card(ships, "ships", text=WRITTEN)
    assert card_of(ships) == WRITTEN


def test_only_checks_that_are_newly_asked_for_are_looked_up(ships):
    seen = []
    for pair in ("before.merge=[a]", "before.publish=[a, b]", "license=CC0-1.0"):
        change_card(ships, "ships", values=settings([pair]), look_up=seen.append)
    assert seen == [["a"], ["b"], []]
