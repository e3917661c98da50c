"""Checks that a card asks for before a merge and before publishing."""

import pyarrow as pa
import pytest

from registry import lake
from registry.catalog import Provider, Registry, Spec, edit_rows
from registry.catalog.card import front
from registry.curate.gate import NotPassedError
from registry.curate.hooks import asked
from registry.curate.merging import merge, revert
from registry.curate.publishing import publish
from registry.errors import InvalidInputError
from registry.tables import edit
from registry.tables.schemas import ASSETS, SAMPLES

OFFERED = """
import pyarrow as pa
from registry.curate.quality import Check

FOUND = pa.schema([(name, pa.string()) for name in
                   ("sample", "asset", "severity", "message", "evidence", "fix")])

def find(subject):
    labels = subject.tables["samples"].column("label").to_pylist()
    ids = subject.tables["samples"].column("id").to_pylist()
    rows = [{"sample": i, "severity": "warning", "message": f"'{i}' is all at sea"}
            for i, label in zip(ids, labels) if label == ["sea"]]
    return pa.Table.from_pylist(rows, schema=FOUND)

NO_SEA = Check(name="no-sea", about="No sample is of the sea.", find=find)
SOMETHING = 1
"""


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """An installed package that offers checks."""
    home = tmp_path / "site"
    (home / "offering-1.0.dist-info").mkdir(parents=True)
    (home / "offering.py").write_text(OFFERED)
    (home / "offering-1.0.dist-info" / "METADATA").write_text("Name: offering\nVersion: 1.0\n")
    (home / "offering-1.0.dist-info" / "entry_points.txt").write_text(
        "[eolab.checks]\nno-sea = offering:NO_SEA\nsomething = offering:SOMETHING\n"
        "gone = offering:GONE\nno-module = elsewhere:X\n"
    )
    monkeypatch.syspath_prepend(str(home))


@pytest.fixture
def ships(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "anna")
    registry = Registry(lake=lake.init(str(tmp_path / "lake")))
    registry.create(
        Spec(
            name="ships",
            licence="MIT",
            providers=(Provider(name="ESA"),),
            classes=("land", "sea"),
        )
    )
    with registry.draft("ships").edit("start") as root:
        found = [{"id": name, "label": ["land"], "georeferenced": False} for name in "ab"]
        edit.upsert(root, SAMPLES, pa.Table.from_pylist(found, schema=SAMPLES.arrow))
        kept = [{"sample": n, "asset": "s2", "href": f"https://example.org/{n}.tif"} for n in "ab"]
        edit.upsert(root, ASSETS, pa.Table.from_pylist(kept, schema=ASSETS.arrow))
    return registry


def ask(registry, branch="draft", **before):
    with registry.draft("ships", branch).edit("ask for checks") as root:
        card = root / "README.md"
        card.write_text(front.changed(card.read_text(), {"before": before or None}))


def label(registry, ref, name, said):
    edit_rows(registry, ref, assignments=[f"label=['{said}']"], where=f"id = '{name}'")


def test_a_card_names_checks_before_operations():
    spec = Spec.from_readme("---\nname: ships\nbefore: {merge: [nan], publish: duplicates}\n---\n")

    assert spec.before == {"merge": ("nan",), "publish": ("duplicates",)}
    assert asked("merge", spec) == ("nan",)
    assert asked("publish", spec, spec) == ("nan", "duplicates")
    with pytest.raises(InvalidInputError, match="names 'deletion'"):
        Spec.from_readme("---\nname: ships\nbefore: {deletion: [nan]}\n---\n")


def test_before_survives_being_written_again():
    spec = Spec(name="ships", before={"publish": ("duplicates",)})
    assert Spec.from_readme(spec.to_readme()) == spec


def test_a_check_that_others_offer_stops_publishing_and_says_why(ships, offered):
    ask(ships, publish=["no-sea"])
    label(ships, "ships@draft", "b", "sea")

    with pytest.raises(NotPassedError, match=r"before publish.*no-sea \(1\); 'b' is all at sea"):
        publish(ships, "ships", message="first")
    assert ships.versions("ships") == []

    version = publish(ships, "ships", message="first", allow={"no-sea": "a lighthouse"})
    assert version.table("reports/quality").column("check").to_pylist().count("no-sea") == 1


def test_a_check_before_merging_holds_for_every_branch(ships, offered):
    ask(ships, merge=["no-sea"])
    publish(ships, "ships", message="first")
    for name in ("ours", "theirs"):
        ships.branch("ships", name)
    label(ships, "ships@theirs", "b", "sea")
    with ships.draft("ships", "ours").edit("mine") as root:
        (root / "ours.md").write_text("mine")
    before = ships.draft("ships", "ours").head

    with pytest.raises(NotPassedError, match="before merge"):
        merge(ships, "ships", "theirs", "ours")
    assert ships.draft("ships", "ours").head == before

    label(ships, "ships@theirs", "b", "land")
    with ships.draft("ships", "theirs").edit("more") as root:
        (root / "theirs.md").write_text("theirs")
    merged = merge(ships, "ships", "theirs", "ours")
    assert merged.commit.id == ships.draft("ships", "ours").head
    assert ships.lake.repository("ships").branches("staging/") == {}


def test_a_check_before_merging_holds_for_what_is_taken_back(ships, offered):
    label(ships, "ships@draft", "b", "sea")
    label(ships, "ships@draft", "b", "land")
    dried = ships.draft("ships").head
    ask(ships, merge=["no-sea"])

    with pytest.raises(NotPassedError, match="before merge"):
        revert(ships, "ships", dried)


def test_a_change_cannot_do_away_with_the_check_that_would_refuse_it(ships, offered):
    ask(ships, merge=["no-sea"])
    publish(ships, "ships", message="first")
    ships.branch("ships", "theirs")
    ask(ships, "theirs")
    label(ships, "ships@theirs", "b", "sea")

    with pytest.raises(NotPassedError, match="before merge"):
        merge(ships, "ships", "theirs")


def test_a_request_for_checks_that_the_merge_takes_back_asks_for_none(ships, offered):
    ask(ships, merge=["no-sea"])
    publish(ships, "ships", message="first")
    for name in ("ours", "theirs"):
        ships.branch("ships", name)
    ask(ships, "ours")
    with ships.draft("ships", "theirs").edit("more") as root:
        (root / "theirs.md").write_text("theirs")

    assert merge(ships, "ships", "theirs", "ours").moved
    assert ships.resolve("ships@ours").spec.before == {}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("unheard-of", "is not here"),
        ("something", "no check called"),
        ("gone", "cannot be loaded"),
        ("no-module", "cannot be loaded"),
    ],
)
def test_a_check_that_is_none_stops_the_operation(ships, offered, name, said):
    ask(ships, publish=[name])
    with pytest.raises(InvalidInputError, match=said):
        publish(ships, "ships", message="first")


def test_one_of_the_labs_own_checks_may_be_asked_for_to_find_not_even_a_warning(ships):
    publish(ships, "ships", message="first")
    with_warnings = ships.resolve("ships").table("reports/quality").column("check").to_pylist()
    assert with_warnings
    ask(ships, publish=[with_warnings[0]])

    with pytest.raises(NotPassedError, match=with_warnings[0]):
        publish(ships, "ships", message="second")
