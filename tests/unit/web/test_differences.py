import re

import numpy as np
import pytest
import shapely

from registry.web.changed import touched
from registry.web.chips import Chip, Outline, chips_of
from registry.web.differences import render
from registry.web.panes import Album, Mark, pane, path_of, view_around
from registry.web.pixel_changes import difference_picture


@pytest.fixture(scope="module")
def page(differing, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "deep" / "differences.html"
    render(differing, out)
    return out.read_text("utf-8")


def card(page, sample):
    """Return what a page tells of one sample."""
    cards = re.findall(r'<article class="sample.*?</article>', page, re.DOTALL)
    return next(one for one in cards if re.search(rf"</span> {sample}\b", one))


def test_the_page_asks_for_nothing_and_runs_nothing(page):
    assert "default-src 'none'" in page
    assert not re.search(r"<script|<link|<iframe|url\(|@import|\son\w+=", page)
    addresses = re.findall(r'href="([^"]*)"', page)
    assert all(one[0] == "#" or one.startswith("data:image/png") for one in addresses)


def test_what_people_wrote_stays_text(page):
    assert "&lt;script&gt;alert" in page
    assert "look &lt;again&gt;" in page
    assert "Forest &amp; water" in page


def test_each_changed_sample_stands_with_what_became_of_it(page):
    assert "→ &lt;script&gt;" not in card(page, "s1")
    assert "<del>Crop</del>" in card(page, "s0")
    assert re.search(r"IoU 0\.50, moved 20 m\b", card(page, "s0"))
    assert "annotations · inserted" in card(page, "s1")
    assert "32 of 576 pixels differ (5.6 %)" in card(page, "s2")
    assert "Forest &amp; water" in card(page, "s3")
    assert "not in this version any more" in card(page, "s4")
    assert "5 of 5 changed samples are drawn" in page


def test_counts_card_and_files_are_said(page):
    assert "license: MIT → CC0-1.0" in page
    assert "notes.txt: added" in page
    for kind, count in (("inserted", 1), ("updated", 4), ("deleted", 4)):
        assert f'<dt>rows {kind}</dt><dd class="{kind}">{count}</dd>' in page


def test_the_page_can_be_read_without_seeing_it(page):
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    named = re.findall(r'(?:aria-labelledby="|href="#)([^"]+)"', page)
    assert set(named) <= set(ids)
    drawn = re.findall(r'<svg class="pane"[^>]*>', page)
    assert drawn
    assert all('role="img"' in one and "aria-label=" in one for one in drawn)


def test_every_mark_of_the_map_leads_to_its_pictures(page):
    anchors = re.findall(r'<a href="#(sample-\d+)" class="(\w+)', page)

    assert sorted(anchor for anchor, _ in anchors) == [f"sample-{n}" for n in range(1, 6)]
    assert sorted(kind for _, kind in anchors) == ["deleted", *["updated"] * 4]


def test_an_unchanged_picture_is_held_once(page):
    held = re.findall(r'<image id="(p\w+)"', page)

    assert len(held) == len(set(held))
    assert len(held) < page.count('<use href="#p')


def test_no_more_samples_are_drawn_than_wanted_and_the_rest_is_said(differing, tmp_path):
    render(differing, tmp_path / "few.html", most=2)
    few = (tmp_path / "few.html").read_text("utf-8")

    assert few.count("<article") == 2
    assert "2 of 5 changed samples are drawn; every row:" in few


def test_two_equal_versions_make_a_page_that_says_so(lab, version, tmp_path):
    ref = f"toy@{version.commit.id}"
    render(lab.diff(ref, ref), tmp_path / "same.html")

    assert f"{ref} and {ref} are the same." in (tmp_path / "same.html").read_text("utf-8")


def test_samples_with_something_to_see_come_first(differing):
    seen = touched(differing, 2)

    assert list(seen.rows) == ["s0", "s1"]
    assert seen.total == 5


# -------------------------------------------------------------------- pictures
def test_a_difference_is_bright_where_pixels_changed():
    before = np.zeros((3, 8, 8), np.uint8)
    after = before.copy()
    after[1, 2:4, 5] = 200

    picture, count = difference_picture(before, after)
    shown = np.asarray(picture.convert("L"))[::24, ::24]

    assert count == 2
    assert np.argwhere(shown > 100).tolist() == [[2, 5], [3, 5]]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float32", "float16", "complex64"])
def test_arrays_of_every_kind_are_compared(dtype):
    before = np.ones((1, 4, 4)).astype(dtype)
    after = before.copy()
    after[0, 0, 0] = 0

    assert difference_picture(before, after)[1] == 1
    assert difference_picture(before, before)[1] == 0


def test_what_is_no_number_on_both_sides_is_no_difference():
    before = np.full((1, 4, 4), np.nan, np.float32)
    after = before.copy()
    after[0, 1, 1], after[0, 2, 2] = np.inf, 3

    assert difference_picture(before, after)[1] == 2


# ----------------------------------------------------------------------- panes
def test_a_view_goes_near_to_what_is_small_and_stays_inside():
    near = view_around([shapely.box(250, 250, 256, 256)], (256, 256))
    whole = view_around([shapely.box(10, 10, 200, 200)], (256, 256))

    assert near.near
    assert near.left + near.width <= 256
    assert (whole.near, whole.width, whole.height) == (False, 256, 256)
    assert not view_around([], (8, 8)).near


def test_a_changed_outline_lies_on_top_with_its_label(version):
    chip = chips_of(version, ["s0"])["s0"]
    assert isinstance(chip, Chip)
    album = Album()

    drawn = pane("now", chip, album, marks={"box": Mark(role="updated", label="x" * 99)})

    assert [stroke.role for stroke in drawn.strokes] == ["same", "updated"]
    assert len(drawn.strokes[-1].label) == 22
    assert drawn.picture in album.pictures


def test_a_sample_that_is_not_there_says_why():
    drawn = pane("then", None, Album(), marks={}, absent="not yet")

    assert (drawn.picture, drawn.why) == ("", "not yet")


def test_outlines_of_every_kind_become_paths():
    assert path_of(shapely.Point(1, 2)) == "M1.00,2.00h0"
    assert path_of(shapely.LineString([(0, 0), (1, 1)])) == "M0.00,0.00 1.00,1.00"
    holed = shapely.box(0, 0, 9, 9) - shapely.box(3, 3, 6, 6)
    assert path_of(holed).count("Z") == 2
    assert isinstance(Outline(id="a", category="", shape=holed, colour=(0, 0, 0)), Outline)
