"""What each real set is taken for, and which of its known defects its reader finds."""

from collections import Counter

import pytest
import shapely

from registry.curate.formats import SourceOptions, detect, open_listing

pytestmark = pytest.mark.real


@pytest.fixture
def planned(shared_data):
    def plan(path, *, named, **options):
        listing = open_listing(shared_data / path)
        found = detect(listing, SourceOptions(**options))
        assert found.format.name == named
        return found.format.plan(listing, SourceOptions(**options))

    return plan


def checks(plan):
    return dict(Counter(one.check for one in plan.findings))


def assets(plan):
    return dict(Counter(plan.assets["asset"].to_pylist()))


def test_eurosat_is_read_from_its_zip(planned):
    plan = planned("eurosat-rgb/EuroSAT.zip", named="image-folder")
    assert plan.samples.num_rows == 4050
    assert len(plan.classes) == 10
    row = plan.samples.to_pylist()[plan.samples["id"].to_pylist().index("Forest_1004")]
    assert (row["href"], row["label"]) == ("2750/Forest/Forest_1004.jpg", ["Forest"])
    assert row["datetime"] is row["start_datetime"] is None
    assert plan.findings == ()


@pytest.mark.parametrize(
    ("path", "classes", "count"),
    [("ucmerced-sample", ("airplane", "forest"), 4), ("eurosat-ms", ("AnnualCrop", "Forest"), 6)],
)
def test_folders_of_classes_are_recognised(planned, path, classes, count):
    plan = planned(path, named="image-folder")
    assert (plan.classes, plan.samples.num_rows) == (classes, count)


def test_ships_have_a_day_a_footprint_and_a_polygon_each(planned):
    plan = planned("eotdl-s2-ships", named="geotiff-sidecar")
    assert plan.samples.num_rows == plan.annotations.num_rows == 44
    assert plan.classes == ("Boat",)
    assert plan.task == "segmentation"
    (day,) = set(plan.samples["start_datetime"].to_pylist())
    assert day.date().isoformat() == "2022-08-25"
    assert plan.samples["datetime"].null_count == 44
    assert plan.samples["geometry"].null_count == 0
    assert not any(plan.annotations["isbox"].to_pylist())
    assert checks(plan) == {"ignored-files": 1}  # the table of AIS positions


def test_ships_as_detection_are_boxes(planned):
    plan = planned("eotdl-s2-ships", named="geotiff-sidecar", task="detection")
    assert all(plan.annotations["isbox"].to_pylist())
    shapes = shapely.from_wkb(plan.annotations["geometry"].to_numpy(zero_copy_only=False))
    assert shapely.equals(shapes, shapely.envelope(shapes)).all()


def test_boadella_has_its_dates_from_names_and_lacks_labels_on_some(planned):
    plan = planned("eotdl-s2-boadella-water", named="geotiff-sidecar")
    times = dict(zip(plan.samples["id"].to_pylist(), plan.samples["start_datetime"].to_pylist(),
                     strict=True))  # fmt: skip
    assert times["Boadella_2021-07-16"].date().isoformat() == "2021-07-16"
    assert plan.annotations.num_rows == 53
    assert checks(plan) == {"missing-pair": 3, "time-from-name": 1, "ignored-files": 1}


def test_burn_scars_are_pairs_with_further_images(planned):
    plan = planned("s2-burnscar-california", named="image-mask", name_pattern="{group}_%Y%m%d")
    assert assets(plan) == {
        "mask": 34, "post_fire": 27, "dnbr": 21, "pre_fire": 9, "post_fire_tci": 7,
    }  # fmt: skip
    assert "5-6_CASCADE_CREEK" in plan.samples["group"].to_pylist()
    assert plan.samples["start_datetime"].null_count == 0
    assert checks(plan) == {"time-from-name": 1}


def test_kampala_s_chips_without_labels_are_found(planned, shared_data):
    plan = planned("fair-buildings-kampala", named="image-mask", classes=("building",))
    folder = shared_data / "fair-buildings-kampala"
    chips = {path.stem for path in (folder / "chips").iterdir()}
    labelled = {path.stem for path in (folder / "labels").iterdir()}
    lacking = {one.sample for one in plan.findings if one.check == "missing-pair"}
    assert lacking == chips - labelled
    assert assets(plan) == {"image": len(chips), "mask": len(chips)}
    assert set(plan.annotations["category"].to_pylist()) == {"building"}


@pytest.mark.parametrize("path", ["flair2-aerial", "spacenet7-planet"])
def test_folders_with_an_image_and_a_mask_have_times_from_their_table(planned, path):
    plan = planned(path, named="image-mask")
    assert plan.samples.num_rows == 5
    assert plan.samples["start_datetime"].null_count == 0
    assert plan.findings == ()


def test_coco_tells_that_its_licences_section_is_absent(planned):
    plan = planned("oam-tcd-trees-coco", named="coco")
    assert (plan.samples.num_rows, plan.annotations.num_rows) == (2, 6)
    assert plan.classes == ("tree",)
    assert checks(plan) == {"missing-licence": 1}


def test_coco_of_another_tool_is_understood_and_its_oddities_reported(planned):
    plan = planned("spacenet-solaris-sample", named="coco")
    assert plan.annotations.num_rows == 43
    assert checks(plan) == {"bad-annotation": 1, "unlisted-image": 1, "ignored-files": 1}


@pytest.mark.parametrize(
    ("path", "items", "each"),
    [
        ("stac-naip/naip-al-1000.ndjson", 1_000, 1),
        ("stac-naip/naip-10000.parquet", 10_000, 1),
        ("stac-sentinel2-1000/items.ndjson.gz", 1_000, 16),
        ("stac-sentinel2-1000/1000-sentinel-2-items.parquet", 1_000, 16),
    ],
)
def test_stac_items_stay_where_they_are(planned, path, items, each):
    plan = planned(path, named="stac-items")
    assert plan.samples.num_rows == items
    assert plan.assets.num_rows == items * each
    assert set(plan.assets["kind"].to_pylist()) == {"reference"}
    for column in ("geometry", "datetime", "item", "collection"):
        assert plan.samples[column].null_count == 0
    assert plan.assets["href"].null_count == 0
    assert plan.findings == ()


def test_items_that_come_twice_are_kept_once(planned):
    plan = planned("stac-sentinel2-1000", named="stac-items")
    assert plan.samples.num_rows == 1_000
    assert checks(plan) == {"duplicate-id": 1}
