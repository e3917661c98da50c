import pytest
import shapely

from registry.curate.formats import SourceOptions, detect

LOZENGE = {"type": "Polygon", "coordinates": [[[10, 56], [11, 57], [10, 58], [9, 57], [10, 56]]]}


def features(*geometries, crs=None, **properties):
    each = [{"type": "Feature", "properties": properties, "geometry": one} for one in geometries]
    said = {"type": "FeatureCollection", "features": each}
    return said | ({"crs": {"type": "name", "properties": {"name": crs}}} if crs else {})


def planned(source, **options):
    found = detect(source, SourceOptions(**options))
    assert found.format.name == "geotiff-sidecar"
    return found.format.plan(source, SourceOptions(**options))


def ship(**changes):
    return {"acquisition-date": "2022-08-25", "bounding-box": [9, 56, 11, 58],
            "type": "sentinel-2-l2a"} | changes  # fmt: skip


def test_a_date_is_the_interval_of_that_day_and_a_box_the_footprint(listed):
    plan = planned(listed({"s.tif": b"", "s.json": ship()}))
    (row,) = plan.samples.to_pylist()
    assert row["datetime"] is None
    assert row["start_datetime"].isoformat() == "2022-08-25T00:00:00+00:00"
    assert row["end_datetime"].isoformat() == "2022-08-25T23:59:59.999999+00:00"
    assert shapely.from_wkb(row["geometry"]).bounds == (9, 56, 11, 58)
    assert row["collection"] == "sentinel-2-l2a"
    assert plan.findings == ()


def test_an_instant_stays_an_instant(listed):
    sidecar = ship(**{"acquisition-date": "2022-08-25T10:36:41Z"})
    plan = planned(listed({"s.tif": b"", "s.json": sidecar}))
    (row,) = plan.samples.to_pylist()
    assert row["datetime"].isoformat() == "2022-08-25T10:36:41+00:00"
    assert row["start_datetime"] is None


def test_labels_become_annotations_with_classes_in_the_list_s_order(listed):
    boats = features(LOZENGE, labels=["Boat"], tasks=["segmentation"])
    plan = planned(listed({
        "s.tif": b"", "s_labels.geojson": boats,
        "labels.json": {"labels": [{"name": "Ferry"}, {"name": "Boat", "color": "#ff8000"}]},
    }))  # fmt: skip
    (row,) = plan.annotations.to_pylist()
    assert (row["category"], row["crs"], row["isbox"]) == ("Boat", "OGC:CRS84", False)
    assert shapely.from_wkb(row["geometry"]).area == pytest.approx(2)
    assert plan.classes == ("Ferry", "Boat")
    assert plan.task == "segmentation"


def test_detection_keeps_the_boxes_of_shapes_and_flags_them(listed):
    source = listed({"s.tif": b"", "s_labels.geojson": features(LOZENGE, labels=["Boat"])})
    (row,) = planned(source, task="detection").annotations.to_pylist()
    assert row["isbox"]
    assert shapely.from_wkb(row["geometry"]).equals(shapely.box(9, 56, 11, 58))


def test_ids_of_annotations_stay_when_others_come_before_them(listed):
    other = {"type": "Point", "coordinates": [10, 57]}
    one = planned(listed({"s.tif": b"", "s.geojson": features(LOZENGE)}, "one"))
    two = planned(listed({"s.tif": b"", "s.geojson": features(other, LOZENGE)}, "two"))
    assert one.annotations["id"][0] == two.annotations["id"][1]


def test_a_stated_crs_is_kept(listed):
    labels = features(LOZENGE, crs="urn:ogc:def:crs:EPSG::32616")
    (row,) = planned(listed({"s.tif": b"", "s.geojson": labels})).annotations.to_pylist()
    assert row["crs"] == "EPSG:32616"


def test_metres_without_a_crs_are_not_taken_for_degrees(listed):
    metres = {"type": "Point", "coordinates": [-658589.4, 2119553.8]}
    plan = planned(listed({"s.tif": b"", "s.geojson": features(metres)}))
    assert plan.annotations["crs"].to_pylist() == [None]
    assert "no degrees" in plan.findings[0].message


@pytest.mark.parametrize(
    ("sidecar", "problem"),
    [
        ("{", "cannot be read"),
        ("[" * 5000 + "]" * 5000, "cannot be read"),
        ("[1]", "no JSON object"),
        (ship(**{"acquisition-date": "soon"}), "no ISO 8601 time"),
        (ship(**{"bounding-box": [0, 0, 128, 128]}), "no area in degrees"),
        (ship(**{"bounding-box": "everywhere"}), "not west, south, east, north"),
    ],
)
def test_a_sidecar_that_makes_no_sense_is_reported_and_its_sample_kept(listed, sidecar, problem):
    plan = planned(listed({"s.tif": b"", "s.json": sidecar}))
    assert plan.samples.num_rows == 1
    assert [one.check for one in plan.findings] == ["bad-sidecar"]
    assert problem in plan.findings[0].message


@pytest.mark.parametrize(
    "labels", ["{}", '{"type": "FeatureCollection", "features": 3}', features(LOZENGE, crs="odd")]
)
def test_labels_that_make_no_sense_are_reported(listed, labels):
    plan = planned(listed({"s.tif": b"", "s.geojson": labels}))
    assert [one.check for one in plan.findings] == ["bad-sidecar"]
    assert plan.annotations.num_rows == 0


def test_features_without_a_geometry_are_counted(listed):
    plan = planned(listed({"s.tif": b"", "s.geojson": features(None, LOZENGE, {"type": "Odd"})}))
    assert plan.annotations.num_rows == 1
    assert "2 of 3 features" in plan.findings[0].message


def test_an_image_without_the_labels_that_others_have_is_reported(listed):
    plan = planned(listed({
        "a.tif": b"", "a_labels.geojson": features(LOZENGE),
        "b.tif": b"", "b_labels.geojson": features(LOZENGE), "c.tif": b"",
    }))  # fmt: skip
    assert [(one.check, one.sample) for one in plan.findings] == [("missing-pair", "c")]


def test_labels_may_lie_in_a_folder_of_their_own(listed):
    plan = planned(listed({"images/a.tif": b"", "labels/a.geojson": features(LOZENGE)}))
    assert plan.annotations["sample"].to_pylist() == ["a"]


def test_images_alone_are_samples_without_labels(listed):
    plan = planned(listed({"patch_0.tif": b"", "patch_1.tif": b""}))
    assert plan.task is None
    assert plan.findings == ()


def test_folders_of_files_of_like_names_are_samples_with_assets(listed):
    plan = planned(listed({f"{p}/{s}.tif": b"" for p in ("p1", "p2") for s in ("s1", "s2")}))
    assert plan.samples["id"].to_pylist() == ["p1", "p2"]
    assert plan.assets["asset"].to_pylist() == ["s1", "s2", "s1", "s2"]


def test_files_that_are_no_part_of_it_are_noted(listed):
    plan = planned(listed({"a.tif": b"", "ais/positions.csv": "MMSI\n1\n"}))
    assert plan.findings[0].check == "ignored-files"
    assert plan.findings[0].evidence["files"] == ["ais/positions.csv"]
    assert plan.findings[0].severity == "info"


def test_arrays_and_layers_that_nothing_reads_are_warned_of(listed):
    plan = planned(listed({"a.tif": b"", "a/cube.nc": b"", "b/cube.nc": b"", "c.shp": b""}))
    (found,) = plan.findings
    assert found.severity == "warning"
    assert "3, such as 'a/cube.nc'" in found.message
    assert ".nc, .shp" in found.fix


def test_a_sidecar_may_state_licence_provider_label_and_further_facts(listed):
    said = {"licence": "CC0-1.0", "provider": "ESA", "label": "harbour", "group": "kattegat",
            "sea_state": 3, "note": "calm", "nested": {"x": 1}}  # fmt: skip
    plan = planned(listed({"s.tif": b"", "s.json": said}))
    (row,) = plan.samples.to_pylist()
    assert (row["licence"], row["provider"], row["label"]) == ("CC0-1.0", "ESA", ["harbour"])
    assert (row["group"], row["properties"]) == ("kattegat", {"sea_state": 3, "note": "calm"})
    assert plan.task == "classification"
    assert plan.classes == ("harbour",)


def test_bands_in_files_of_their_own_are_warned_of(listed):
    plan = planned(listed({f"S2A_33_{band}.tif": b"" for band in ("B02", "B8A", "B11")}))
    (found,) = [one for one in plan.findings if one.check == "bands-apart"]
    assert "3 of 1 scenes" in found.message
    assert planned(listed({"x_B02.tif": b"", "y_B02.tif": b""}, "other")).findings == ()
