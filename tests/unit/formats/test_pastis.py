"""Which patches PASTIS' two layouts hold, and what their metadata say of each."""

import json

import pytest
import shapely

from registry.curate.formats import SourceOptions, detect
from registry.errors import RejectedError

HDF5 = ("s2.h5", "s1a.h5", "s1d.h5", "semantic.h5", "instance.h5")
RECORD = {
    "id": "10",
    "dates": [20180924, "2018-09-29", 20181004],
    "lon": 5.5,
    "lat": 44.25,
    "tile": "t31tfj",
    "data_split": "validation",
}


def foldered(*patches, files=HDF5):
    return {f"{patch}/{name}": b"-" for patch in patches for name in files}


def feature(number, fold=1, **said):
    ring = [[0, 0], [1280, 0], [1280, 1280], [0, 1280], [0, 0]]
    shifted = [[700_000 + x, 6_600_000 + y] for x, y in ring]
    own = {"ID_PATCH": number, "Fold": fold, "TILE": "t31tfm"} | said
    return {
        "type": "Feature",
        "id": str(number),
        "properties": own,
        "geometry": {"type": "MultiPolygon", "coordinates": [[shifted]]},
    }


def official(*numbers, metadata=None):
    files = {}
    for number in numbers:
        files |= {
            f"DATA_S2/S2_{number}.npy": b"-",
            f"DATA_S1A/S1A_{number}.npy": b"-",
            f"DATA_S1D/S1D_{number}.npy": b"-",
            f"ANNOTATIONS/TARGET_{number}.npy": b"-",
            f"ANNOTATIONS/ParcelIDs_{number}.npy": b"-",
            f"INSTANCE_ANNOTATIONS/INSTANCES_{number}.npy": b"-",
            f"INSTANCE_ANNOTATIONS/HEATMAP_{number}.npy": b"-",
        }
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::2154"}}
    document = {"type": "FeatureCollection", "crs": crs, "features": metadata or []}
    return files | {"metadata.geojson": document}


def planned(listing, **options):
    found = detect(listing, SourceOptions(**options))
    assert found.format.name == "pastis"
    return found.format.plan(listing, SourceOptions(**options))


def assets(plan):
    return {
        (row["sample"], row["asset"]): (row["file"], row["times"])
        for row in plan.assets.to_pylist()
    }


def found(plan):
    return sorted({finding.check for finding in plan.findings})


def test_a_folder_is_a_patch_with_two_orbits_and_two_masks(listed):
    plan = planned(listed(foldered("10") | {"metadata.json": [RECORD]}))
    rows = assets(plan)
    assert [asset for _, asset in rows] == [
        "s2", "s1a", "s1d", "semantic", "semantic-further", "instance",
    ]  # fmt: skip
    assert rows["10", "semantic"][0] == "10/semantic.h5/*[0]"
    assert rows["10", "semantic-further"][0] == "10/semantic.h5/*[1:]"
    assert (plan.task, len(plan.classes), plan.classes[1]) == ("segmentation", 20, "Meadow")
    assert plan.specs["semantic"].values[13] == "Potatoes"
    assert plan.specs["s2"].bands[7] == "B8A"


def test_dates_alone_are_those_of_sentinel_2(listed):
    rows = assets(planned(listed(foldered("10") | {"metadata.json": [RECORD]})))
    days = [moment.date().isoformat() for moment in rows["10", "s2"][1]]
    assert days == ["2018-09-24", "2018-09-29", "2018-10-04"]
    assert rows["10", "s1a"][1] is None


def test_each_orbit_has_its_own_dates_where_they_are_said(listed):
    said = RECORD | {"dates-S1A": {"1": 20180903, "0": 20180902}, "dates-S1D": [20180904]}
    plan = planned(listed(foldered("10") | {"metadata.json": [said]}))
    rows = assets(plan)
    assert [moment.day for moment in rows["10", "s1a"][1]] == [2, 3]
    assert [moment.day for moment in rows["10", "s1d"][1]] == [4]
    (sample,) = plan.samples.to_pylist()
    assert sample["start_datetime"].isoformat() == "2018-09-02T00:00:00+00:00"
    assert sample["end_datetime"].isoformat() == "2018-10-04T23:59:59.999999+00:00"


def test_a_point_is_all_that_is_known_of_a_place_and_is_said(listed):
    plan = planned(listed(foldered("10") | {"metadata.json": [RECORD]}))
    (sample,) = plan.samples.to_pylist()
    assert shapely.from_wkb(sample["geometry"]).equals(shapely.Point(5.5, 44.25))
    assert sample["properties"] == {"tile": "t31tfj"}
    assert found(plan) == ["approximate-place"]
    assert plan.splits["official"].to_pylist() == [
        {"sample": "10", "subset": "validate", "fold": None}
    ]


def test_the_authors_own_files_have_outlines_folds_and_dates(listed):
    dates = {"dates-S2": {"0": 20180924, "1": 20181004, "10": 20181104, "2": 20181014}}
    plan = planned(
        listed(official(10, 20, metadata=[feature(10, **dates), feature(20, fold=5)])),
    )
    rows = assets(plan)
    assert rows["10", "s2"][0] == "DATA_S2/S2_10.npy/data"
    assert rows["10", "semantic"][0] == "ANNOTATIONS/TARGET_10.npy/data[0]"
    assert rows["20", "parcel"][0] == "ANNOTATIONS/ParcelIDs_20.npy/data"
    assert [moment.month for moment in rows["10", "s2"][1]] == [9, 10, 10, 11]
    outline = shapely.from_wkb(plan.samples.to_pylist()[0]["geometry"])
    assert outline.geom_type == "Polygon" or len(outline.geoms) == 1
    assert outline.centroid.distance(shapely.Point(3.008, 46.506)) < 0.01
    assert [row["fold"] for row in plan.splits["official"].to_pylist()] == [0, 4]
    assert found(plan) == ["ignored-files"]  # the heat maps


def test_what_is_missing_or_too_much_is_said(listed):
    files = foldered("10", "20")
    del files["20/s1d.h5"]
    plan = planned(listed(files | {"metadata.json": [RECORD, RECORD | {"id": "30"}]}))
    assert found(plan) == [
        "approximate-place", "missing-files", "missing-metadata", "missing-pair",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dates": [20181324]}, "has the date 20181324 for s2"),
        ({"dates": ["now"]}, "has the date 'now' for s2"),
        ({"lon": 500}, "it lies at longitude 500"),
        ({"lat": None}, "it lies at longitude 5.5, latitude None"),
        ({"id": None}, "without a number"),
        ({"dates": {"9" * 5_000: 20180920, "0": "never"}}, "has the date 'never' for s2"),
    ],
)
def test_metadata_that_cannot_be_are_said_and_left_out(listed, change, words):
    plan = planned(listed(foldered("10") | {"metadata.json": [RECORD | change]}))
    assert any(words in finding.message for finding in plan.findings)
    (sample,) = plan.samples.to_pylist()
    assert sample["id"] == "10"


@pytest.mark.parametrize("document", ["{", "[]", "7", json.dumps({"features": [7, {}]}), '["a"]'])
def test_metadata_of_another_kind_say_nothing(listed, document):
    plan = planned(listed(foldered("10") | {"metadata.json": document}))
    (sample,) = plan.samples.to_pylist()
    assert (sample["geometry"], sample["start_datetime"]) == (None, None)


@pytest.mark.parametrize("crs", [{"properties": {"name": "EPSG:0"}}, {"properties": []}, "none"])
def test_an_outline_in_an_unknown_system_is_no_place(listed, crs):
    files = official(10, metadata=[feature(10)])
    files["metadata.geojson"]["crs"] = crs
    plan = planned(listed(files))
    assert plan.samples["geometry"].null_count == 1
    assert "bad-sidecar" in found(plan)


def test_other_arrays_are_not_taken_for_patches(listed):
    from registry.curate.formats.pastis import Pastis

    listing = listed({"a/data.h5": b"-", "b/x.npy": b"-"})
    assert Pastis().recognises(listing) == 0
    with pytest.raises(RejectedError, match="no patch of PASTIS"):
        Pastis().plan(listing, SourceOptions())
