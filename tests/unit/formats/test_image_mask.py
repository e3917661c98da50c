import pytest

from registry.curate.formats import SourceOptions, detect
from registry.curate.formats.image_mask import ImageMask
from registry.errors import RejectedError


def files(plan):
    found = {}
    for row in plan.assets.to_pylist():
        found.setdefault(row["sample"], {})[row["asset"]] = row["file"]
    return found


def planned(source, **options):
    found = detect(source, SourceOptions(**options))
    assert found.format.name == "image-mask"
    return found.format.plan(source, SourceOptions(**options))


def test_folders_pair_by_name_and_further_folders_are_further_assets(listed):
    plan = planned(listed({
        "post_fire/A_20240601.tif": b"", "masks/A_20240601.tif": b"",
        "pre_fire/A_20240601.tif": b"",
        "post_fire/B_20240602.tif": b"", "masks/B_20240602.tif": b"",
    }))  # fmt: skip
    assert files(plan) == {
        "A_20240601": {
            "post_fire": "post_fire/A_20240601.tif",
            "pre_fire": "pre_fire/A_20240601.tif",
            "mask": "masks/A_20240601.tif",
        },
        "B_20240602": {"post_fire": "post_fire/B_20240602.tif", "mask": "masks/B_20240602.tif"},
    }
    assert plan.assets["asset"].to_pylist()[0] == "post_fire"
    assert plan.task == "segmentation"


def test_the_mask_is_what_is_learnt_from_and_the_images_are_not(listed):
    plan = planned(listed({"post_fire/A.tif": b"", "pre_fire/A.tif": b"", "masks/A.tif": b""}))
    assert {name: one.role for name, one in plan.specs.items()} == {"mask": "labels"}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("HLS.S30.T10TGS.2018285.v1.4_merged.tif", "HLS.S30.T10TGS.2018285.v1.4.mask.tif"),
        ("Ghana_103272_S2Hand.tif", "Ghana_103272_LabelHand.tif"),
        ("a_image.png", "a_mask.png"),
        ("tile_1.tif", "tile_1_label.tif"),
        ("IMG_0473/aerial.tif", "IMG_0473/mask.tif"),
        ("train/images/x.tif", "train/masks/x.tif"),
        ("chips/OAM-1-2-21.tif", "binarymasks/OAM-1-2-21.mask.tif"),
    ],
)
def test_known_ways_to_name_pairs_are_understood(listed, image, mask):
    plan = planned(listed({image: b"", mask: b"", "README.md": "about"}))
    (assets,) = files(plan).values()
    assert assets.pop("mask") == mask
    assert list(assets.values()) == [image]
    assert plan.findings == () or plan.findings[0].check == "time-from-name"


def test_the_longest_name_pairs_first(listed):
    plan = planned(listed({
        "a_S2.tif": b"", "a_mask.tif": b"", "a_b_S2.tif": b"", "a_b_mask.tif": b"",
    }))  # fmt: skip
    assert files(plan) == {
        "a": {"S2": "a_S2.tif", "mask": "a_mask.tif"},
        "a_b": {"S2": "a_b_S2.tif", "mask": "a_b_mask.tif"},
    }


def test_half_a_pair_is_kept_and_reported(listed):
    plan = planned(listed({
        "images/1.tif": b"", "images/2.tif": b"", "masks/2.tif": b"", "masks/3.tif": b"",
    }))  # fmt: skip
    assert files(plan)["1"] == {"image": "images/1.tif"}
    assert files(plan)["3"] == {"mask": "masks/3.tif"}
    found = [(one.check, one.sample, one.asset, one.severity.value) for one in plan.findings]
    assert sorted(found) == [
        ("missing-pair", "1", "mask", "warning"), ("missing-pair", "3", "image", "warning"),
    ]  # fmt: skip


def test_footprints_in_geojson_become_annotations_and_their_absence_is_reported(listed):
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
    house = {"type": "Feature", "properties": {"osm_id": 7}, "geometry": square}
    source = listed({
        **{f"{place}.tif": b"" for place in ("chips/a", "chips/b")},
        **{f"binarymasks/{name}.mask.tif": b"" for name in "ab"},
        "labels/a.geojson": {"type": "FeatureCollection", "features": [house]},
    })
    plan = planned(source, classes=("building",))
    (row,) = plan.annotations.to_pylist()
    assert (row["sample"], row["category"], row["crs"]) == ("a", "building", "OGC:CRS84")
    assert row["attributes"] == '{"osm_id":7}'
    assert [(one.sample, one.asset) for one in plan.findings] == [("b", "labels")]


def test_a_mask_of_clouds_is_no_label(listed):
    source = listed({"HLS.T1.Fmask.tif": b"", "HLS.T1.B04.tif": b""})
    assert ImageMask().recognises(source) == 0
    with pytest.raises(RejectedError, match="no image"):
        ImageMask().plan(source, SourceOptions())


def test_a_table_beside_the_samples_gives_times_and_properties(listed):
    plan = planned(listed({
        "p1/image.tif": b"", "p1/mask.tif": b"", "p2/image.tif": b"", "p2/mask.tif": b"",
        "metadata.json": [
            {"id": "p1", "time_start": "2018-09-16T10:20:30Z", "camera": "UCE", "altitude": 1},
            {"id": "p2", "time_start": "2019", "camera": "UCE", "altitude": 1.5},
        ],
    }))  # fmt: skip
    one, two = plan.samples.to_pylist()
    assert one["datetime"].isoformat() == "2018-09-16T10:20:30+00:00"
    assert one["properties"] == {"camera": "UCE", "altitude": 1.0}
    assert (two["datetime"], two["end_datetime"].month) == (None, 12)
