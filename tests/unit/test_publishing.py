import json
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry import lake
from registry.catalog import MergeConflictError, Provider, Registry, Spec, edit_rows
from registry.curate import publishing
from registry.curate.merging import merge
from registry.curate.publishing import NothingToPublishError, NotPassedError, publish
from registry.curate.quality import check, rules_hash
from registry.errors import ForbiddenError
from registry.tables import edit, store
from registry.tables.pixels import encode
from registry.tables.schemas import ASSETS, PIXELS, SAMPLES

CARD = Spec(
    name="fields", licence="MIT", providers=(Provider(name="ESA"),), classes=("crop", "forest")
)


def rows(names, first=0):
    samples, assets, pixels = [], [], []
    for place, name in enumerate(names, first):
        chip = encode(np.arange(24, dtype=np.uint16).reshape(2, 3, 4) + 100 * place)
        samples.append({
            "id": name,
            "geometry": shapely.to_wkb(shapely.box(place, 45, place + 0.1, 45.1)),
            "datetime": datetime(2020, 6, 1, tzinfo=UTC),
            "label": ["crop"],
            "georeferenced": True,
        })
        assets.append({
            "sample": name,
            "asset": "s2",
            "pixels": chip.sha256,
            "shape": list(chip.shape),
            "dtype": chip.dtype,
            "crs": "EPSG:32632",
            "transform": [10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0],
        })
        pixels.append({"sha256": chip.sha256, "codec": chip.codec, "data": chip.data})
    return {SAMPLES: samples, ASSETS: assets, PIXELS: pixels}


def add(draft, names, first=0):
    with draft.edit(f"add {' '.join(names)}") as root:
        for schema, found in rows(names, first).items():
            write = store.append if schema is PIXELS else edit.upsert  # which derives boxes
            write(root, schema, pa.Table.from_pylist(found, schema=schema.arrow))


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "anna")
    registry = Registry(lake=lake.init(str(tmp_path / "lake")))
    registry.create(CARD)
    return registry


@pytest.fixture
def published(registry):
    add(registry.draft("fields"), "abc")
    publish(registry, "fields", message="first release")
    return registry


def labels(version):
    table = version.table("samples", columns=["id", "label"])
    return {row["id"]: row["label"] for row in table.to_pylist()}


def relabel(registry, branch, sample, label):
    return edit_rows(
        registry,
        f"fields@{branch}",
        assignments=[f"label=['{label}']"],
        where=f"id = '{sample}'",
    )


def test_a_draft_that_passes_becomes_the_next_version(registry):
    add(registry.draft("fields"), "abc")

    version = publish(registry, "fields", message="first release")

    assert version.tag == "v1"
    assert registry.resolve("fields").commit == version.commit
    assert registry.resolve("fields@main").commit == version.commit
    assert registry.resolve("fields@draft").commit == version.commit
    assert version.commit.message == "first release"


def test_a_version_holds_its_report_its_items_and_short_logs(published):
    version = published.resolve("fields")
    folder = version.root.path

    report = json.loads((folder / "reports" / "quality.json").read_text())
    assert (report["verdict"], report["level"], report["ref"]) == ("passed", "Q1", "fields@draft")
    assert version.table("reports/quality").num_rows == 0
    assert (folder / "items.parquet").is_file()
    assert version.commit.metadata["items-left-out"] == "0"
    entries = list((folder / "samples" / "_delta_log").glob("*.json"))
    assert len(entries) == 1


def test_the_report_names_the_tree_that_was_judged_and_anyone_can_judge_it_again(published):
    said = published.resolve("fields").commit.metadata
    judged = published.resolve(f"fields@{said['judged-commit']}")

    assert said["judged"] == judged.content_id
    assert said["rules"] == rules_hash()
    assert judged.commit.id in published.resolve("fields").commit.parents
    assert check(judged).level == said["level"] == "Q1"


def test_what_does_not_pass_is_not_published(registry):
    draft = registry.draft("fields")
    add(draft, "abc")
    with draft.edit("spoil") as root:
        edit.update(root, "samples", set={"label": "['Crop']"}, where="id = 'b'")
    before = registry.lake.repository("fields").branches()

    with pytest.raises(NotPassedError, match="unknown-classes") as raised:
        publish(registry, "fields", message="no")

    assert raised.value.report.findings.num_rows == 1
    assert registry.versions("fields") == []
    assert registry.lake.repository("fields").branches() == before


def test_an_allowed_finding_is_recorded_with_its_reason(registry):
    draft = registry.draft("fields")
    add(draft, "abc")
    relabel(registry, "draft", "b", "Crop")

    version = publish(registry, "fields", message="ok", allow={"unknown-classes": "kept: é\n"})

    assert json.loads(version.commit.metadata["allowed"]) == {"unknown-classes": "kept: é\n"}
    report = json.loads((version.root.path / "reports" / "quality.json").read_text())
    assert report["allowed"] == {"unknown-classes": "kept: é\n"}
    assert version.table("reports/quality").column("check").to_pylist() == ["unknown-classes"]


def test_nothing_is_published_twice(published):
    with pytest.raises(NothingToPublishError, match="since v1"):
        publish(published, "fields", message="again")


def test_an_empty_dataset_is_not_published(registry):
    with pytest.raises(NotPassedError, match="empty"):
        publish(registry, "fields", message="empty")


def test_a_label_fixed_on_a_branch_comes_into_the_next_version(published):
    published.branch("fields", "fix-labels")
    relabel(published, "fix-labels", "b", "forest")

    merged = merge(published, "fields", "fix-labels")
    assert merged.moved
    assert [version.tag for version in published.versions("fields")] == ["v1"]
    version = publish(published, "fields", message="one label fixed")

    assert version.tag == "v2"
    assert version.commit.message == "one label fixed"
    assert labels(version) == {"a": ["crop"], "b": ["forest"], "c": ["crop"]}
    assert labels(published.resolve("fields@v1"))["b"] == ["crop"]


def test_the_difference_of_two_versions_is_told_row_by_row(published):
    relabel(published, "draft", "b", "forest")
    publish(published, "fields", message="fixed")

    found = published.diff("fields@v1", "fields@v2")

    assert found.tables["samples"].keys()["id"].to_pylist() == ["b"]
    assert "updated b  label: ['crop'] → ['forest']" in found.to_text()
    assert published.diff("fields@v1", "fields@v1").to_text().endswith("are the same")


def test_merging_what_is_merged_does_nothing(published):
    published.branch("fields", "same")

    assert not merge(published, "fields", "same").moved


def test_a_merge_into_main_passes_the_same_gate(published):
    published.branch("fields", "bad")
    relabel(published, "bad", "b", "Wood")
    before = published.resolve("fields@main").commit

    with pytest.raises(NotPassedError):
        merge(published, "fields", "bad")
    assert published.resolve("fields@main").commit == before


def test_two_people_who_changed_different_rows_both_get_in(published):
    for branch, sample in (("one", "a"), ("two", "b")):
        published.branch("fields", branch)
        relabel(published, branch, sample, "forest")

    merge(published, "fields", "one")
    merged = merge(published, "fields", "two")

    assert merged.tables["samples"].updated == 1
    assert labels(published.resolve("fields@main")) == {
        "a": ["forest"],
        "b": ["forest"],
        "c": ["crop"],
    }


def test_two_people_who_added_different_samples_both_get_in(published):
    for branch, names, first in (("one", "de", 10), ("two", "fg", 20)):
        published.branch("fields", branch)
        add(published.draft("fields", branch), names, first)

    merge(published, "fields", "one")
    merge(published, "fields", "two")

    main = published.resolve("fields@main")
    assert sorted(labels(main)) == list("abcdefg")
    assert main.count("pixels") == 7
    assert main.chip("g", "s2").max() == 23 + 2100
    assert check(main).findings.num_rows == 0


def test_two_people_who_changed_the_same_row_get_a_table_of_conflicts(published):
    for branch, label in (("one", "forest"), ("two", "lake")):
        published.branch("fields", branch)
        relabel(published, branch, "b", label)
    merge(published, "fields", "one")

    with pytest.raises(MergeConflictError) as raised:
        merge(published, "fields", "two")

    [conflict] = raised.value.conflicts.to_pylist()
    assert (conflict["table"], conflict["key"], conflict["columns"]) == ("samples", "b", ["label"])
    assert labels(published.resolve("fields@main"))["b"] == ["forest"]
    merge(published, "fields", "two", prefer="ours")
    assert labels(published.resolve("fields@main"))["b"] == ["forest"]


def test_a_draft_is_merged_with_what_others_published_meanwhile(published, monkeypatch):
    mine = published.draft("fields")
    monkeypatch.setenv("EOLAB_USER", "bob")
    relabel(published, "draft", "a", "forest")
    monkeypatch.setenv("EOLAB_USER", "anna")
    relabel(published, "draft", "c", "forest")
    publish(published, "fields", message="anna's")
    monkeypatch.setenv("EOLAB_USER", "bob")

    version = publish(published, "fields", message="bob's")

    assert version.tag == "v3"
    assert labels(version) == {"a": ["forest"], "b": ["crop"], "c": ["forest"]}
    assert mine.branch == "draft/anna"


def test_a_corrected_source_keeps_what_people_fixed(published):
    published.branch("fields", "source/fields", at="v1")
    relabel(published, "draft", "b", "forest")
    source = published.draft("fields", "source/fields")
    with source.edit("source corrected") as root:
        edit.update(root, "samples", set={"target": "1.5"}, where="true")

    published.merge("fields", "source/fields")

    found = published.resolve("fields@draft").table("samples", columns=["id", "label", "target"])
    assert [(r["id"], r["label"], r["target"]) for r in found.to_pylist()] == [
        ("a", ["crop"], 1.5),
        ("b", ["forest"], 1.5),
        ("c", ["crop"], 1.5),
    ]


def test_merging_never_goes_around_the_gate(published):
    published.branch("fields", "any")
    with pytest.raises(ForbiddenError):
        published.merge("fields", "any", into="main")


def test_a_stale_staging_branch_is_swept(published):
    repository = published.lake.repository("fields")
    repository.create_branch("staging/1-abc", at="main")
    relabel(published, "draft", "b", "forest")

    publish(published, "fields", message="fixed")

    assert repository.branches("staging/") == {}


def land_and_die(registry, message):
    """Do what a publisher does up to the moment where ``main`` has moved."""
    draft = registry.draft("fields")
    main = draft.repository.resolve("main")
    judged = {"verdict": "passed", "release": message}
    with draft.repository.workspace(draft.branch) as workspace:
        (workspace.path / "note.md").write_text("as if it had been killed")
        workspace.commit(message, metadata=judged)
    draft.repository.advance("main", to=draft.head, expected=main)


def test_versions_are_numbered_as_they_landed_though_a_publisher_died_meanwhile(
    published, monkeypatch
):
    relabel(published, "draft", "b", "forest")
    choose = publishing._candidate

    def while_somebody_lands_and_dies(*arguments):
        monkeypatch.setenv("EOLAB_USER", "bob")
        land_and_die(published, "second")
        monkeypatch.setenv("EOLAB_USER", "anna")
        return choose(*arguments)

    monkeypatch.setattr(publishing, "_candidate", while_somebody_lands_and_dies)
    third = publish(published, "fields", message="third")

    assert third.tag == "v3"
    assert published.resolve("fields@v2").commit.message == "second"
    assert labels(published.resolve("fields"))["b"] == ["forest"]


def test_a_version_whose_publisher_died_before_the_tag_is_tagged_by_the_next(published):
    relabel(published, "draft", "b", "forest")
    land_and_die(published, "second")

    with pytest.raises(NothingToPublishError, match="since v2"):
        publish(published, "fields", message="third")
    assert published.resolve("fields@v2").commit.message == "second"


def test_a_run_publishes_its_own_branch(published):
    published.branch("fields", "run/1234")
    relabel(published, "run/1234", "a", "forest")

    version = publish(published, "fields", message="by a run", branch="run/1234")

    assert labels(version)["a"] == ["forest"]
    assert version.tag == "v2"
