"""Metadata that are missing, damaged or hostile cost labels and findings, never the ingest."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from registry.curate.formats import open_listing
from registry.curate.formats.bigearthnet_metadata import read_facts
from registry.curate.formats.planning import PlanRows


def finding(plan, check):
    (found,) = [one for one in plan.findings if one.check == check]
    return found


@pytest.fixture
def read(tmp_path, make):
    """Read metadata of patch 1 alone; return what is said and what is found."""

    def run(name, content):
        path = tmp_path / "source" / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            path.write_text(json.dumps(content))
        rows = PlanRows()
        facts = read_facts(open_listing(path.parent), make.patch(1), rows)
        return facts, rows.findings

    return run


def test_patches_that_metadata_name_and_the_source_lacks_are_counted(trees, planned, make):
    rows = [make.facts(number) for number in range(1_000)]
    make.metadata(trees / "metadata.parquet", rows)
    plan = planned(trees)
    found = finding(plan, "missing-files")
    assert (found.evidence["count"], found.evidence["patches"][0]) == (997, make.patch(3)[0])
    assert len(plan.samples) == 3


def test_patches_that_metadata_do_not_name_have_no_label(trees, planned, make):
    make.metadata(trees / "metadata.parquet", [make.facts(0)])
    plan = planned(trees)
    assert finding(plan, "missing-label").evidence["count"] == 2
    assert plan.samples["label"].null_count == 2
    assert len(plan.splits["official"]) == 1


def test_a_patch_that_is_named_twice_has_the_first_row_s_word(trees, planned, make):
    rows = [make.facts(n) for n in range(3)] + [make.facts(1, labels=["Arable land"])]
    make.metadata(trees / "metadata.parquet", rows)
    plan = planned(trees)
    assert finding(plan, "duplicate-id").evidence["names"] == [make.patch(1)[0]]
    labels = dict(zip(plan.samples["id"].to_pylist(), plan.samples["label"].to_pylist(),
                      strict=True))  # fmt: skip
    assert labels[make.patch(1)[0]] == ["Pastures", "Marine waters"]


def test_several_tables_complete_each_other(trees, planned, make):
    make.metadata(trees / "metadata.parquet", [make.facts(0), make.facts(1)])
    name = "metadata_for_patches_with_snow_cloud_or_shadow.parquet"
    make.metadata(trees / name, [make.facts(2, contains_cloud_or_shadow=True)])
    plan = planned(trees)
    assert plan.samples["label"].null_count == 0
    assert plan.findings == ()


def test_a_subset_that_is_none_is_said(trees, planned, make):
    words = ("train", "holdout", "test")
    make.metadata(
        trees / "metadata.parquet", [make.facts(n, split=word) for n, word in enumerate(words)]
    )
    plan = planned(trees)
    assert finding(plan, "unknown-subset").evidence["words"] == ["holdout"]
    assert len(plan.splits["official"]) == 2


def test_a_label_of_neither_nomenclature_is_said_and_kept(trees, planned, make):
    rows = [make.facts(n, labels=["Pastures", "Lava"]) for n in range(3)]
    make.metadata(trees / "metadata.parquet", rows)
    plan = planned(trees)
    assert finding(plan, "unknown-label").evidence["labels"] == ["Lava"]
    assert plan.classes[-1] == "Lava"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metadata.json", b"{"),
        ("metadata.json", b"[" * 100_000),
        ("metadata.json", b'{"patch_id": "a"}'),
        ("metadata.json", b"[" + b"[]," * 4_000_001 + b"1]"),
        ("metadata.parquet", b"PAR1 and nothing else PAR1"),
        ("metadata.parquet", b""),
    ],
)
def test_tables_that_cannot_be_read_are_a_finding(read, name, content):
    facts, findings = read(name, content)
    assert facts.patches == {}
    assert [(one.check, one.evidence["file"]) for one in findings] == [("bad-sidecar", name)]


def test_a_table_of_two_gigabytes_is_not_read(tmp_path, make):
    path = tmp_path / "source" / "metadata.json"
    path.parent.mkdir()
    with path.open("wb") as file:
        file.truncate(2 << 30)  # a hole: it takes no room
    rows = PlanRows()
    read_facts(open_listing(path.parent), make.patch(1), rows)
    assert "2,147,483,648 bytes" in rows.findings[0].message


@pytest.mark.parametrize(
    "said",
    [
        {"patch_id": "../../etc/passwd"},
        {"patch_id": 7},
        {"id": None, "labels": ["Pastures"]},
        {"labels": ["Pastures"]},
    ],
)
def test_rows_that_name_no_patch_are_counted(read, said):
    facts, (found,) = read("metadata.json", [said, "no row at all"])
    assert facts.patches == {}
    assert (found.check, found.evidence["count"]) == ("bad-sidecar", 1)


@pytest.mark.parametrize(
    "said",
    [
        {"labels": "Pastures"},
        {"labels": ["Pastures", 3]},
        {"labels": ["x"] * 65},
        {"labels": ["x" * 1_001]},
        {"crs": "EPSG:nowhere", "geotransform": [0, 10, 0, 0, 0, -10], "raster_shape": [12, 12]},
        {"crs": "EPSG:32633", "geotransform": [0, 10, 0], "raster_shape": [12, 12]},
        {"crs": "EPSG:32633", "geotransform": [0, 10, 0, 0, 0, "up"], "raster_shape": [12, 12]},
        {"geometry": {"type": "Polygon", "coordinates": "none"}},
        {"geometry": {"type": "Point", "coordinates": [500, 99]}},
    ],
)
def test_what_cannot_be_is_said_and_the_rest_is_kept(read, make, said):
    facts, (found,) = read("metadata.json", [{**make.facts(1), "labels": None, **said}])
    (fact,) = facts.patches.values()
    assert (fact.labels, fact.grid, fact.geometry) == (None, None, None)
    assert fact.split == "validation"
    assert found.evidence["names"] == [make.patch(1)[0]]


def test_names_of_other_patches_that_are_no_texts_are_none(read, make):
    row = make.facts(7) | {"s1_name": ["S1"], "s2v1_name": {"a": 1}}
    facts, _ = read("metadata.json", [row])
    assert (facts.patches, facts.absences) == ({}, 1)


def test_properties_are_single_values_under_plain_names(read, make):
    row = make.facts(1) | {
        "season": "Summer", "a b": 1, "deep": {"a": 1}, "long": "x" * 2_000,
        "lon": 15.0, "source_file": None,
    }  # fmt: skip
    facts, findings = read("metadata.json", [row])
    assert findings == []
    (fact,) = facts.patches.values()
    assert set(fact.properties) == {
        "season", "country", "s1_name", "s2v1_name", "contains_seasonal_snow",
        "contains_cloud_or_shadow",
    }  # fmt: skip


def test_a_small_table_cannot_unfold_into_a_large_one(read, make, tmp_path):
    path = tmp_path / "bomb.parquet"
    text = pa.DictionaryArray.from_arrays(np.zeros(5_000, np.int32), ["x" * 1_000_000])
    ids = [make.patch(n)[0] for n in range(5_000)]
    pq.write_table(pa.table({"patch_id": ids, "country": text}), path)
    assert path.stat().st_size < 1 << 20
    facts, (found,) = read("metadata.parquet", path.read_bytes())
    assert (facts.patches, found.check) == ({}, "bad-sidecar")
    assert "a text of 1,000,000 bytes" in found.message


def test_a_table_of_more_values_than_anybody_states_is_not_read(read, tmp_path):
    ones = np.ones(7_000_000, np.int8)
    row = pa.ListArray.from_arrays(np.array([0, len(ones)], np.int32), ones)
    path = tmp_path / "long.parquet"
    pq.write_table(pa.table({"many": pa.chunked_array([row] * 10)}), path)
    assert path.stat().st_size < 1 << 20
    facts, (found,) = read("metadata.parquet", path.read_bytes())
    assert (facts.patches, "70,000,000 values" in found.message) == ({}, True)


def test_a_table_of_too_many_columns_is_not_read(read, tmp_path):
    path = tmp_path / "wide.parquet"
    pq.write_table(pa.table({f"c{number}": [1] for number in range(300)}), path)
    facts, (found,) = read("metadata.parquet", path.read_bytes())
    assert (facts.patches, "in 300 columns" in found.message) == ({}, True)


def test_columns_of_other_types_are_left_out(read, make):
    table = pa.Table.from_pylist([make.facts(1)])
    table = table.append_column("when", pa.array([0], pa.timestamp("us")))
    table = table.append_column("raw", pa.array([b"\xff"]))
    table = table.append_column("many", pa.array([[[1]]]))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    facts, findings = read("metadata.parquet", sink.getvalue().to_pybytes())
    assert findings == []
    (fact,) = facts.patches.values()
    assert fact.labels == ("Pastures", "Marine waters")
    assert fact.properties.keys().isdisjoint({"when", "raw", "many"})


@pytest.mark.parametrize("content", [b"{", b"[1]", b'"text"', b'{"labels": 3}'])
def test_a_sidecar_that_cannot_be_read_is_named_with_its_patch(read, make, content):
    s2 = make.patch(1)[0]
    _, (found,) = read(f"{s2}_labels_metadata.json", content)
    assert (found.check, found.sample) == ("bad-sidecar", s2)
