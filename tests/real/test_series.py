"""Real time series in HDF5 and netCDF, held to h5py, and to scipy for the classic format."""

from pathlib import PurePosixPath

import h5py
import numpy as np
import pytest
from scipy.io import netcdf_file

from registry.curate.checkout import checkout
from registry.curate.formats import SourceOptions
from registry.curate.gate import check
from registry.curate.ingest import ingest

pytestmark = pytest.mark.real

SAID = SourceOptions(licence="CC-BY-4.0", provider="its makers")


@pytest.fixture(scope="module")
def pastis(lab, shared_data):
    result = ingest(lab, shared_data / "pastis-r-timeseries", into="pastis", options=SAID)
    return result, lab.resolve("pastis@draft")


@pytest.fixture(scope="module")
def worldcereal(lab, shared_data):
    source = shared_data / "worldcereal-timeseries-nc"
    result = ingest(lab, source, into="worldcereal", options=SAID)
    return result, lab.resolve("worldcereal@draft")


def stored(path, *names):
    with h5py.File(path) as file:
        return [file[name][()] for name in names]


def by_asset(version):
    return {(row["sample"], row["asset"]): row for row in version.table("assets").to_pylist()}


def test_every_array_of_pastis_is_as_h5py_reads_it(pastis, shared_data):
    result, version = pastis
    assert (result.format, result.added) == ("pastis", 9)
    root = shared_data / "pastis-r-timeseries"
    for sample in version.table("samples")["id"].to_pylist():
        for asset in ("s2", "s1a", "s1d", "semantic", "instance"):
            (array,) = stored(root / sample / f"{asset}.h5", "data")
            taken = version.chip(sample, asset)
            wanted = array[:1] if asset == "semantic" else array
            np.testing.assert_array_equal(taken.reshape(wanted.shape), wanted)
            assert taken.dtype == array.dtype


def test_patches_of_pastis_have_their_dates_points_and_subsets(pastis):
    result, version = pastis
    rows = by_asset(version)
    days = [moment.date().isoformat() for moment in rows["10186", "s2"]["times"]]
    assert days == ["2018-09-24", "2018-09-29", "2018-10-04"]
    assert rows["10186", "s1a"]["times"] == []
    subsets = version.table("splits/official")["subset"].value_counts().to_pylist()
    assert {row["values"]: row["counts"] for row in subsets} == {
        "train": 5, "validate": 2, "test": 2,
    }  # fmt: skip
    checks = result.warnings["check"].to_pylist()
    assert sorted(checks) == ["approximate-place", "undated-series", "undated-series"]
    assert check(version).verdict == "passed"


def test_pastis_goes_out_and_comes_back_equal(pastis, lab, tmp_path):
    _, version = pastis
    report = checkout(version, tmp_path / "out", "pastis")
    assert report.lost_tags == ()
    ingest(lab, tmp_path / "out", into="pastis-back", options=SAID)
    back = lab.resolve("pastis-back@draft")
    columns = ["sample", "asset", "pixels", "shape", "dtype", "times"]
    for name, kept in (
        ("assets", columns),
        ("samples", ["id", "geometry", "start_datetime", "end_datetime", "properties"]),
        ("splits/official", ["sample", "subset", "fold"]),
    ):
        ours, theirs = (
            sorted(map(repr, each.table(name).select(kept).to_pylist())) for each in (version, back)
        )
        assert ours == theirs


LAYERS = {
    "s2-10m": ("S2_L2A_10m", ("B02", "B03", "B04", "B08")),
    "s2-20m": ("S2_L2A_20m", ("B05", "B06", "B07", "B11", "B12", "B8A")),
    "scl": ("S2_L2A_20m", ("SCL",)),
    "s1-ascending": ("S1_GRD-ASCENDING_20m", ("VH", "VV")),
    "l8-sr": ("L8_SR_10m", ("B02", "B03", "B04", "B05", "B06", "B07")),
    "l8-tir": ("L8_SR_10m", ("B10", "B11")),
    "lc": ("OUTPUT_POLY-110_10m", ("LC",)),
    "ct": ("OUTPUT_POLY-110_10m", ("CT",)),
    "irr": ("OUTPUT_POLY-110_10m", ("IRR",)),
}


def test_every_array_of_worldcereal_is_as_h5py_reads_it(worldcereal, shared_data):
    result, version = worldcereal
    assert (result.format, result.added) == ("worldcereal", 4)
    seen = 0
    for sample in ("00002806639B424A", "0000280849BAC91C"):
        folder = shared_data / "worldcereal-timeseries-nc" / sample
        for asset, (kind, names) in LAYERS.items():
            found = list(folder.glob(f"{kind}_*.nc"))
            if found:
                arrays = np.stack(stored(found[0], *names), axis=-3)
                np.testing.assert_array_equal(version.chip(sample, asset), arrays)
                seen += 1
    assert seen == 16


def test_seasons_have_times_places_fill_values_and_scales(worldcereal):
    _, version = worldcereal
    rows = by_asset(version)
    ten = rows["00002806639B424A", "s2-10m"]
    assert (ten["crs"], ten["nodata"]) == ("EPSG:32631", 0)
    assert ten["transform"] == [10, 0, 501_360, 0, -10, 5_629_680]
    assert ten["times"][0].isoformat() == "2017-08-04T10:53:28+00:00"
    assert len(ten["times"]) == 118
    texts = rows["00002806639B424A", "l8-st"]["times"]
    assert texts[0].isoformat() == "2017-08-06T00:00:00+00:00"
    assert rows["00002806639B424A", "agera5"]["transform"][0] == 1000
    assert version.spec.assets["s2-10m"].scale == 1e-4
    assert version.spec.assets["s1-ascending"].bands == ("VH", "VV")
    assert version.spec.assets["ct"].values[5100] == "Potatoes"


def test_the_missing_sensors_of_the_second_season_are_missed(worldcereal):
    result, version = worldcereal
    found = result.warnings.to_pylist()
    missed = {(row["sample"], row["asset"]) for row in found if row["check"] == "missing-pair"}
    assert missed == {("0000280849BAC91C", "l8-sr"), ("0000280849BAC91C", "l8-st")}
    assert check(version).verdict == "passed"


CUBES = {"worldcereal_inputs", "worldcereal_preprocessed_inputs"}


def test_monthly_cubes_of_both_formats_are_taken(worldcereal, shared_data):
    _, version = worldcereal
    rows = by_asset(version)
    folder = shared_data / "worldcereal-timeseries-nc" / "openeo"
    names = [f"S2-L2A-B{band}" for band in ("02", "03", "04", "05", "06", "07", "08", "11", "12")]
    new = np.stack(stored(folder / "worldcereal_preprocessed_inputs.nc", *names), axis=1)
    taken = version.chip("worldcereal_preprocessed_inputs", "s2")
    np.testing.assert_array_equal(taken, new.view("u2"))
    with netcdf_file(folder / "worldcereal_inputs.nc", mmap=False) as file:
        old = np.stack([file.variables[name][:] for name in ("VH", "VV")], axis=1)
    np.testing.assert_array_equal(version.chip("worldcereal_inputs", "s1"), old.astype("u2"))
    assert rows["worldcereal_inputs", "s1"]["crs"] == "EPSG:3035"
    assert {row["nodata"] for (sample, _), row in rows.items() if sample in CUBES} == {65_535}
    assert version.spec.assets["s2"].scale == 1e-4
    amplitude = old * version.spec.assets["s1"].scale
    decibels = 20 * np.log10(old.astype(np.float64)) - 83
    np.testing.assert_allclose(20 * np.log10(amplitude), decibels, rtol=1e-4)
    months = rows["worldcereal_inputs", "s1"]["times"]
    assert [(moment.year, moment.month) for moment in months][::11] == [(2021, 1), (2021, 12)]
    samples = {row["id"]: row for row in version.table("samples").to_pylist()}
    assert samples["worldcereal_inputs"]["start_datetime"] == months[0]


def test_seasons_go_out_as_dated_files_and_say_what_is_lost(worldcereal, tmp_path):
    _, version = worldcereal
    report = checkout(version, tmp_path / "out", "files")
    steps = list((tmp_path / "out/s2-10m/00002806639B424A").glob("*.tif"))
    assert len(steps) == 118
    assert "0000_20170804T105328.tif" in {step.name for step in steps}
    lost = [PurePosixPath(each).parts[0] for each in report.lost_tags if "118 time steps" in each]
    assert sorted(lost) == ["s2-10m", "s2-20m", "s2-angles", "scl"]
