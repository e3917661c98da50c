import zipfile
from datetime import UTC, datetime

import numpy as np
import pytest
import rasterio
import shapely

from registry.catalog import Registry
from registry.curate.ingest import IngestFailedError
from registry.curate.ingest.engine import source_branch
from registry.errors import ConflictError, InvalidInputError, NotFoundError, RejectedError
from registry.tables import edit


def column(version, table, name):
    return version.table(table, columns=[name])[name].to_pylist()


def test_a_folder_by_class_becomes_samples_assets_and_pixels(registry, forest, bring):
    result = bring("forest")
    draft = registry.resolve("things@draft")
    assert (result.added, result.changed, result.unchanged, result.removed) == (12, 0, 0, 0)
    assert set(column(draft, "samples", "id")) == set(forest)
    assert draft.count("assets") == draft.count("pixels") == 12
    labels = dict(
        zip(column(draft, "samples", "id"), column(draft, "samples", "label"), strict=True)
    )
    assert labels["Forest_1"] == ["Forest"]
    assert draft.spec.classes == ("Forest", "Water")
    for sample, array in forest.items():
        np.testing.assert_array_equal(draft.chip(sample, "image"), array)


def test_samples_lie_in_the_order_of_their_hilbert_keys(registry, forest, bring):
    bring("forest")
    keys = column(registry.resolve("things@draft"), "samples", "hilbert")
    assert keys == sorted(keys)
    assert min(keys) >= 0


def test_the_footprint_is_read_from_the_raster(registry, forest, bring):
    bring("forest")
    sample = registry.resolve("things@draft").table("samples").slice(0, 1).to_pylist()[0]
    west, south, east, north = shapely.from_wkb(sample["geometry"]).bounds
    assert sample["georeferenced"]
    assert sample["bbox"] == {"xmin": west, "ymin": south, "xmax": east, "ymax": north}
    assert 14 < west < 17
    assert 44 < south < 46


def test_what_the_user_states_is_taken_and_marked_as_stated(registry, forest, bring):
    bring("forest", time="2015/2017", licence="MIT", provider="DFKI", bands="B2,B3,B4")
    draft = registry.resolve("things@draft")
    sample = draft.table("samples").slice(0, 1).to_pylist()[0]
    assert sample["datetime"] is None
    assert sample["start_datetime"] == datetime(2015, 1, 1, tzinfo=UTC)
    assert sample["end_datetime"] == datetime(2017, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert sample["declared"] == ["end_datetime", "licence", "provider", "start_datetime"]
    assert sample["source"]["licence"] == "MIT"
    assert draft.spec.licence == "MIT"
    assert draft.spec.assets["image"].bands == ("B2", "B3", "B4")
    assert set(draft.spec.declared) == {"bands", "licence", "provider", "time"}


@pytest.mark.parametrize(
    ("time", "stated"),
    [
        ("2015-06-01/..", ["start_datetime"]),
        ("../2015", ["end_datetime"]),
        ("2015-06-01T10:30:00.000000Z", ["datetime", "end_datetime", "start_datetime"]),
    ],
)
def test_of_times_those_that_were_stated_are_marked_and_no_others(
    registry, forest, bring, time, stated
):
    bring("forest", time=time)
    sample = registry.resolve("things@draft").table("samples").slice(0, 1).to_pylist()[0]
    assert sample["declared"] == stated
    assert all(sample[name] is not None for name in stated)


def test_what_nobody_says_stays_null(registry, tmp_path, chip, bring):
    for number, label in enumerate("abcd"):
        chip(tmp_path / "bare" / "xy"[number % 2] / f"{label}.tif", number, crs=None)
    bring("bare")
    samples = registry.resolve("things@draft").table("samples")
    for name in ("geometry", "bbox", "datetime", "start_datetime", "end_datetime"):
        assert samples[name].null_count == 4, name
    assert samples["georeferenced"].to_pylist() == [False] * 4
    assert samples["hilbert"].to_pylist() == [-1] * 4
    assert samples["declared"].to_pylist() == [[]] * 4


def test_a_stated_crs_places_rasters_that_carry_none(registry, tmp_path, chip, bring):
    for number in range(4):
        chip(tmp_path / "bare" / "xy"[number % 2] / f"{number}.tif", number, crs=None)
    bring("bare", crs="EPSG:32633")
    draft = registry.resolve("things@draft")
    assert set(column(draft, "assets", "crs")) == {"EPSG:32633"}
    assert draft.table("samples")["geometry"].null_count == 0
    assert column(draft, "samples", "declared") == [["crs"]] * 4


def test_a_stated_crs_does_not_move_rasters_that_carry_one(registry, forest, bring):
    bring("forest", crs="EPSG:3857")
    draft = registry.resolve("things@draft")
    assert set(column(draft, "assets", "crs")) == {"EPSG:32633"}
    assert column(draft, "samples", "declared") == [[]] * 12


def test_annotations_are_brought_to_the_crs_of_their_chip(registry, ships, bring):
    bring("ships")
    draft = registry.resolve("things@draft")
    rows = draft.table("annotations").to_pylist()
    assert [row["frame"] for row in rows] == ["crs"] * 3
    by_sample = {row["sample"]: shapely.from_wkb(row["geometry"]) for row in rows}
    assert by_sample["ship_0"].bounds[0] == pytest.approx(5e5, abs=1)
    assert by_sample["ship_0"].bounds[3] == pytest.approx(4_999_700, abs=400)
    assert {row["category"] for row in rows} == {"Boat"}


def test_times_are_read_from_sidecars(registry, ships, bring):
    bring("ships")
    starts = column(registry.resolve("things@draft"), "samples", "start_datetime")
    assert {start.day for start in starts} == {20, 21, 22}


def test_equal_arrays_are_stored_once(registry, tmp_path, chip, bring):
    for number in range(6):
        chip(tmp_path / "same" / "xy"[number % 2] / f"{number}.tif", number=0)
    bring("same")
    draft = registry.resolve("things@draft")
    assert (draft.count("samples"), draft.count("pixels")) == (6, 1)


def test_the_same_source_again_adds_nothing_and_makes_no_commit(registry, forest, bring):
    first = bring("forest")
    again = bring("forest")
    assert (again.added, again.changed, again.unchanged, again.removed) == (0, 0, 12, 0)
    assert again.commit == first.commit


def test_the_same_source_elsewhere_adds_nothing(registry, forest, bring, tmp_path):
    first = bring("forest")
    with zipfile.ZipFile(tmp_path / "forest.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted((tmp_path / "forest").rglob("*.tif")):
            archive.write(file, file.relative_to(tmp_path / "forest"))
    again = bring("forest.zip")
    assert (again.added, again.unchanged) == (0, 12)
    assert again.commit == first.commit


def test_a_corrected_source_keeps_what_people_fixed(registry, forest, bring, chip, tmp_path):
    bring("forest")
    with registry.draft("things").edit("fix a label") as root:
        edit.update(root, "samples", set={"label": "['Water']"}, where="id = 'Forest_3'")
    chip(tmp_path / "forest" / "Forest" / "Forest_1.tif", 77)
    chip(tmp_path / "forest" / "Forest" / "Forest_9.tif", 9)
    (tmp_path / "forest" / "Water" / "Water_5.tif").unlink()
    result = bring("forest")
    draft = registry.resolve("things@draft")
    assert (result.added, result.changed, result.unchanged, result.removed) == (1, 1, 10, 1)
    labels = dict(
        zip(column(draft, "samples", "id"), column(draft, "samples", "label"), strict=True)
    )
    assert labels["Forest_3"] == ["Water"]
    assert "Water_5" not in labels
    assert labels["Forest_9"] == ["Forest"]
    assert draft.chip("Forest_1", "image")[0, 0, 0] == 77_000 % 65_536


def test_two_sources_share_a_dataset(registry, forest, bring, chip, tmp_path):
    bring("forest")
    for number in range(4):
        chip(tmp_path / "desert" / ("Sand", "Rock")[number % 2] / f"new_{number}.tif", number + 500)
    bring("desert")
    draft = registry.resolve("things@draft")
    assert draft.count("samples") == 16
    assert set(draft.spec.classes) == {"Forest", "Water", "Sand", "Rock"}
    assert {"source/forest", "source/desert"} <= set(registry.branches("things"))


def test_another_source_of_the_same_name_does_not_replace_the_first(
    registry, forest, bring, chip, tmp_path
):
    bring("forest")
    for number in range(4):
        chip(tmp_path / "other" / "forest" / "xy"[number % 2] / f"new_{number}.tif", number + 500)
    with pytest.raises(ConflictError, match="none of which is in what is ingested now"):
        bring("other/forest")
    assert registry.resolve("things@draft").count("samples") == 12
    bring("other/forest", name="forest-2")
    assert registry.resolve("things@draft").count("samples") == 16


@pytest.fixture
def broken(forest, tmp_path):
    (tmp_path / "forest" / "Forest" / "Forest_2.tif").write_bytes(b"II*\0 nonsense")
    (tmp_path / "forest" / "Water" / "Water_0.tif").write_bytes(
        b"version https://git-lfs.github.com/spec/v1\n"
    )


@pytest.mark.usefixtures("broken")
def test_unreadable_files_stop_an_ingest_which_leaves_nothing(registry, bring):
    with pytest.raises(IngestFailedError, match="2 problems") as caught:
        bring("forest")
    failures = {row["sample"]: row["check"] for row in caught.value.failures.to_pylist()}
    assert failures == {"Forest_2": "unreadable", "Water_0": "lfs-pointer"}
    assert registry.names() == []


@pytest.mark.usefixtures("broken")
def test_unreadable_files_can_be_skipped_and_are_reported(registry, bring):
    result = bring("forest", on_error="skip")
    draft = registry.resolve("things@draft")
    assert draft.count("samples") == 10
    assert set(result.skipped["sample"].to_pylist()) == {"Forest_2", "Water_0"}
    report = draft.table("reports/ingest").to_pylist()
    assert {row["check"] for row in report if row["severity"] == "error"} == {
        "unreadable",
        "lfs-pointer",
    }


@pytest.mark.usefixtures("broken")
def test_a_mended_file_joins_what_was_skipped(registry, bring, chip, tmp_path):
    bring("forest", on_error="skip")
    for name in ("Forest/Forest_2.tif", "Water/Water_0.tif"):
        (tmp_path / "forest" / name).unlink()
    chip(tmp_path / "forest" / "Forest" / "Forest_2.tif", 2)
    chip(tmp_path / "forest" / "Water" / "Water_0.tif", 100)
    result = bring("forest")
    assert (result.added, result.unchanged) == (2, 10)
    assert registry.resolve("things@draft").count("samples") == 12


def test_a_source_of_which_nothing_can_be_read_is_refused_even_if_skipping(
    registry, tmp_path, bring
):
    for name in ("x/a.tif", "y/b.tif"):
        (tmp_path / "bad" / name).parent.mkdir(parents=True)
        (tmp_path / "bad" / name).write_bytes(b"nonsense")
    with pytest.raises(RejectedError, match="nothing of the source can be taken"):
        bring("bad", on_error="skip", format="image-folder")
    assert registry.names() == []


def test_mixed_band_counts_are_found(registry, forest, bring, chip, tmp_path):
    chip(tmp_path / "forest" / "Forest" / "Forest_3.tif", 3, bands=2)
    result = bring("forest")
    findings = [row for row in result.warnings.to_pylist() if row["check"] == "mixed-bands"]
    assert [row["sample"] for row in findings] == ["Forest_3"]
    assert "has 2 bands where most have 3" in findings[0]["message"]


def test_scales_that_no_card_can_hold_are_found(registry, forest, bring, tmp_path):
    with rasterio.open(tmp_path / "forest" / "Forest" / "Forest_3.tif", "r+") as file:
        file.scales = (0.5,) * file.count
    result = bring("forest")
    (found,) = [row for row in result.warnings.to_pylist() if row["check"] == "mixed-scales"]
    assert (found["asset"], "several scales to physical values: 0.5, 1" in found["message"]) == (
        "image", True,
    )  # fmt: skip
    assert registry.resolve("things@draft").spec.assets["image"].scale is None


def test_a_branch_of_ones_own_is_made_on_the_way(registry, forest, bring):
    result = bring("forest", branch="run/abc")
    assert result.branch == "run/abc"
    assert registry.resolve("things@run/abc").count("samples") == 12
    assert "main" in registry.branches("things")


def test_nothing_at_the_path_is_not_found(bring):
    with pytest.raises(NotFoundError):
        bring("absent")


def test_an_unknown_way_with_errors_is_refused(bring, forest):
    with pytest.raises(InvalidInputError, match="on_error is 'ignore'"):
        bring("forest", on_error="ignore")


def test_a_dataset_name_that_no_lake_holds_is_refused_before_anything_is_read(
    registry, forest, bring
):
    with pytest.raises(InvalidInputError):
        bring("forest", into="Not A Name")
    assert registry.names() == []


def test_the_result_reads_well(forest, bring):
    assert bring("forest").to_text() == "things@draft/anna: 12 added samples (image-folder)"


def test_source_branches_are_names_that_git_can_hold():
    assert source_branch("EuroSAT") == "source/EuroSAT"
    assert source_branch("../..") == "source/source"
    assert source_branch("ünï cöde.v2") == "source/n-c-de-v2"


def test_a_draft_that_moves_meanwhile_is_merged_into_where_it_stands(
    registry, forest, bring, monkeypatch
):
    merge, calls = Registry.merge, []

    def moved_at_first(self, *said, **options):
        calls.append(said)
        if len(calls) == 1:
            raise ConflictError("the draft moved during the merge", hint="merge again")
        return merge(self, *said, **options)

    monkeypatch.setattr(Registry, "merge", moved_at_first)

    assert bring("forest").added == 12
    assert registry.resolve("things@draft").count("samples") == 12
