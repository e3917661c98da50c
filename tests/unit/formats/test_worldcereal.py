"""Which seasons, sensors and labels WorldCereal's file names tell of."""

import pytest

from registry.curate.formats import SourceOptions, detect
from registry.curate.formats.worldcereal import WorldCereal
from registry.errors import RejectedError

KINDS = ("S2_L2A_10m", "S2_L2A_20m", "S1_GRD-ASCENDING_20m", "OUTPUT_POLY-110_10m")


def season(place, start="2018-08-01", end="2019-11-30", kinds=KINDS):
    return {f"{place}/{kind}_{place}_32631_{start}_{end}.nc": b"-" for kind in kinds}


def planned(listing):
    found = detect(listing, SourceOptions())
    assert found.format.name == "worldcereal"
    return found.format.plan(listing, SourceOptions())


def layers(plan, sample):
    return {
        row["asset"]: row["file"].rpartition(".nc/")[2]
        for row in plan.assets.to_pylist()
        if row["sample"] == sample
    }


def test_a_season_has_an_asset_for_each_sensor_and_each_label(listed):
    plan = planned(listed(season("0000AB")))
    assert layers(plan, "0000AB") == {
        "s2-10m": "B*",
        "s2-20m": "B*",
        "scl": "SCL",
        "s2-angles": "sun*,view*",
        "s1-ascending": "V*",
        "lc": "LC",
        "ct": "CT",
        "irr": "IRR",
    }
    (sample,) = plan.samples.to_pylist()
    assert sample["start_datetime"].isoformat() == "2018-08-01T00:00:00+00:00"
    assert sample["end_datetime"].isoformat() == "2019-11-30T23:59:59.999999+00:00"
    assert (plan.task, plan.findings) == ("segmentation", ())
    assert plan.specs["ct"].values[1110] == "Winter wheat"
    assert plan.specs["irr"].role == "labels"


def test_two_seasons_of_a_place_are_two_samples_of_one_group(listed):
    files = season("0000AB") | season("0000AB", "2019-08-01", "2020-11-30")
    rows = planned(listed(files)).samples.to_pylist()
    assert {row["id"]: row["group"] for row in rows} == {
        "0000AB-2018-08-01-2019-11-30": "0000AB",
        "0000AB-2019-08-01-2020-11-30": "0000AB",
    }


def test_a_sensor_that_others_have_is_missed(listed):
    files = season("0000AB", kinds=(*KINDS, "L8_SR_10m")) | season("0000CD")
    (finding,) = planned(listed(files)).findings
    assert (finding.check, finding.sample, finding.asset) == ("missing-pair", "0000CD", "l8-sr")


def test_a_product_that_is_not_known_is_taken_whole(listed):
    plan = planned(listed(season("0000AB", kinds=(*KINDS, "PROBAV_L3_100m"))))
    assert layers(plan, "0000AB")["probav_l3_100m"] == "*"


def test_a_second_file_of_one_kind_is_left_out_and_said(listed):
    files = season("0000AB", kinds=("OUTPUT_POLY-110_10m", "OUTPUT_POINT-1_10m"))
    plan = planned(listed(files))
    assert sorted(layers(plan, "0000AB")) == ["ct", "irr", "lc"]
    assert {finding.check for finding in plan.findings} == {"second-file"}


def test_monthly_cubes_are_samples_of_their_own(listed):
    plan = planned(listed(season("0000AB") | {"openeo/worldcereal_inputs.nc": b"-"}))
    assert set(plan.samples["id"].to_pylist()) == {"0000AB", "worldcereal_inputs"}
    assert layers(plan, "worldcereal_inputs")["s2"] == "B*,S2-*"
    assert "!B*" in layers(plan, "worldcereal_inputs")["other"]


def test_days_that_are_none_leave_a_season_undated(listed):
    (sample,) = planned(listed(season("0000AB", start="2018-13-01"))).samples.to_pylist()
    assert sample["start_datetime"] is None


def test_other_netcdf_is_not_taken_for_worldcereal(listed):
    listing = listed({"a.nc": b"-", "b.nc": b"-"})
    assert WorldCereal().recognises(listing) == 0
    with pytest.raises(RejectedError, match="no netCDF file of WorldCereal"):
        WorldCereal().plan(listing, SourceOptions())
