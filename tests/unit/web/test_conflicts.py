import re
import shlex

import pytest
import shapely

from registry.catalog import MergeConflictError, Spec
from registry.catalog.merging.pending import pending
from registry.tables import edit, schemas
from registry.web.conflicts import render
from tests.unit.web.conftest import CARD, HOSTILE, _table, fill


def upsert(draft, message, row, schema=schemas.ANNOTATIONS):
    with draft.edit(message) as root:
        edit.upsert(root, schema, _table(schema, row))


@pytest.fixture(scope="module")
def waiting(lab):
    """Return a merge that waits for decisions over a label, an outline, a deletion, the card."""
    draft = lab.create(Spec.from_readme(CARD.replace("name: toy", "name: sides")))
    with draft.edit("bring chips") as root:
        fill(root, 3)
    for branch in ("ours", "theirs"):
        lab.branch("sides", branch, draft.head)
    sides = {name: lab.draft("sides", name) for name in ("ours", "theirs")}
    for name, shift, word in (("ours", 20, "Meadow"), ("theirs", -20, HOSTILE)):
        outline = shapely.box(500_040 + shift, 4_999_880, 500_100 + shift, 4_999_940)
        upsert(sides[name], f"{name} names it", {"id": "box", "category": word})
        upsert(sides[name], f"{name} moves it", {"id": "field", "geometry": outline.wkb})
        with sides[name].edit(f"{name} licence") as root:
            card = (root / "README.md").read_text("utf-8")
            said = card.replace(
                "license: MIT", f"license: {'CC0-1.0' if shift > 0 else 'EUPL-1.2'}"
            )
            (root / "README.md").write_text(said, "utf-8")
    with sides["ours"].edit("no such sample") as root:
        edit.delete(root, "splits/default", where="sample = 's2'")
    upsert(sides["theirs"], "to test", {"sample": "s2", "subset": "validate"}, schemas.SPLITS)
    with pytest.raises(MergeConflictError):
        lab.merge("sides", "theirs", "ours")
    return pending(lab.lake.repository("sides"))


@pytest.fixture(scope="module")
def page(lab, waiting, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "conflicts.html"
    render(lab, "sides", waiting, out)
    return out.read_text("utf-8")


def card(page, key):
    cards = re.findall(r'<article class="conflict.*?</article>', page, re.DOTALL)
    return next(one for one in cards if f"</span> {key}</h2>" in one)


def test_the_page_asks_for_nothing_and_runs_nothing(page):
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|<iframe|url\(|@import|\son\w+=", page)
    assert "&lt;script&gt;alert" in page


def test_a_label_stands_on_the_chip_of_each_side(page):
    told = card(page, "box")

    assert [title in told for title in (">Crop</text>", ">Meadow</text>")] == [True, True]
    assert told.count('class="pane"') == 3
    assert "both sides changed it, differently" in told


def test_who_gave_each_value_and_why_is_said(page):
    assert "ours names it" in card(page, "box")
    assert "theirs names it" in card(page, "box")
    assert "ours moves it" in card(page, "field")
    assert "no such sample" in card(page, "s2")


def test_how_far_two_outlines_are_apart_is_said(page):
    assert "IoU 0.20, apart by 4 pixels" in card(page, "field")


def test_a_deletion_and_the_card_are_conflicts_too(page):
    assert "deleted" in card(page, "s2")
    assert "CC0-1.0" in card(page, "license")


def test_commands_are_words_that_a_shell_reads_as_they_are_meant(page):
    import html

    commands = [html.unescape(one) for one in re.findall(r"<code>(eolab resolve .*?)</code>", page)]
    words = [shlex.split(command) for command in commands]

    assert ["eolab", "resolve", "sides", "box", "--theirs"] in words
    assert ["eolab", "resolve", "sides", "--ours"] in words


def test_no_more_is_drawn_than_wanted_and_the_rest_is_said(lab, waiting, tmp_path):
    render(lab, "sides", waiting, tmp_path / "few.html", most=1)
    few = (tmp_path / "few.html").read_text("utf-8")

    assert few.count("<article") == 1
    assert f"1 of {len(waiting.clashes)} conflicts are drawn" in few


def test_names_point_at_what_is_there(page):
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'aria-labelledby="([^"]+)"', page)) <= set(ids)
