"""Each defect is found by its own check, on the sample that has it, with evidence."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
import shapely

from registry.curate.quality import check
from registry.curate.quality.checks import CHECKS


def found(report, check):
    rows = [row for row in report.findings.to_pylist() if row["check"] == check]
    assert all(row["message"] and row["fix"] for row in rows)
    return [(row["severity"], row["sample"], row["asset"]) for row in rows]


def evidence(report, check):
    return [
        json.loads(row["evidence"])
        for row in report.findings.to_pylist()
        if row["check"] == check and row["evidence"]
    ]


def test_a_sound_dataset_has_no_findings_and_reaches_q1(fields):
    report = fields.check()

    assert report.findings.to_pylist() == []
    assert (report.verdict, report.level, report.samples) == ("passed", "Q1", 3)


def test_damaged_pixels_are_unreadable(fields):
    digest = fields.asset("b", "s2")["pixels"]
    codec, data = fields.pixels[digest]
    fields.pixels[digest] = (codec, data[:20])

    report = fields.check()

    assert found(report, "unreadable") == [("error", "b", "s2")]
    assert report.level is None
    assert not report.passed


def test_a_pointer_without_its_pixels_is_unreadable(fields):
    del fields.pixels[fields.asset("c", "mask")["pixels"]]
    fields.assets = [a for a in fields.assets if a["asset"] == "s2" or a["sample"] == "c"]

    assert ("error", "c", "mask") in found(fields.check(), "unreadable")


def test_pixels_of_another_array_are_found_by_their_checksum(fields):
    first, second = (fields.asset(name, "s2")["pixels"] for name in "ab")
    fields.pixels[first] = fields.pixels[second]

    report = fields.check()

    assert found(report, "checksum") == [("error", "a", "s2")]
    assert report.level is None


def test_an_index_that_points_at_other_arrays_is_found(fields):
    version = fields.commit()
    with fields.registry.draft("fields").edit("lie about places") as root:
        [path] = (root / "pixels" / "_index").glob("*.npy")
        entries = np.load(path)
        entries["offset"][[0, 1]] = entries["offset"][[1, 0]]
        path.unlink()
        np.save(path, entries)
    spoilt = fields.registry.resolve("fields@draft")

    assert found(check(version), "checksum") == []
    assert found(check(spoilt), "checksum") == [("error", None, None)]


def test_a_git_lfs_pointer_in_place_of_pixels_is_named_as_such(fields):
    digest = fields.asset("a", "s2")["pixels"]
    text = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"
    fields.pixels[digest] = ("blosc-lz4-bitshuffle", text)

    report = fields.check()

    assert found(report, "lfs-pointer") == [("error", "a", "s2")]
    assert found(report, "unreadable") == []


def test_a_git_lfs_pointer_in_place_of_a_file_is_found(fields):
    fields.commit()
    with fields.registry.draft("fields").edit("scene") as root:
        (root / "scene.tif").write_text("version https://git-lfs.github.com/spec/v1\nsize 3\n")

    from registry.curate.quality import check

    report = check(fields.registry.resolve("fields@draft"))
    assert evidence(report, "lfs-pointer") == [{"path": "scene.tif"}]


def test_a_sample_without_its_mask_is_found(fields):
    fields.assets.remove(fields.asset("b", "mask"))

    assert found(fields.check(), "missing-pair") == [("error", "b", "mask")]


def test_a_sample_without_its_image_is_only_a_warning(fields):
    fields.assets.remove(fields.asset("b", "s2"))

    assert found(fields.check(), "missing-pair") == [("warning", "b", "s2")]


@pytest.mark.parametrize(
    ("required", "without", "missing"),
    [
        (None, "ab", ""),
        (None, "a", "a"),
        (True, "ab", "ab"),
        (True, "abc", "abc"),
        (False, "a", ""),
    ],
)
def test_the_card_may_say_whether_an_asset_is_required(fields, required, without, missing):
    for name in without:
        fields.assets.remove(fields.asset(name, "mask"))
    mask = replace(fields.card.assets["mask"], extra={"required": required})
    fields.card = replace(fields.card, assets={**fields.card.assets, "mask": mask})

    assert [row[1] for row in found(fields.check(), "missing-pair")] == list(missing)


def test_a_mask_of_another_size_than_its_image_is_found(fields):
    fields.replace("a", "mask", fields.mask((1, 4, 4)))

    report = fields.check()

    assert found(report, "shape-mismatch") == [("error", "a", "mask")]
    assert evidence(report, "shape-mismatch") == [{"labels": [4, 4], "data": [[5, 4]]}]


def test_a_mask_must_fit_every_image_of_its_pixel_size(fields):
    fields.add("a", "pre", fields.image(5, shape=(2, 4, 4)))
    fields.add(
        "b", "coarse", fields.image(6, shape=(2, 2, 2)), transform=[20.0, 0, 5e5, 0, -20.0, 5e6]
    )

    report = fields.check()

    assert found(report, "shape-mismatch") == [("error", "a", "mask")]


def test_more_bands_than_the_card_names_are_found(fields):
    fields.replace("a", "s2", fields.image(7, shape=(3, 4, 5)))

    report = fields.check()

    assert found(report, "shape-mismatch") == [("error", "a", "s2")]
    assert evidence(report, "shape-mismatch") == [{"bands": 3, "expected": 2}]


def test_nan_is_counted_unless_it_is_the_nodata_value(fields):
    array = fields.image(0, dtype=np.float32)
    array[0, 0, :3] = np.nan
    fields.replace("a", "s2", array)
    fields.replace("b", "s2", array + 1, nodata=float("nan"))

    report = fields.check()

    assert found(report, "nan") == [("warning", "a", "s2")]
    assert evidence(report, "nan") == [{"nan": 3, "elements": 40}]


def test_an_image_of_one_value_or_of_nodata_alone_is_found(fields):
    fields.replace("a", "s2", np.full((2, 4, 5), 7, np.uint16))
    fields.replace("b", "s2", np.zeros((2, 4, 5), np.uint16), nodata=0)

    report = fields.check()

    assert found(report, "constant") == [("warning", "a", "s2"), ("warning", "b", "s2")]
    assert [e["value"] for e in evidence(report, "constant")] == [7, None]


def test_complex_values_are_seen_to_be_there(fields):
    values = np.arange(40).reshape(2, 4, 5) * (1 + 2j)
    fields.replace("a", "s2", values.astype(np.complex64))
    fields.replace("b", "s2", np.zeros((2, 4, 5), np.complex64))

    assert found(fields.check(), "constant") == [("warning", "b", "s2")]


def test_an_empty_mask_is_only_worth_a_word(fields):
    fields.replace("a", "mask", np.zeros((1, 4, 5), np.uint8))

    assert found(fields.check(), "constant") == [("info", "a", "mask")]


def test_negative_numbers_that_wrapped_around_are_found(fields):
    decibels = -12.5 - fields.image(0).astype("float32") / 2
    fields.replace("a", "s2", decibels.astype("int16").astype("uint16"))
    report = fields.check()
    assert found(report, "wrapped") == [("warning", "a", "s2")]
    assert evidence(report, "wrapped")[0]["top"] == fields.image(0).size


def test_bright_and_saturated_pixels_are_not_taken_for_wrapped_numbers(fields):
    image = fields.image(0)
    image.flat[: image.size // 2] = 65_535
    fields.replace("a", "s2", image)
    fields.replace("b", "s2", np.full_like(image, 65_535), nodata=65_535)
    fields.replace("c", "s2", np.full(image.shape, 255, np.uint8))
    assert found(fields.check(), "wrapped") == []


def test_equal_images_under_two_names_are_found_once(fields):
    fields.replace("c", "s2", fields.image(0))
    fields.samples[2]["label"] = ["forest"]

    report = fields.check()

    assert found(report, "exact-duplicates") == [("warning", "a", "s2")]
    assert evidence(report, "exact-duplicates")[0]["samples"] == ["a", "c"]
    assert evidence(report, "exact-duplicates")[0]["labels_differ"] is True


@pytest.mark.parametrize(
    ("crs", "transform", "severity"),
    [
        ("EPSG:4326", [1.0, 0.0, 0.0, 0.0, -1.0, 400.0], "error"),
        ("EPSG:4326", [1.0, 0.0, 0.0, 0.0, 1.0, 0.0], "error"),
        ("EPSG:32632", [1.0, 0.0, 0.0, 0.0, -1.0, 4.0], "error"),
        ("EPSG:32632", [0.0001, 0.0, 9.0, 0.0, -0.0001, 45.0], "error"),
        ("EPSG:999999", [10.0, 0.0, 0.0, 0.0, -10.0, 0.0], "error"),
        ('LOCAL_CS["somewhere",UNIT["metre",1]]', [1.0, 0.0, 9e5, 0.0, -1.0, 7e6], "warning"),
        (None, [10.0, 0.0, 0.0, 0.0, -10.0, 0.0], "warning"),
        (None, None, "warning"),
    ],
)
def test_a_crs_that_cannot_be_or_is_not_there_is_found(fields, crs, transform, severity):
    fields.asset("b", "s2").update(crs=crs, transform=transform)

    assert found(fields.check(), "crs") == [(severity, "b", "s2")]


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:4326", [0.001, 0.0, 179.999, 0.0, -0.001, 10.0]),
        ("EPSG:3035", [10.0, 0.0, 4_321_000.0, 0.0, -10.0, 3_210_000.0]),
        ("EPSG:32632", [10.0, 0.0, 0.0, 0.0, -10.0, 80.0]),
    ],
)
def test_a_crs_that_is_only_unusual_is_left_alone(fields, crs, transform):
    fields.asset("b", "s2").update(crs=crs, transform=transform)

    assert found(fields.check(), "crs") == []


def test_coordinates_that_are_nowhere_in_their_crs_are_found(fields):
    for asset in ("s2", "mask"):
        place = [10.0, 0.0, 9e7, 0.0, -10.0, 9e7]
        fields.asset("b", asset).update(crs="EPSG:32632", transform=place)
    fields.samples[1].update(geometry=None, georeferenced=False)

    report = fields.check()

    assert found(report, "crs") == [("error", "b", "mask"), ("error", "b", "s2")]
    assert evidence(report, "crs")[0]["bounds"][0] == 9e7


def test_a_mask_of_another_place_is_found(fields):
    fields.asset("b", "mask").update(transform=[10.0, 0.0, 600_000.0, 0.0, -10.0, 5_000_000.0])

    report = fields.check()

    assert found(report, "shape-mismatch") == [("error", "b", "mask")]
    bounds = evidence(report, "shape-mismatch")[0]["bounds"]
    assert bounds["s2"][2] < bounds["mask"][0]


def test_a_mask_of_the_same_place_in_another_crs_is_left_alone(fields):
    west, north = 9.0, 45.15345
    fields.asset("b", "mask").update(crs="EPSG:4326", transform=[1e-4, 0, west, 0, -1e-4, north])

    assert found(fields.check(), "shape-mismatch") == []


def test_a_dataset_without_any_georeference_has_missing_footprints_alone(fields):
    for asset in fields.assets:
        asset.update(crs=None, transform=None)
    for sample in fields.samples:
        sample.update(geometry=None, georeferenced=False)

    report = fields.check()

    assert found(report, "missing-footprint") == [("warning", name, None) for name in "abc"]
    assert found(report, "crs") == []
    assert report.passed
    assert report.level == "Q0"


@pytest.mark.parametrize(
    "wkb",
    [
        b"nonsense",
        shapely.to_wkb(shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)])),
        shapely.to_wkb(shapely.box(100, 80, 300, 95)),
        shapely.to_wkb(shapely.Polygon([(0, 0), (1, 1), (2, 2)])),
        shapely.to_wkb(shapely.Polygon()),
        shapely.to_wkb(shapely.LineString([(0, 0), (1, 1)])),
    ],
)
def test_a_footprint_that_cannot_be_is_found(fields, wkb):
    fields.samples[1]["geometry"] = wkb

    report = fields.check()

    assert found(report, "footprint") == [("error", "b", None)]
    assert report.level == "Q0"


def test_a_sample_without_a_time_caps_the_level_but_passes(fields):
    fields.samples[0]["datetime"] = None

    report = fields.check()

    assert found(report, "missing-time") == [("warning", "a", None)]
    assert (report.passed, report.level) == (True, "Q0")


def test_an_interval_is_a_time_if_both_ends_are_known(fields):
    span = {"start_datetime": datetime(2015, 1, 1, tzinfo=UTC), "datetime": None}
    fields.samples[0] |= span | {"end_datetime": datetime(2017, 1, 1, tzinfo=UTC)}
    fields.samples[1] |= span

    assert found(fields.check(), "missing-time") == [("warning", "b", None)]


def test_a_time_that_cannot_be_is_found(fields):
    early, late = datetime(2015, 1, 1, tzinfo=UTC), datetime(2017, 1, 1, tzinfo=UTC)
    fields.samples[0] |= {"start_datetime": late, "end_datetime": early}
    fields.samples[1] |= {"start_datetime": early, "end_datetime": late}
    fields.samples[2] |= {"datetime": datetime(1, 1, 1, tzinfo=UTC)}

    severities = [row[:2] for row in found(fields.check(), "time")]
    assert severities == [("error", "a"), ("error", "b"), ("warning", "c")]


def test_a_licence_that_nobody_states_is_an_error(fields):
    fields.card = replace(fields.card, licence=None)
    fields.samples[1]["source"] = {"href": "b", "provider": "ESA"}

    report = fields.check()

    assert found(report, "licence") == [("error", None, None)]
    assert not report.passed


def test_a_provider_that_nobody_states_is_a_warning(fields):
    fields.card = replace(fields.card, providers=())
    fields.samples[1]["source"] = {"href": "b", "licence": "MIT"}

    report = fields.check()

    assert found(report, "provider") == [("warning", None, None)]
    assert (report.passed, report.level) == (True, "Q0")


def test_samples_may_state_what_the_card_does_not(fields):
    fields.card = replace(fields.card, providers=(), licence=None)

    assert fields.check().level == "Q1"


def test_a_class_that_the_card_does_not_name_is_found_wherever_it_is(fields):
    fields.samples[1]["label"] = ["crop", "Crops"]
    fields.annotations = [{"id": "1", "sample": "c", "category": "lake"}]
    mask = fields.mask()
    mask[0, 0, 0] = 9
    fields.replace("a", "mask", mask)

    report = fields.check()

    assert found(report, "unknown-classes") == [
        ("error", "a", "mask"),
        ("error", "b", None),
        ("error", "c", None),
    ]
    assert evidence(report, "unknown-classes")[0] == {"values": [0, 1, 9], "known": [0, 1]}


def test_classes_that_nobody_listed_are_a_warning(fields):
    fields.card = replace(fields.card, classes=())

    assert found(fields.check(), "unknown-classes") == [("warning", None, None)]


@pytest.mark.parametrize(
    ("frame", "outline", "is_wrong"),
    [
        ("pixel", shapely.box(1, 1, 3, 3), False),
        ("pixel", shapely.box(4, 3, 9, 9), False),
        ("pixel", shapely.box(50, 50, 60, 60), True),
        ("crs", shapely.box(500_010, 4_999_970, 500_020, 4_999_980), False),
        ("crs", shapely.box(9, 45, 10, 46), True),
        ("crs", shapely.Polygon([(0, 0), (1, 1), (1, 0), (0, 1)]), True),
        ("crs", shapely.Polygon(), True),
    ],
)
def test_an_annotation_that_is_not_on_its_sample_is_found(fields, frame, outline, is_wrong):
    drawn = {"id": "1", "sample": "b", "category": "crop", "frame": frame}
    fields.annotations = [drawn | {"geometry": shapely.to_wkb(outline)}]

    expected = [("warning", "b", None)] if is_wrong else []
    assert found(fields.check(), "annotations") == expected


def test_outlines_beside_masks_are_no_finding(fields):
    fields.card = replace(fields.card, task="segmentation")
    outline = shapely.to_wkb(shapely.box(1, 1, 3, 3))
    fields.annotations = [
        {"id": name, "sample": name, "category": "crop", "frame": "pixel", "geometry": outline}
        for name in "ab"
    ]
    assert found(fields.check(), "missing-mask") == []


def test_segmentation_of_outlines_alone_is_said_once_and_still_passes(fields):
    fields.card = replace(fields.card, task="segmentation", assets={"s2": fields.card.assets["s2"]})
    fields.assets = [one for one in fields.assets if one["asset"] == "s2"]
    used = {one["pixels"] for one in fields.assets}
    fields.pixels = {digest: row for digest, row in fields.pixels.items() if digest in used}
    outline = shapely.to_wkb(shapely.box(1, 1, 3, 3))
    fields.annotations = [
        {"id": name, "sample": name, "category": "crop", "frame": "pixel", "geometry": outline}
        for name in "ab"
    ]

    report = fields.check()

    assert found(report, "missing-mask") == [("info", None, None)]
    assert report.passed
    assert "eolab card fields --set task=detection" in report.to_text()


def test_rows_that_belong_to_nothing_are_found(fields):
    fields.add("ghost", "s2", fields.image(5))
    fields.annotations = [{"id": "1", "sample": "spirit", "category": "crop"}]

    assert found(fields.check(), "orphans") == [
        ("error", "ghost", "s2"),
        ("error", "spirit", None),
    ]


def test_a_dataset_without_samples_is_not_published(fields):
    fields.samples, fields.assets, fields.pixels = [], [], {}

    report = fields.check()

    assert found(report, "empty") == [("error", None, None)]


def test_every_check_has_its_own_name_and_says_its_rule():
    names = [check.name for check in CHECKS]

    assert len(set(names)) == len(names)
    assert all(check.about.endswith(".") for check in CHECKS)
