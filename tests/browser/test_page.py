import pytest

from tests.browser.seeing import CONTRAST

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("width", [320, 390, 800, 1280, 2000])
def test_nothing_is_wider_than_the_window(open_page, width):
    page = open_page(width=width)

    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_told_from_what_is_behind_it(open_page, scheme):
    page = open_page(scheme=scheme)

    assert page.evaluate(CONTRAST) == []


def test_dark_is_dark(open_page):
    said = "getComputedStyle(document.body).backgroundColor"

    assert open_page(scheme="light").evaluate(said) != open_page(scheme="dark").evaluate(said)


def test_pictures_are_there_and_masks_lie_exactly_on_them(open_page):
    page = open_page()
    sizes = page.evaluate("""() => [...document.querySelectorAll('.frame')].map(frame => {
      const [image, layer] = frame.querySelectorAll('img');
      const [a, b] = [image, layer].map(e => e.getBoundingClientRect());
      return [image.naturalWidth, a.x - b.x, a.y - b.y, a.width - b.width, a.height - b.height];
    })""")

    assert len(sizes) == 8
    assert all(natural >= 192 and not any(differences) for natural, *differences in sizes)


def test_labels_are_hidden_and_shown_by_keyboard(open_page):
    page = open_page()
    hidden = "getComputedStyle(document.querySelector('.layer')).visibility"

    page.focus("#overlay")
    assert page.evaluate(hidden) == "visible"
    page.keyboard.press("Space")
    assert page.evaluate(hidden) == "hidden"
    page.keyboard.press("Space")
    assert page.evaluate(hidden) == "visible"


def test_the_first_tab_offers_to_skip_to_the_content(open_page):
    page = open_page()

    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_everything_that_acts_is_reached_by_keyboard_and_shows_it(open_page):
    page = open_page()
    wanted = page.evaluate(
        "document.querySelectorAll('a[href], summary, input, [tabindex=\"0\"]').length"
    )
    seen = set()
    for _ in range(wanted + 2):
        page.keyboard.press("Tab")
        found = page.evaluate("""() => {
          const e = document.activeElement;
          const all = [...document.querySelectorAll('*')];
          return [all.indexOf(e), getComputedStyle(e).outlineStyle, e.tagName];
        }""")
        if found[2] != "BODY":
            assert found[1] != "none"
            seen.add(found[0])

    assert len(seen) == wanted


def test_findings_open_by_keyboard(open_page):
    page = open_page()
    page.focus(".finding summary")

    page.keyboard.press("Enter")

    assert page.evaluate("document.querySelector('.finding').open") is True
    assert page.locator(".finding li").first.is_visible()


def test_links_of_the_page_lead_to_their_sections(open_page):
    page = open_page()
    for link in page.locator("nav a").all():
        link.click()
        target = page.locator(link.get_attribute("href"))
        top = target.evaluate("e => e.getBoundingClientRect().top")
        at_end = page.evaluate(
            "Math.ceil(scrollY + innerHeight) >= document.documentElement.scrollHeight"
        )
        assert at_end or 0 <= top < 120
