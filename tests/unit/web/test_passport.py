"""The page of a bias report, and the map on it."""

import re
from xml.etree import ElementTree as ET

import pyarrow as pa
import pytest

from registry.catalog.card.spec import Spec
from registry.curate.bias.auditing import audit
from registry.tables import schemas, store
from registry.web.coverage import coverage_map
from registry.web.passport import render

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def passport(lab, version, tmp_path_factory):
    out = tmp_path_factory.mktemp("passport") / "deep" / "passport.html"
    render(audit(lab, str(version.ref)), version, out)
    return out.read_text(encoding="utf-8")


def _cells(*boxes):
    names = ("west", "south", "east", "north")
    columns = {name: [box[place] for box in boxes] for place, name in enumerate(names)}
    counts = {"class": pa.nulls(len(boxes), pa.string()), "count": [9] * len(boxes)}
    return pa.table(counts | columns)


def test_it_asks_for_nothing_and_runs_nothing(passport):
    assert "default-src 'none'" in passport
    assert not re.search(r"<(script|link|iframe|img)\b", passport)


def test_every_chapter_that_is_linked_is_there(passport):
    targets = set(re.findall(r'href="#([a-z]+)"', passport))

    assert {"short", "where", "when", "shares", "references", "figures"} <= targets
    assert targets <= set(re.findall(r'id="([a-z-]+)"', passport))


def test_what_is_flagged_is_said_first(passport):
    short = passport[passport.index('id="short"') : passport.index('id="where"')]

    assert "Europe: 8 of 8 samples" in short


def test_its_map_is_well_formed(passport):
    drawing = passport[passport.index("<svg") : passport.index("</svg>") + len("</svg>")]

    assert ET.fromstring(drawing).attrib["role"] == "img"  # noqa: S314 — our own text


def test_names_from_data_stay_text(lab, tmp_path):
    draft = lab.create(Spec(name="hostile"))
    rows = [
        {"id": f"s{n}", "label": [HOSTILE if n % 2 else "plain"], "hilbert": -1} for n in range(30)
    ]
    with draft.edit("fill") as root:
        store.append(root, schemas.SAMPLES, pa.Table.from_pylist(rows, schemas.SAMPLES.arrow))
    ref = f"hostile@{draft.branch}"

    render(audit(lab, ref), lab.resolve(ref), tmp_path / "out.html")

    text = (tmp_path / "out.html").read_text(encoding="utf-8")
    assert HOSTILE not in text
    assert "No sample says where it is" in text


def test_cells_lie_on_land_that_is_drawn_under_them():
    drawn = coverage_map(_cells((10.0, 50.0, 13.0, 53.0)))

    [cell] = drawn.cells
    assert drawn.land.startswith("M")
    assert 0 < cell.x < cell.x + cell.width < drawn.frame.width
    assert 0 < cell.y < cell.y + cell.height < drawn.frame.height


def test_a_coast_too_coarse_for_a_narrow_map_is_not_drawn():
    assert coverage_map(_cells((10.0, 50.0, 10.1, 50.1))).land == ""


def test_a_map_across_the_antimeridian_is_not_torn():
    drawn = coverage_map(_cells((178.0, -18.0, 179.0, -17.0), (-179.0, -18.0, -178.0, -17.0)))

    assert drawn.frame.east - drawn.frame.west < 20
    assert all(0 < cell.x < drawn.frame.width for cell in drawn.cells)


def test_tiny_cells_are_seen():
    drawn = coverage_map(_cells((-120.0, 10.0, -119.99, 10.01), (100.0, -30.0, 100.01, -29.99)))

    assert all(min(cell.width, cell.height) >= 5 for cell in drawn.cells)


def test_without_a_place_the_globe_is_drawn():
    drawn = coverage_map(_cells().filter(pa.array([], pa.bool_())))

    assert drawn.cells == ()
    assert drawn.land
