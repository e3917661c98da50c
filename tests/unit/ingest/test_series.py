"""Time series come into a dataset with their dates, and go out to PASTIS' own layout and back."""

import json
import shutil

import h5py
import numpy as np
import pytest
import rasterio

from registry.curate.checkout import checkout
from registry.curate.ingest import IngestFailedError
from registry.errors import InvalidInputError

STEPS, SIDE = 3, 8
DAYS = [20180917, 20180922, 20181004]


def hdf5(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=array, compression="gzip", chunks=True)


def numbers(shape, dtype, patch):
    return (np.arange(np.prod(shape)).reshape(shape) % 251 + patch).astype(dtype)


def write_pastis(root, *patches, dates=DAYS, **said):
    """Write patches whose pixels say which patch they are of; return the arrays."""
    arrays = {}
    for patch in patches:
        own = {
            "s2": numbers((STEPS, 10, SIDE, SIDE), "i2", patch),
            "s1a": numbers((STEPS + 1, 3, SIDE, SIDE), "f2", patch),
            "s1d": numbers((STEPS, 3, SIDE, SIDE), "f2", patch),
            "semantic": numbers((3, SIDE, SIDE), "u1", patch) % 20,
            "instance": numbers((SIDE, SIDE), "i8", patch),
        }
        for name, array in own.items():
            hdf5(root / str(patch) / f"{name}.h5", array)
        arrays[str(patch)] = own
    records = [
        {
            "id": str(patch),
            "dates": dates,
            "dates-S1A": [20180901, *DAYS],
            "lon": 5.5 + patch / 10,
            "lat": 44.25,
            "tile": "t31tfj",
            "Fold": 1 + number % 5,
            "data_split": ("train", "validation", "test")[number % 3],
        } | said
        for number, patch in enumerate(patches)
    ]  # fmt: skip
    (root / "metadata.json").write_text(json.dumps(records))
    return arrays


def test_a_patch_keeps_its_pixels_dates_and_place(bring, registry, tmp_path):
    arrays = write_pastis(tmp_path / "source", 1, 2, 3)
    result = bring("source")
    assert (result.format, result.added) == ("pastis", 3)
    version = registry.resolve("things@draft")
    for patch, own in arrays.items():
        np.testing.assert_array_equal(version.chip(patch, "s2"), own["s2"])
        np.testing.assert_array_equal(version.chip(patch, "s1a"), own["s1a"])
        np.testing.assert_array_equal(version.chip(patch, "semantic"), own["semantic"][:1])
        np.testing.assert_array_equal(version.chip(patch, "semantic-further"), own["semantic"][1:])
        np.testing.assert_array_equal(version.chip(patch, "instance")[0], own["instance"])
        assert version.chip(patch, "s1a").dtype == np.float16
    rows = {(row["sample"], row["asset"]): row for row in version.table("assets").to_pylist()}
    assert [moment.day for moment in rows["1", "s2"]["times"]] == [17, 22, 4]
    assert [moment.day for moment in rows["1", "s1a"]["times"]] == [1, 17, 22, 4]
    splits = version.table("splits/official").to_pylist()
    assert {row["sample"]: (row["subset"], row["fold"]) for row in splits} == {
        "1": ("train", 0), "2": ("validate", 1), "3": ("test", 2),
    }  # fmt: skip
    undated = [row["check"] for row in result.warnings.to_pylist()]
    assert sorted(undated) == ["approximate-place", "undated-series"]


def test_dates_that_are_too_few_stop_the_ingest_or_leave_the_patch_out(bring, tmp_path):
    write_pastis(tmp_path / "source", 1, dates=DAYS[:2])
    with pytest.raises(IngestFailedError, match="has 3 time steps, but 2 dates"):
        bring("source")
    write_pastis(tmp_path / "source", 1, 2)
    records = json.loads((tmp_path / "source/metadata.json").read_text())
    records[0]["dates"] = DAYS[:2]
    (tmp_path / "source/metadata.json").write_text(json.dumps(records))
    result = bring("source", on_error="skip")
    assert (result.added, result.skipped["sample"].to_pylist()) == (1, ["1"])


def test_several_dates_of_a_single_image_are_too_many(bring, tmp_path):
    write_pastis(tmp_path / "source", 1)
    hdf5(tmp_path / "source/1/s2.h5", np.ones((10, SIDE, SIDE), "i2"))
    with pytest.raises(IngestFailedError, match="has 1 time steps, but 3 dates"):
        bring("source")


@pytest.mark.parametrize("pack", [False, True])
def test_the_authors_own_layout_is_taken_from_a_folder_or_a_zip(bring, registry, tmp_path, pack):
    root = tmp_path / "PASTIS"
    files = {
        "DATA_S2/S2_10.npy": numbers((STEPS, 10, SIDE, SIDE), "i2", 1),
        "DATA_S1A/S1A_10.npy": numbers((1, 3, SIDE, SIDE), "f2", 2),
        "ANNOTATIONS/TARGET_10.npy": numbers((3, SIDE, SIDE), "u1", 3),
        "INSTANCE_ANNOTATIONS/INSTANCES_10.npy": numbers((SIDE, SIDE), "i8", 4),
    }
    for path, array in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        np.save(root / path, array)
    said = {"ID_PATCH": 10, "Fold": 3, "dates-S2": {"0": DAYS[0], "1": DAYS[1], "2": DAYS[2]}}
    feature = {"type": "Feature", "properties": said | {"dates-S1A": {"0": DAYS[0]}}}
    document = {"type": "FeatureCollection", "features": [feature]}
    (root / "metadata.geojson").write_text(json.dumps(document))
    if pack:
        shutil.make_archive(str(root), "zip", root)
    bring("PASTIS.zip" if pack else "PASTIS")
    version = registry.resolve("things@draft")
    np.testing.assert_array_equal(version.chip("10", "s2"), files["DATA_S2/S2_10.npy"])
    np.testing.assert_array_equal(version.chip("10", "s1a"), files["DATA_S1A/S1A_10.npy"])
    target = files["ANNOTATIONS/TARGET_10.npy"]
    np.testing.assert_array_equal(version.chip("10", "semantic"), target[:1])
    np.testing.assert_array_equal(version.chip("10", "semantic-further"), target[1:])
    assert version.table("splits/official")["fold"].to_pylist() == [2]
    (sample,) = version.table("samples").to_pylist()
    assert (sample["georeferenced"], sample["end_datetime"].day) == (False, 4)


def test_a_hostile_patch_is_left_out_alone(bring, registry, tmp_path):
    write_pastis(tmp_path / "source", 1, 2)
    with h5py.File(tmp_path / "source/2/s2.h5", "w") as file:
        file.create_dataset("data", (1 << 12, 10, 1 << 12, 1 << 12), "i2", chunks=True)
    result = bring("source", on_error="skip")
    assert result.skipped["check"].to_pylist() == ["too-large"]
    assert registry.resolve("things@draft").table("samples")["id"].to_pylist() == ["1"]


def test_a_patch_without_further_planes_is_taken_as_it_is(bring, registry, tmp_path):
    write_pastis(tmp_path / "source", 1)
    hdf5(tmp_path / "source/1/semantic.h5", np.ones((SIDE, SIDE), "u1"))
    result = bring("source")
    assert "absent-layer" in result.warnings["check"].to_pylist()
    assets = registry.resolve("things@draft").table("assets")["asset"].to_pylist()
    assert sorted(assets) == ["instance", "s1a", "s1d", "s2", "semantic"]


def test_the_same_source_again_changes_nothing(bring, tmp_path):
    write_pastis(tmp_path / "source", 1, 2)
    first = bring("source")
    again = bring("source")
    assert (again.unchanged, again.commit) == (2, first.commit)


# ------------------------------------------------------------------- the way back
COMPARED = {
    "assets": ["sample", "asset", "pixels", "shape", "dtype", "times"],
    "samples": ["id", "geometry", "start_datetime", "end_datetime", "properties"],
    "splits/official": ["sample", "subset", "fold"],
}


def told(registry, ref):
    version = registry.resolve(ref)
    return {
        name: sorted(map(repr, version.table(name).select(columns).to_pylist()))
        for name, columns in COMPARED.items()
    }


def test_what_is_checked_out_as_pastis_comes_back_equal(bring, registry, tmp_path):
    write_pastis(tmp_path / "source", 1, 2, 3)
    bring("source")
    report = checkout(registry.resolve("things@draft"), tmp_path / "out", "pastis")
    assert (report.layout, report.rasters, report.lost_tags) == ("pastis", 15, ())
    bring("out", into="back")
    assert told(registry, "back@draft") == told(registry, "things@draft")


def test_equal_versions_are_equal_files(bring, registry, tmp_path):
    write_pastis(tmp_path / "source", 1)
    bring("source")
    for name in ("one", "two"):
        checkout(registry.resolve("things@draft"), tmp_path / name, "pastis")
    for path in (tmp_path / "one").rglob("*.h5"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes()


def test_outlines_and_times_of_day_are_kept_or_said(bring, registry, tmp_path):
    write_pastis(tmp_path / "source", 1)
    ring = [[5, 44], [5.1, 44], [5.1, 44.1], [5, 44.1], [5, 44]]
    feature = {
        "type": "Feature",
        "properties": {"ID_PATCH": 1, "Fold": 5, "dates-S2": DAYS, "TILE": "t31tfj"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    document = {"type": "FeatureCollection", "features": [feature]}
    (tmp_path / "source/metadata.json").unlink()
    (tmp_path / "source/metadata.geojson").write_text(json.dumps(document))
    bring("source")
    checkout(registry.resolve("things@draft"), tmp_path / "out", "pastis")
    bring("out", into="back")
    assert told(registry, "back@draft") == told(registry, "things@draft")


def test_a_version_without_series_is_no_pastis(bring, registry, forest, tmp_path):
    bring("forest")
    with pytest.raises(InvalidInputError, match="has an asset 's2'"):
        checkout(registry.resolve("things@draft"), tmp_path / "out", "pastis")
    assert not (tmp_path / "out").exists()


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_as_files_a_series_is_a_folder_of_steps(bring, registry, tmp_path):
    arrays = write_pastis(tmp_path / "source", 1)
    bring("source")
    report = checkout(registry.resolve("things@draft"), tmp_path / "out", "files")
    steps = sorted((tmp_path / "out/s1a/1").glob("*.tif"))
    assert [path.name for path in steps] == [
        "0000_20180901T000000.tif", "0001_20180917T000000.tif",
        "0002_20180922T000000.tif", "0003_20181004T000000.tif",
    ]  # fmt: skip
    for step, path in enumerate(steps):
        with rasterio.open(path) as file:
            np.testing.assert_array_equal(file.read(), arrays["1"]["s1a"][step])
    assert any("float16 is written as float32" in lost for lost in report.lost_tags)
    assert sum("4 time steps" in lost for lost in report.lost_tags) == 1
