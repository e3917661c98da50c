import pytest

from registry.curate.bias.auditing import audit
from registry.web.passport import render
from tests.browser.seeing import CONTRAST

pytestmark = pytest.mark.browser


@pytest.fixture(scope="session")
def passport_file(lab, tmp_path_factory):
    """Return the bias passport of a small version."""
    out = tmp_path_factory.mktemp("passport") / "page.html"
    render(audit(lab, "toy@other"), lab.resolve("toy@other"), out)
    return out


@pytest.mark.parametrize("width", [320, 800, 1280, 2000])
def test_nothing_is_wider_than_the_window(open_file, passport_file, width):
    page = open_file(passport_file, width=width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_told_from_what_is_behind_it(open_file, passport_file, scheme):
    page = open_file(passport_file, scheme=scheme)

    assert page.evaluate(CONTRAST) == []


def test_all_figures_open_by_keyboard(open_file, passport_file):
    page = open_file(passport_file)

    page.focus("#figures summary")
    page.keyboard.press("Enter")

    assert page.is_visible("#figures table tbody tr")


def test_chapters_are_reached_by_keyboard(open_file, passport_file):
    page = open_file(passport_file)

    page.focus("nav a[href='#shares']")
    page.keyboard.press("Enter")

    assert page.url.endswith("#shares")
    assert page.evaluate("document.querySelector('#shares').getBoundingClientRect().top") < 200
