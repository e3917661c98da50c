"""Commands that read: they agree with the library, as text and as one JSON document."""

import csv
import io
import json
import re

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest

from registry.catalog import cite
from registry.query.engine import load

COUNTS = 'select label, count(*) n from "scenes@v2".samples group by 1 order by n desc'


def test_the_list_names_the_newest_version(eolab, scenes):
    row = {"name": "scenes", "version": "v2", "level": "Q1", "task": "segmentation", "samples": 9,
           "licence": "CC0-1.0"}  # fmt: skip
    assert eolab("list", "--json").document == [row]
    assert "scenes   v2" in eolab("list").out


def test_an_empty_lake_says_how_to_begin(eolab, own_lake):
    assert "eolab ingest" in eolab("list").out
    assert eolab("list", "--json").document == []


def test_a_version_is_shown_as_the_library_knows_it(eolab, scenes):
    version = scenes.resolve("scenes@v1")
    shown = eolab("show", "scenes@v1", "--json").document

    assert shown["content_id"] == version.content_id
    assert shown["commit"] == version.commit.id
    assert shown["tables"] == {name: version.count(name) for name in version.tables()}
    assert shown["level"] == "Q1"
    west, south, east, north = shown["bbox"]
    assert -90 <= south < north <= 90
    assert {-180 <= west <= 180, -180 <= east <= 180} == {True}
    assert shown["time"][0] <= shown["time"][1]
    text = eolab("show", "scenes@v1").out
    assert version.content_id in text
    assert "level       Q1" in text


def test_the_log_lists_commits_with_their_versions(eolab, scenes):
    logged = eolab("log", "scenes", "--json").document
    assert [c["commit"]["id"] for c in logged] == [c.id for c in scenes.log("scenes")]
    assert [c["versions"] for c in logged if c["versions"]] == [["v2"], ["v1"]]
    assert len(eolab("log", "scenes", "-n", 2, "--json").document) == 2
    assert eolab("log", "scenes", "--path", "README.md", "--json").document


def test_a_diff_is_that_of_the_library(eolab, scenes):
    found = scenes.diff("scenes@v1", "scenes@v2")
    said = eolab("diff", "scenes@v1", "scenes@v2", "--rows", "--json").document["tables"]
    assert said["samples"]["updated"] == found.tables["samples"].updated == 1
    assert said["samples"]["rows"][0]["id"] == found.tables["samples"].keys()["id"][0].as_py()
    assert eolab("diff", "scenes@v1", "scenes@v2").out.startswith("samples: 1 updated")
    assert "are the same" in eolab("diff", "scenes@v1", "scenes@v1").out


@pytest.mark.parametrize("style", ["bibtex", "datacite", "cff"])
def test_a_citation_is_that_of_the_library(eolab, scenes, style):
    version = scenes.resolve("scenes@v2")
    assert (
        eolab("cite", "scenes@v2", "--format", style).out.rstrip() == cite(version, style).rstrip()
    )
    said = eolab("cite", "scenes@v2", "--format", style, "--json").document
    assert said["citation"] == cite(version, style)
    assert version.content_id in said["citation"]


def test_files_come_back_in_both_layouts(eolab, scenes, tmp_path):
    for layout in ("files", "coco"):
        said = eolab("checkout", "scenes@v2", tmp_path / layout, "--as", layout, "--json").document
        written = [p for p in (tmp_path / layout).rglob("*") if p.is_file()]
        assert said["files"] == len(written)
    assert eolab("checkout", "scenes@v2", tmp_path / "files").status == 2


def test_rows_are_given_in_every_format(eolab, scenes, tmp_path):
    expected = [{"label": ["forest"], "n": 1}]
    query = COUNTS.replace("group by", "where label is not null group by")
    assert eolab("sql", query, "--json").document == expected
    assert eolab("sql", query, "--format", "json").document == expected
    assert list(csv.DictReader(io.StringIO(eolab("sql", query, "--format", "csv").out))) == [
        {"label": '["forest"]', "n": "1"}
    ]
    assert "forest" in eolab("sql", query).out
    for name in ("parquet", "arrow", "geojson"):
        path = tmp_path / f"out.{name}"
        asked = 'select id, geometry from "scenes@v2".samples'
        said = eolab("sql", asked, "--format", name, "-o", path, "--json").document
        assert said == {"output": str(path), "format": name, "rows": 9}
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 9
    with pa.ipc.open_file(tmp_path / "out.arrow") as rows:
        assert rows.read_all().num_rows == 9
    collection = json.loads((tmp_path / "out.geojson").read_text())
    assert len(collection["features"]) == 9


def test_ones_own_duckdb_sees_what_is_attached(eolab, scenes):
    script = eolab("sql", "--attach", "scenes@v2").out
    assert eolab("sql", "--attach", "scenes@v2", "--json").document["sql"] == script
    own_extensions = re.sub(r"INSTALL \w+; LOAD \w+;", "", script)
    assert "INSTALL delta; LOAD delta;" in script
    with duckdb.connect() as own:
        for extension in ("delta", "spatial"):  # from wheels, not from a network
            load(own, extension)
        own.execute(own_extensions)
        assert own.execute('select count(*) from "scenes@v2".samples').fetchone() == (9,)


def test_a_slice_has_one_id_however_it_is_asked_for(eolab, scenes):
    made = eolab("slice", 'select id from "scenes@v2".samples', "--json").document
    again = eolab("slice", 'from "scenes@v2".samples select id order by id desc', "--json").document

    assert made["id"] == again["id"]
    assert len(made["ids"]) == 9
    rows = eolab("sql", f'from "scenes@v2"."slices/{made["id"]}" select count(*) n', "--json")
    assert rows.document == [{"n": 9}]


def test_a_catalogue_is_read_by_pystac(eolab, scenes, tmp_path):
    printed = eolab("stac", "scenes@v2").document
    assert printed == eolab("stac", "scenes@v2", "--json").document
    said = eolab("stac", "scenes@v2", "-o", tmp_path / "stac", "--json").document
    collection = pystac.Collection.from_file(str(tmp_path / "stac/collection.json"))

    assert said["items"] == len(list(collection.get_items())) == 9


def test_a_page_is_drawn(eolab, scenes, tmp_path):
    eolab("page", "scenes@v2", "-o", tmp_path / "page.html")
    assert "scenes@v2" in (tmp_path / "page.html").read_text("utf-8")
