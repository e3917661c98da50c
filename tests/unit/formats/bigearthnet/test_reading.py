"""What BigEarthNet's trees are read as, and what of them is found wrong."""

import json
import shutil
from collections import Counter
from datetime import UTC, datetime

import pytest
import shapely

from registry.curate.formats import SourceOptions, detect, open_listing
from registry.curate.formats.bigearthnet import BigEarthNet
from registry.curate.ingest import IngestFailedError
from registry.errors import RejectedError


def by_id(plan):
    return {row["id"]: row for row in plan.samples.to_pylist()}


def assets(plan, sample):
    rows = [row for row in plan.assets.to_pylist() if row["sample"] == sample]
    return {row["asset"]: [row["file"], *(row["stack"] or [])] for row in rows}


def checks(plan):
    return dict(Counter(finding.check for finding in plan.findings))


def finding(plan, check):
    (found,) = [one for one in plan.findings if one.check == check]
    return found


def split(plan):
    return {row["sample"]: row["subset"] for row in plan.splits["official"].to_pylist()}


# ------------------------------------------------------------------ official trees
def test_a_patch_is_a_sample_with_the_bands_of_each_resolution_as_an_asset(trees, planned, make):
    plan = planned(trees)
    s2, s1 = make.patch(1)
    files = assets(plan, s2)
    assert list(files) == ["s2_10m", "s2_20m", "s2_60m", "s1", "reference_map"]
    assert [path.rpartition("_")[2] for path in files["s2_20m"]] == [
        "B05.tif", "B06.tif", "B07.tif", "B8A.tif", "B11.tif", "B12.tif",
    ]  # fmt: skip
    assert [path.rpartition("/")[2] for path in files["s1"]] == [f"{s1}_VV.tif", f"{s1}_VH.tif"]
    assert checks(plan) == {}


def test_metadata_give_labels_split_and_properties_and_the_name_gives_the_instant(
    trees, planned, make
):
    plan = planned(trees)
    s2, s1 = make.patch(1)
    row = by_id(plan)[s2]
    assert row["label"] == ["Pastures", "Marine waters"]
    assert row["datetime"] == datetime(2017, 6, 13, 10, 10, 31, tzinfo=UTC)
    assert row["group"] == "33UUP_00_01"
    assert row["properties"] == {
        "country": "Finland",
        "s1_name": s1,
        "s2v1_name": "S2A_MSIL2A_20170613T101031_1_43",
        "contains_seasonal_snow": True,
        "contains_cloud_or_shadow": False,
    }
    assert (plan.task, len(plan.classes)) == ("classification", 19)
    assert split(plan) == dict(
        zip([make.patch(n)[0] for n in range(3)], ["train", "validate", "test"], strict=True)
    )


def test_the_card_says_bands_units_and_classes_of_the_map(trees, planned):
    specs = planned(trees).specs
    assert specs["s2_10m"].bands == ("B02", "B03", "B04", "B08")
    assert (specs["s2_60m"].unit, specs["s2_60m"].scale, specs["s2_60m"].offset) == (
        "reflectance", 1e-4, None,
    )  # fmt: skip
    assert [specs[f"s2_{gsd}m"].gsd for gsd in (10, 20, 60)] == [10, 20, 60]
    assert (specs["s1"].bands, specs["s1"].unit) == (("VV", "VH"), "dB")
    assert specs["reference_map"].values[523] == "Sea and ocean"
    assert specs["reference_map"].role == "labels"


def test_folders_above_the_files_may_be_called_anything(tmp_path, planned, make):
    s2, s1 = make.patch(5)
    make.optical(tmp_path / "S2", s2, 5, suffix=".tiff")
    make.radar(tmp_path / "deep" / "down", s1, 5)
    plan = planned(tmp_path)
    assert list(assets(plan, s2)) == ["s2_10m", "s2_20m", "s2_60m", "s1"]
    assert by_id(plan)[s2]["properties"] == {"s1_name": s1}


def test_two_scenes_of_one_place_are_paired_by_metadata_and_not_by_guess(tmp_path, planned, make):
    one, radar = make.patch(1)
    two, _ = make.patch(1, year=2018)
    for name in (one, two):
        make.optical(tmp_path / "S2", name, 1)
    make.radar(tmp_path / "S1", radar, 1)
    plan = planned(tmp_path)
    assert "s1" not in assets(plan, one)
    assert finding(plan, "doubtful-pair").evidence["patches"] == [radar]
    make.metadata(tmp_path / "metadata.parquet", [make.facts(1, patch_id=two, s1_name=radar)])
    plan = planned(tmp_path)
    assert "s1" in assets(plan, two)
    assert "s1" not in assets(plan, one)


def test_halves_of_pairs_are_samples_with_a_finding_each(tmp_path, planned, make):
    make.optical(tmp_path / "S2", make.patch(1)[0], 1)
    make.radar(tmp_path / "S1", make.patch(2)[1], 2)
    make.map(tmp_path / "Reference_Maps", make.patch(3)[0], 3)
    plan = planned(tmp_path)
    assert set(by_id(plan)) == {make.patch(1)[0], make.patch(2)[1], make.patch(3)[0]}
    halves = {one.sample: one.evidence for one in plan.findings if one.check == "missing-pair"}
    assert halves[make.patch(1)[0]]["missing"] == ["s1", "reference_map"]
    assert halves[make.patch(2)[1]]["has"] == ["s1"]
    assert plan.task == "segmentation"


def test_a_patch_that_lacks_a_band_is_an_error_that_names_it(trees, planned, make):
    s2 = make.patch(2)[0]
    next(trees.rglob(f"{s2}_B8A.tif")).unlink()
    plan = planned(trees)
    found = finding(plan, "missing-band")
    assert (found.severity, found.sample, found.asset) == ("error", s2, "s2_20m")
    assert found.evidence == {"missing": ["B8A"]}


def test_it_is_left_out_on_request_and_stops_the_rest_otherwise(trees, bring, make):
    s2 = make.patch(2)[0]
    next(trees.rglob(f"{s2}_B8A.tif")).unlink()
    with pytest.raises(IngestFailedError, match="has no B8A"):
        bring(trees, "ben")
    draft = bring(trees, "ben", on_error="skip")
    assert draft.count("samples") == 2
    assert s2 not in draft.table("splits/official")["sample"].to_pylist()


def test_bands_that_all_patches_lack_are_not_asked_for(tmp_path, planned, make):
    for number in range(3):
        make.optical(tmp_path / "S2", make.patch(number)[0], number, without={"B08", "B01", "B09"})
    plan = planned(tmp_path)
    assert plan.specs["s2_10m"].bands == ("B02", "B03", "B04")
    assert "s2_60m" not in plan.specs
    assert checks(plan) == {"missing-label": 1}


def test_a_band_that_few_patches_have_is_reported_as_ignored(tmp_path, planned, make):
    for number in range(3):
        make.optical(
            tmp_path / "S2", make.patch(number)[0], number, without={"B09"} if number else ()
        )
    plan = planned(tmp_path)
    assert plan.specs["s2_60m"].bands == ("B01",)
    assert finding(plan, "ignored-files").evidence["files"] == [
        f"S2/{make.patch(0)[0]}/{make.patch(0)[0]}_B09.tif"
    ]


def test_bands_of_different_sizes_within_a_resolution_are_not_taken(trees, bring, make):
    s2 = make.patch(1)[0]
    path = next(trees.rglob(f"{s2}_B06.tif"))
    make.band(path, number=1, band=5, pixel=10, size=12, nodata=0)
    with pytest.raises(IngestFailedError, match=r"B06\.tif', which is 12 x 12 pixels, not 6 x 6"):
        bring(trees, "ben")


def test_files_that_are_there_twice_are_said(trees, planned, make):
    s2 = make.patch(1)[0]
    make.optical(trees / "copy", s2, 1)
    plan = planned(trees)
    assert finding(plan, "duplicate-file").evidence["count"] == 12
    assert all(file.startswith("BigEarthNet-S2") for file in assets(plan, s2)["s2_10m"])


@pytest.mark.parametrize(
    ("baseline", "offset"), [("N0301", None), ("N9999", None), ("N0400", -0.1), ("N0510", -0.1)]
)
def test_the_baseline_says_the_offset_of_reflectance(tmp_path, planned, make, baseline, offset):
    make.optical(tmp_path / "S2", make.patch(1, baseline=baseline)[0], 1)
    assert planned(tmp_path).specs["s2_10m"].offset == offset


def test_an_offset_that_nothing_tells_is_said(tmp_path, planned, make):
    make.optical(tmp_path / "S2", make.patch(1, year=2023)[0], 1)
    plan = planned(tmp_path)
    assert plan.specs["s2_10m"].offset is None
    assert finding(plan, "unknown-offset").evidence["count"] == 1


def test_baselines_that_do_not_go_together_are_said(tmp_path, planned, make):
    for number, baseline in enumerate(("N0301", "N0510")):
        make.optical(tmp_path / "S2", make.patch(number, baseline=baseline)[0], number)
    plan = planned(tmp_path)
    assert plan.specs["s2_10m"].offset is None
    assert finding(plan, "mixed-baselines").evidence["baselines"] == [301, 510]


def test_a_tree_is_read_once_and_a_band_that_changed_is_read_again(trees, registry, bring, make):
    bring(trees, "ben")
    before = registry.resolve("ben@draft")
    s2 = make.patch(1)[0]
    make.band(next(trees.rglob(f"{s2}_B11.tif")), number=1, band=50, pixel=20, size=6, nodata=0)
    after = bring(trees, "ben")
    changed = {
        (row["sample"], row["asset"])
        for row in after.table("assets").to_pylist()
        if row not in before.table("assets").to_pylist()
    }
    assert changed == {(s2, "s2_20m")}
    assert (after.chip(s2, "s2_20m") != before.chip(s2, "s2_20m")).any(axis=(1, 2)).tolist() == [
        False, False, False, False, True, False,
    ]  # fmt: skip


def test_trees_in_an_archive_are_read_in_place(trees, bring, tmp_path, make):
    packed = shutil.make_archive(str(tmp_path / "packed"), "zip", trees)
    draft = bring(packed, "ben")
    assert draft.chip(make.patch(1)[0], "s2_20m").shape == (6, 6, 6)
    assert draft.count("reports/ingest") == 0


# ------------------------------------------------------------------------------ v1
def test_patches_of_the_first_version_have_their_sidecars_word(tmp_path, planned, make):
    s2 = "S2B_MSIL2A_20170924T93022_12_11"  # the hour's first 0 is dropped there
    s1 = make.patch(7)[1]
    make.optical(tmp_path / "BigEarthNet-v1.0", s2, 7)
    make.radar(tmp_path / "BigEarthNet-S1-v1.0", s1, 7)
    (tmp_path / "BigEarthNet-v1.0" / s2 / f"{s2}_labels_metadata.json").write_text(
        json.dumps({
            "labels": ["Sea and ocean", "Peatbogs"],
            "coordinates": {"ulx": 1, "uly": 2, "lrx": 3, "lry": 4},
            "projection": "PROJCS[…]",
            "tile_source": "S2B_MSIL1C.SAFE",
            "acquisition_date": "2017-09-24 09:30:22",
        })
    )
    (tmp_path / "BigEarthNet-S1-v1.0" / s1 / f"{s1}_labels_metadata.json").write_text(
        json.dumps({"labels": ["Peatbogs"], "corresponding_s2_patch": s2})
    )
    plan = planned(tmp_path)
    (row,) = plan.samples.to_pylist()
    assert (row["id"], row["label"]) == (s2, ["Sea and ocean", "Peatbogs"])
    assert row["datetime"] == datetime(2017, 9, 24, 9, 30, 22, tzinfo=UTC)
    assert row["properties"] == {
        "s1_name": s1, "tile_source": "S2B_MSIL1C.SAFE",
        "acquisition_date": "2017-09-24 09:30:22",
    }  # fmt: skip
    assert list(assets(plan, s2)) == ["s2_10m", "s2_20m", "s2_60m", "s1"]
    assert len(plan.classes) == 43
    assert checks(plan) == {}


def test_the_second_version_s_metadata_speak_of_the_first_s_patches(tmp_path, planned, make):
    older = "S2A_MSIL2A_20170613T101031_1_43"
    make.optical(tmp_path / "BigEarthNet-v1.0", older, 1)
    make.metadata(tmp_path / "metadata.parquet", [make.facts(1)])
    sidecar = tmp_path / "BigEarthNet-v1.0" / older / f"{older}_labels_metadata.json"
    sidecar.write_text('{"labels": ["Sea and ocean"]}')
    plan = planned(tmp_path)
    assert by_id(plan)[older]["label"] == ["Pastures", "Marine waters"]
    assert checks(plan) == {}


# ------------------------------------------------------------------------- stacked
def test_stacked_patches_have_an_asset_a_file(stacked, planned, make):
    plan = planned(stacked)
    s2 = make.patch(1)[0]
    assert assets(plan, s2) == {"s1": [f"{s2}/s1.tif"], "s2": [f"{s2}/s2.tif"]}
    assert plan.specs["s2"].bands[7:10] == ("B08", "B8A", "B09")
    assert plan.specs["s1"].bands == ("VH", "VV")  # not as the official trees are read
    row = by_id(plan)[s2]
    assert (row["label"], row["properties"]["country"]) == (
        ["Pastures", "Marine waters"], "Finland",
    )  # fmt: skip
    assert set(split(plan).values()) == {"train", "validate", "test"}
    assert checks(plan) == {}


def test_a_place_that_a_file_says_otherwise_than_the_metadata_is_found(
    stacked, planned, bring, registry, make
):
    said = json.loads((stacked / "metadata.json").read_text())
    for number, row in enumerate(said):
        row |= {
            "crs": "EPSG:32633",
            "geotransform": [390_000.0 + 1_200 * number, 10, 0, 5_348_400.0, 0, -10],
            "raster_shape": [12, 12],
        }
    (stacked / "metadata.json").write_text(json.dumps(said))
    s2 = make.patch(1)[0]
    make.band(stacked / s2 / "s2.tif", number=1, band=0, count=12, pixel=60)
    draft = bring(stacked, "ben")
    (found,) = draft.table("reports/ingest").to_pylist()
    assert (found["check"], found["sample"], found["asset"]) == ("contradicted-grid", s2, "s2")
    evidence = json.loads(found["evidence"])
    assert (evidence["found"]["transform"][0], evidence["stated"]["transform"][0]) == (60, 10)
    rows = {row["id"]: row for row in draft.table("samples").to_pylist()}
    west, _, east, _ = shapely.from_wkb(rows[s2]["geometry"]).bounds
    assert east - west < 0.01  # 120 m, as stated, not 720 m


def test_decibels_in_whole_numbers_are_found(stacked, bring, make):
    s2 = make.patch(2)[0]
    make.band(stacked / s2 / "s1.tif", number=2, band=20, count=2, dtype="uint16")
    (found,) = bring(stacked, "ben").table("reports/ingest").to_pylist()
    assert (found["check"], found["sample"], found["asset"]) == ("mixed-types", s2, "s1")
    assert json.loads(found["evidence"])["dtype"] == "uint16"


# ----------------------------------------------------------------------- detection
def test_other_folders_are_not_taken_for_it(tmp_path, make):
    for name in ("a_B02.tif", "b_B02.tif", "s2.tif", "S2A_MSIL2A_20170613T101031_B02.tif"):
        make.band(tmp_path / name, number=1, band=1)
    assert BigEarthNet().recognises(open_listing(tmp_path)) == 0
    assert detect(open_listing(tmp_path), SourceOptions()).format.name != "bigearthnet"
    with pytest.raises(RejectedError, match="named as BigEarthNet's"):
        BigEarthNet().plan(open_listing(tmp_path), SourceOptions())


def test_a_link_that_leads_out_is_refused(trees, tmp_path, bring, make):
    (tmp_path / "secret.tif").write_bytes(b"secret")
    path = next(trees.rglob(f"{make.patch(1)[0]}_B02.tif"))
    path.unlink()
    path.symlink_to(tmp_path / "secret.tif")
    with pytest.raises(RejectedError, match="leads out"):
        bring(trees, "ben")
