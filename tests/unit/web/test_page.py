import re
from html.parser import HTMLParser

import pyarrow as pa
import pytest

from registry.tables import schemas
from registry.web.page import render


class Outline(HTMLParser):
    """Notes the tags of a page and what they say."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def page(version, tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "deep" / "page.html"
    render(version, out)
    assert [path.name for path in out.parent.iterdir()] == ["page.html"]
    return out.read_text(encoding="utf-8")


def test_the_page_asks_for_nothing_and_runs_nothing(page):
    outline = Outline(page)
    policy = next(each["content"] for each in outline.all("meta") if "http-equiv" in each)

    assert "default-src 'none'" in policy
    assert outline.all("script") == outline.all("link") == outline.all("iframe") == []
    assert all(each["src"].startswith("data:image/png;base64,") for each in outline.all("img"))
    assert not re.search(r"url\(|@import|javascript:|\son\w+=", page)


def test_what_people_wrote_stays_text(page):
    assert "Toys &lt;of&gt; the land" in page
    assert "bring &lt;eight&gt; chips" in page
    assert "3 values are &lt;NaN&gt;" in page
    assert "<of>" not in page
    assert "<NaN>" not in page


def test_the_page_says_what_the_version_is(page, version):
    for said in (
        version.content_id,
        version.commit.id,
        "Squares of land &amp; water.",
        "MIT",
        "Ada",
        "Sentinel-2 L2A",
        "24 \N{MULTIPLICATION SIGN} 24 pixels",
        "EPSG:32632",
        "eolab checkout",
        "@dataset{",
        "Objects by class",
    ):
        assert said in page


def test_the_page_can_be_read_without_seeing_it(page):
    outline = Outline(page)
    names = [name for name, _ in outline.tags]

    assert {"header", "nav", "main", "footer"} <= set(names)
    assert outline.all("html") == [{"lang": "en"}]
    assert names.count("h1") == 1
    assert all("alt" in each for each in outline.all("img"))
    targets = {each["id"] for _, each in outline.tags if "id" in each}
    anchors = {each["href"][1:] for each in outline.all("a") if each["href"].startswith("#")}
    labelled = {each["aria-labelledby"] for _, each in outline.tags if "aria-labelledby" in each}
    assert anchors | labelled <= targets
    ids = [each["id"] for _, each in outline.tags if "id" in each]
    assert len(ids) == len(set(ids))


def test_no_author_is_shown_with_an_address(page, version):
    assert "<" in version.commit.author
    assert version.commit.author.partition("<")[2].rstrip(">") not in page


def test_a_report_that_is_handed_in_is_shown(version, tmp_path):
    class Report:
        passed, level, allowed = False, None, {"crs": "known & accepted"}
        findings = pa.Table.from_pylist(
            [
                {"id": str(n), "check": "crs", "severity": "error", "sample": f"s{n}",
                 "message": "none", "fix": "declare it"}
                for n in range(7)
            ],
            schema=schemas.FINDINGS.arrow,
        )  # fmt: skip

    render(version, tmp_path / "page.html", report=Report())
    page = (tmp_path / "page.html").read_text(encoding="utf-8")

    assert "failed" in page
    assert "below quality level Q0" in page
    assert "and 2 more" in page
    assert "known &amp; accepted" in page


@pytest.mark.parametrize("which", ["empty", "placeless"])
def test_odd_versions_have_a_page_too(which, request, tmp_path):
    render(request.getfixturevalue(which), tmp_path / "page.html", history=[])

    page = (tmp_path / "page.html").read_text(encoding="utf-8")

    assert ("There are no samples yet." in page) == (which == "empty")
    assert "No sample has a footprint." in page


def test_the_same_version_gives_the_same_page(version, page, tmp_path):
    render(version, tmp_path / "again.html")

    assert (tmp_path / "again.html").read_text(encoding="utf-8") == page
