import pytest

from registry.catalog import MergeConflictError
from registry.catalog.merging.pending import pending
from registry.tables import edit, schemas
from registry.web import conflicts, differences
from tests.browser.seeing import CONTRAST

pytestmark = pytest.mark.browser

SHOWN = """selector => [...document.querySelectorAll(selector)]
  .filter(e => e.getClientRects().length > 0).length"""


@pytest.fixture(scope="session")
def difference_file(lab, tmp_path_factory):
    """Return the page of what a branch changed."""
    out = tmp_path_factory.mktemp("difference") / "page.html"
    differences.render(lab.diff("toy@other", "toy@fix"), out)
    return out


@pytest.fixture(scope="session")
def conflict_file(lab, small, tmp_path_factory):
    """Return the page of a merge with a conflict over a label."""
    for branch, word in (("anna", "Crop land"), ("ben", "Meadow")):
        lab.branch("toy", branch, "other")
        with lab.draft("toy", branch).edit(f"{branch} names it") as root:
            small["_upsert"](root, schemas.ANNOTATIONS, {"id": "box", "category": word})
            if branch == "anna":
                edit.delete(root, "splits/default", where="sample = 's2'")
            else:
                small["_upsert"](root, schemas.SPLITS, {"sample": "s2", "subset": "validate"})
    with pytest.raises(MergeConflictError):
        lab.merge("toy", "ben", "anna")
    out = tmp_path_factory.mktemp("conflict") / "page.html"
    conflicts.render(lab, "toy", pending(lab.lake.repository("toy")), out)
    return out


@pytest.fixture(params=["difference_file", "conflict_file"])
def file(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("width", [320, 800, 1280, 2000])
def test_nothing_is_wider_than_the_window(open_file, file, width):
    page = open_file(file, width=width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_told_from_what_is_behind_it(open_file, file, scheme):
    assert open_file(file, scheme=scheme).evaluate(CONTRAST) == []


def test_sides_lie_beside_each_other_and_show_their_pictures(open_file, file):
    page = open_file(file)
    tops = page.evaluate("""() => [...document.querySelectorAll('.sides, .three')].map(row =>
      [...row.querySelectorAll('svg.pane')].map(e => Math.round(e.getBoundingClientRect().top)))""")

    assert any(len(row) >= 2 for row in tops)
    assert all(len(set(row)) <= 1 for row in tops)
    sizes = page.evaluate("""() => [...document.querySelectorAll('svg.pane use')].map(use => {
      const box = use.getBoundingClientRect(); return [box.width, box.height]; })""")
    assert all(width > 50 and height > 50 for width, height in sizes)


def test_outlines_are_hidden_and_shown_by_keyboard(open_file, file):
    page = open_file(file)
    hidden = "getComputedStyle(document.querySelector('.pane .layer')).visibility"

    page.focus("#overlay")
    page.keyboard.press("Space")
    assert page.evaluate(hidden) == "hidden"
    page.keyboard.press("Space")
    assert page.evaluate(hidden) == "visible"


def test_everything_that_acts_is_reached_by_keyboard(open_file, file):
    page = open_file(file)
    wanted = page.evaluate("document.querySelectorAll('a[href], input, [tabindex=\"0\"]').length")
    seen = set()
    for _ in range(wanted + 2):
        page.keyboard.press("Tab")
        place, tag = page.evaluate("""() => {
          const e = document.activeElement;
          return [[...document.querySelectorAll('*')].indexOf(e), e.tagName]; }""")
        if tag != "BODY":
            seen.add(place)

    assert len(seen) == wanted


# ---------------------------------------------------------------- differences
def test_changes_are_chosen_by_kind_and_by_table_with_the_keyboard(open_file, difference_file):
    page = open_file(difference_file)
    assert page.evaluate(SHOWN, "article.sample") == 5

    for box in ("#kind-updated", "#kind-deleted"):
        page.focus(box)
        page.keyboard.press("Space")
    assert page.evaluate(SHOWN, "article.sample") == 1
    assert page.evaluate(SHOWN, ".changes li") == 1
    assert page.evaluate(SHOWN, ".marks a path, .marks a circle") == 1

    page.get_by_role("checkbox", name="annotations").uncheck()
    assert page.evaluate(SHOWN, "article.sample") == 0
    page.locator("#kind-deleted").check()
    assert page.evaluate(SHOWN, "article.sample") == 1


def test_a_mark_of_the_map_leads_to_its_sample(open_file, difference_file):
    page = open_file(difference_file)
    page.focus(".marks a")

    page.keyboard.press("Enter")

    target = page.url.partition("#")[2]
    top = page.evaluate("id => document.getElementById(id).getBoundingClientRect().top", target)
    assert 0 <= top < 200


# ------------------------------------------------------------------ conflicts
def test_a_command_is_chosen_whole_by_one_click(open_file, conflict_file):
    page = open_file(conflict_file)

    page.locator("pre.take").first.click()

    said = page.evaluate("document.getSelection().toString().trim()")
    assert said.startswith("eolab resolve toy ")
    assert said.endswith("--ours")
