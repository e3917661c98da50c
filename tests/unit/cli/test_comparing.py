"""What differs, and who changed it, as commands say it."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from registry.catalog import connect
from registry.tables import edit
from registry.tables.schemas import ANNOTATIONS, SAMPLES


@pytest.fixture
def land(eolab, own_lake):
    """A branch of which four of six simulated chips differ from the draft."""
    eolab("simulate", "segmentation", "land", "--samples", 6, "--seed", 5)
    eolab("ingest", "land", "--into", "land", "--workers", 1)
    eolab("branch", "land", "fix", "--at", "draft")
    ids = sorted(connect().resolve("land@draft").table("samples")["id"].to_pylist())
    eolab("edit", "land@fix", "--set", "label=['forest']", "--where", f"id <= '{ids[2]}'",
          "-m", "three are forest")  # fmt: skip
    eolab("edit", "land@fix", "--set", "target='nan'::double", "--where", f"id = '{ids[3]}'",
          "-m", "not known")  # fmt: skip
    return ids


REFS = ("land@draft", "land@fix")


def test_a_document_says_counts_and_with_rows_every_change(eolab, land):
    counts = eolab("diff", *REFS, "--json").document
    every = eolab("diff", *REFS, "--rows", "--json").document

    assert counts["tables"]["samples"]["updated"] == 4
    assert "rows" not in counts["tables"]["samples"]
    told = {row["id"]: row for row in every["tables"]["samples"]["rows"]}
    assert sorted(told) == land[:4]
    assert told[land[0]]["after"] == {"label": ["forest"]}
    assert told[land[3]]["after"] == {"target": "NaN"}


def test_text_shows_the_first_rows_and_where_the_rest_is(eolab, land, monkeypatch):
    monkeypatch.setattr("registry.cli.commands.comparing._SHOWN", 2)

    short, whole = (eolab("diff", *REFS, *more).out for more in ((), ("--rows",)))

    assert "… and 2 more; all of them: --rows" in short
    assert whole.count("updated ") == 4


def test_rows_are_written_to_a_file(eolab, land, own_lake):
    said = eolab("diff", *REFS, "--table", "samples", "-o", own_lake / "rows.parquet")

    assert said.status == 0, said.err
    rows = pq.read_table(own_lake / "rows.parquet")
    assert rows.num_rows == 4
    assert {"id", "change", "columns", "before", "after"} <= set(rows.column_names)


def test_a_file_is_of_one_table(eolab, land, own_lake):
    said = eolab("diff", *REFS, "--table", "assets", "-o", own_lake / "rows.parquet", "--json")

    assert said.status == 2
    assert "none" in said.document["error"]["problem"]


def test_changes_are_drawn_on_a_page(eolab, land, own_lake):
    said = eolab("diff", *REFS, "--map", own_lake / "map.html", "--json").document

    assert said["written"] == {"page": str(own_lake / "map.html")}
    assert land[0] in (own_lake / "map.html").read_text("utf-8")


@pytest.mark.parametrize("option", ["--map", "-o"])
def test_no_folder_is_made_for_a_file(eolab, land, own_lake, option):
    file = own_lake / "nofolder" / "x.parquet"

    said = eolab("diff", *REFS, "--table", "samples", option, file)

    assert said.status == 2
    assert "there is no folder" in said.err
    assert "mkdir -p" in said.err
    assert not file.parent.exists()


@pytest.fixture
def drawn(land):
    """An outline on `fix` that lies elsewhere on `other`."""

    def draw(branch, shape):
        row = {"id": "n1", "sample": land[0], "geometry": shape.wkb, "frame": "pixel"}
        with connect().draft("land", branch).edit("draw") as root:
            edit.upsert(root, ANNOTATIONS, pa.Table.from_pylist([row], schema=ANNOTATIONS.arrow))

    draw("fix", shapely.box(0, 0, 1, 1 / 3))
    connect().branch("land", "other", at=connect().draft("land", "fix").head)
    draw("other", shapely.box(2, 0, 3, 2 / 3))


def test_outlines_are_words_in_files_of_text(eolab, drawn, own_lake):
    for name in ("rows.json", "rows.csv", "rows.parquet"):
        for refs in (("land@fix", "land@other"), ("land@draft", "land@fix")):
            said = eolab("diff", *refs, "--table", "annotations", "-o", own_lake / name)
            assert said.status == 0, said.err
            if name == "rows.json":
                (row,) = json.loads((own_lake / name).read_text())
                assert row["after"]["geometry"].startswith("POLYGON ((")
                assert (row["before"] is None) == (refs[0] == "land@draft")
    assert "POLYGON ((" in (own_lake / "rows.csv").read_text()
    (after,) = pq.read_table(own_lake / "rows.parquet")["after"].to_pylist()
    assert isinstance(after["geometry"], bytes)


def test_units_are_short_and_areas_have_the_digits_that_mean_anything(eolab, drawn):
    text = eolab("diff", "land@fix", "land@other").out

    assert "moved 2.01 px" in text
    assert "area: 0.333333 → 0.666667" in text


def test_a_value_of_any_length_goes_through(eolab, land):
    with connect().draft("land", "fix").edit("long") as root:
        row = SAMPLES.arrow.empty_table().select(["id", "group"]).schema
        edit.upsert(
            root, SAMPLES, pa.table({"id": [land[5]], "group": ["é" * 1_000_000]}, schema=row)
        )

    every = eolab("diff", *REFS, "--rows", "--json").document["tables"]["samples"]["rows"]
    assert {len(row["after"].get("group", "")) for row in every} == {0, 1_000_000}
    assert max(map(len, eolab("diff", *REFS, "--rows").out.splitlines())) < 300


def test_who_changed_a_row_last_is_told(eolab, land):
    said = eolab("blame", "land@fix", "--table", "samples", "--key", land[0], "--json").document
    text = eolab("blame", "land@fix", "--table", "samples", "--key", land[5]).out

    assert [(row["id"], row["change"], row["message"]) for row in said] == [
        (land[0], "updated", "three are forest")
    ]
    assert said[0]["author"] == "Ben <ben@example.org>"
    assert "inserted" in text
    assert "Ben" in text


def test_columns_are_blamed_one_by_one(eolab, land):
    said = eolab("blame", "land@fix", "--table", "samples", "--key", land[0], "--columns", "--json")
    found = {tuple(row["columns"]): row["message"] for row in json.loads(said.out)}

    assert found["label",] == "three are forest"
    assert any("ingest" in message for message in found.values())


def test_every_row_is_blamed_where_no_key_is_given(eolab, land):
    assert len(eolab("blame", "land@fix", "--table", "samples", "--json").document) == 6


def test_keys_of_two_parts_are_written_with_a_slash(eolab, land):
    asset = connect().resolve("land@fix").table("assets").to_pylist()[0]
    key = f"{asset['sample']}/{asset['asset']}"

    (row,) = eolab("blame", "land@fix", "--table", "assets", "--key", key, "--json").document

    assert (row["sample"], row["asset"]) == (asset["sample"], asset["asset"])


def test_a_row_that_never_was_is_not_found(eolab, land):
    said = eolab("blame", "land@fix", "--table", "samples", "--key", "zz", "--json")

    assert said.status == 3
    assert "never had a row zz" in said.document["error"]["problem"]
