"""What a run does to the lake, and what it leaves alone."""

import dagster as dg
import pytest

from assets.definitions import defs
from assets.sensors import new_commits
from registry.curate.ingest import SourceOptions, ingest
from registry.curate.ingest.simulator import write_folder
from registry.curate.publishing import publish

GRAPH = {
    "source": set(),
    "samples": {"source"},
    "report": {"samples"},
    "version": {"report"},
    "items": {"version"},
    "page": {"version"},
    "features": {"version"},
    "bias_report": {"version"},
    "split": {"version"},
    "trained_model": {"split", "version"},
    "evaluation": {"trained_model"},
    "floor": {"split", "version"},
    "predictions": {"trained_model"},
}


def test_the_asset_graph_is_the_one_on_record():
    specs = list(defs().resolve_all_asset_specs())
    found = {
        spec.key.to_user_string(): {d.asset_key.to_user_string() for d in spec.deps}
        for spec in specs
    }

    assert found == GRAPH
    assert all(spec.owners and spec.description and spec.kinds for spec in specs)
    assert {spec.group_name for spec in specs} == {
        "samples", "quality", "versions", "splits", "features", "bias", "models", "predictions"
    }  # fmt: skip


def materialisation(result, asset):
    [event] = result.asset_materializations_for_node(asset)
    return event


def test_a_run_publishes_a_version_whose_content_id_is_the_data_version(materialise, lake):
    result = materialise("parcels")
    version = lake.open().resolve("parcels@v1")
    made = materialisation(result, "version")

    assert result.success
    assert made.tags["dagster/data_version"] == version.content_id
    assert made.metadata["commit"].value == version.commit.id
    assert version.count("samples") == 6


def test_metadata_show_counts_a_picture_a_map_columns_and_further_sql(materialise):
    shown = materialisation(materialise("parcels"), "samples").metadata

    assert shown["samples"].value == 6
    assert shown["chips"].value.startswith("![chips](data:image/png;base64,")
    assert shown["map"].value.startswith("![map](data:image/png;base64,")
    assert "select * from" in shown["look further"].value
    columns = {c.name: c for c in shown["dagster/column_schema"].value.columns}
    assert columns["geometry"].description


def test_a_page_is_rendered_that_needs_nothing_else(materialise):
    from pathlib import Path

    result = materialise("parcels")
    page = Path(result.output_for_node("page")).read_text("utf-8")

    assert "parcels@v1" in page
    assert 'src="http' not in page


@pytest.fixture
def unlicensed(tmp_path):
    folder = write_folder("segmentation", tmp_path / "unlicensed", samples=6, seed=1).path
    (folder / "README.md").unlink()  # the card, which states a licence
    return {"source": {"path": str(folder)}, "samples": {"provider": "Example lab"}}


def test_a_run_that_fails_leaves_main_where_it_was(materialise, lake, unlicensed):
    result = materialise("parcels", **unlicensed)
    repository = lake.open().lake.repository("parcels")

    assert not result.success
    assert repository.tags() == {}
    assert [c.message for c in repository.log("main")] == ["create parcels", "Begin"]
    assert [name for name in repository.branches() if name.startswith("run/")]
    [check] = result.get_asset_check_evaluations()
    assert not check.passed


def test_what_is_allowed_with_a_reason_passes_and_is_recorded(materialise, lake, unlicensed):
    said = {"allow": {"licence": "asked the owner"}}
    result = materialise("parcels", **unlicensed, report=said, version=said)

    assert result.success
    message = str(lake.open().resolve("parcels@v1").commit.metadata)
    assert "asked the owner" in message


def test_the_same_source_again_makes_no_new_version(materialise, lake):
    first = materialise("parcels")
    again = materialise("parcels")

    assert first.success
    assert again.success
    assert set(lake.open().lake.repository("parcels").tags()) == {"v1"}
    tag = "dagster/data_version"
    assert (
        materialisation(first, "samples").tags[tag] == materialisation(again, "samples").tags[tag]
    )


@pytest.mark.parametrize("asset", ["items", "page", "report"])
def test_an_asset_can_be_materialised_by_hand_afterwards(materialise, asset):
    materialise("parcels")

    assert materialise("parcels", selection=[asset]).success


def published_by_hand(lake, folder, *, samples):
    registry = lake.open()
    source = write_folder("segmentation", folder, samples=samples, seed=1).path
    said = SourceOptions.of(licence="CC0-1.0", provider="Example lab")
    ingest(registry, source, into="parcels", options=said, name="by-hand")
    return publish(registry, "parcels", message="by hand")


def test_items_and_page_are_made_of_a_dataset_that_dagster_did_not_make(
    materialise, lake, tmp_path
):
    published_by_hand(lake, tmp_path / "one", samples=4)

    made = materialise("parcels", selection=["items", "page"])

    assert made.output_for_node("items") == "parcels@v1"


def test_items_and_page_are_those_of_the_newest_version_whoever_published_it(
    materialise, lake, tmp_path
):
    materialise("parcels")
    published_by_hand(lake, tmp_path / "more", samples=8)

    made = materialise("parcels", selection=["items", "page"])

    assert made.output_for_node("items") == "parcels@v2"
    assert made.output_for_node("page").endswith("parcels@v2.html")


def test_the_sensor_asks_nothing_of_a_dataset_that_was_withdrawn(materialise, lake, instance):
    materialise("parcels")
    lake.open().withdraw("parcels@v1", "wrong labels")
    context = dg.build_sensor_context(instance=instance, resources={"lake": lake})

    assert new_commits(context).run_requests == []


def test_the_sensor_sees_commits_that_others_made(materialise, lake, instance):
    materialise("parcels")
    context = dg.build_sensor_context(instance=instance, resources={"lake": lake})
    first = new_commits(context)

    assert [r.partition_key for r in first.run_requests] == ["parcels"]
    again = dg.build_sensor_context(
        instance=instance, cursor=first.cursor, resources={"lake": lake}
    )
    assert new_commits(again).run_requests == []
