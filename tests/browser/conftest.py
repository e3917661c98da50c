"""Debian's Chromium, and a page of a small version to look at in it."""

import runpy
from functools import partial
from pathlib import Path

import pytest

import registry
from registry.catalog.card.spec import Spec
from registry.lake import init
from registry.web.page import render

CHROMIUM = Path("/usr/bin/chromium")
SMALL = Path(__file__).parents[1] / "unit" / "web" / "conftest.py"


@pytest.fixture(scope="module")  # its event loop must have ended before other tests run theirs
def browser():
    """Return a running browser; skips where there is none."""
    if not CHROMIUM.exists():
        pytest.skip("needs Debian's chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="session")
def small():
    """Return what makes a small version with everything that a page shows, and changes it."""
    return runpy.run_path(str(SMALL))


@pytest.fixture(scope="session")
def lab(small, tmp_path_factory):
    """Return a lake with a version and a branch that differs from it in everything."""
    folder = tmp_path_factory.mktemp("pages")
    init(str(folder / "lake"))
    made = registry.connect(str(folder / "lake"))
    draft = made.create(Spec.from_readme(small["CARD"]))
    with draft.edit("bring chips") as root:
        small["fill"](root, 8)
    branch = made.branch("toy", "fix", draft.head)
    with branch.edit("look <again>") as root:
        small["change"](root)
    made.branch("toy", "other", draft.head)
    return made


@pytest.fixture(scope="session")
def page_file(lab, tmp_path_factory):
    """Return the page of a version that has everything a page shows."""
    out = tmp_path_factory.mktemp("page") / "page.html"
    render(lab.resolve("toy@other"), out)
    return out


@pytest.fixture
def open_file(browser):
    """Return a function that opens a page and fails the test if it asked for anything."""
    contexts, wrong = [], []

    def open_it(file, *, width=1280, scheme="light"):
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on(
            "request",
            lambda asked: (
                wrong.append(asked.url) if not asked.url.startswith(("file:", "data:")) else None
            ),
        )
        page.goto(file.as_uri())
        return page

    yield open_it
    for context in contexts:
        context.close()
    assert wrong == []


@pytest.fixture
def open_page(open_file, page_file):
    """Return a function that opens the page of a version."""
    return partial(open_file, page_file)
