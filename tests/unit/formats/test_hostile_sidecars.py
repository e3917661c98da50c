"""Whatever a sidecar holds, its reader answers with rows and findings or an error of ours."""

import contextlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.curate.formats import FORMATS, SourceOptions, open_listing
from registry.curate.formats.geojson import read_labels
from registry.curate.formats.records import parse_record
from registry.errors import RegistryError

WORDS = [
    "type", "features", "geometry", "properties", "coordinates", "crs", "name", "labels", "label",
    "bbox", "bounding-box", "datetime", "start_datetime", "end_datetime", "time_start", "time_end",
    "id", "images", "annotations", "categories", "licenses", "image_id", "category_id", "size",
    "segmentation", "counts", "file_name", "area", "iscrowd", "score", "info", "width", "height",
    "date_captured", "tasks", "group", "target", "collection",
]  # fmt: skip
TEXTS = [
    "Feature", "FeatureCollection", "Polygon", "Point", "MultiPolygon", "GeometryCollection",
    "2020-01-01", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "urn:ogc:def:crs:EPSG::4326",
    "EPSG:999999", "a.jpg", "../a.jpg", "", "\u0000", "a" * 300, "NaN",
]  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(TEXTS) | st.text(max_size=5)
)  # fmt: skip
words = st.sampled_from(WORDS) | st.text(max_size=3)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=6),
    max_leaves=25,
)
objects = st.dictionaries(st.sampled_from(WORDS), values, max_size=10)


@given(objects)
def test_any_object_is_a_record(said):
    parse_record(said).columns()


@given(objects, st.booleans())
def test_any_geojson_is_labels_or_an_error_of_ours(said, boxes):
    raw = json.dumps({"type": "FeatureCollection", "features": [said]} | said).encode()
    with contextlib.suppress(RegistryError):
        read_labels(raw, sample="a", boxes=boxes)


geometries = st.fixed_dictionaries({
    "type": st.sampled_from(TEXTS[2:6]), "coordinates": values, "geometries": values,
})  # fmt: skip


@given(st.lists(st.fixed_dictionaries({"geometry": geometries, "properties": values}), max_size=4))
def test_any_geometry_is_read_or_counted(features):
    raw = json.dumps({"type": "FeatureCollection", "features": features}).encode()
    with contextlib.suppress(RegistryError):
        read_labels(raw, sample="a")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("source")
    for name in ("a.jpg", "b.tif", "b.mask.tif"):
        (root / name).write_bytes(b"")
    return root


annotation = st.fixed_dictionaries({}, optional={
    "id": scalars, "image_id": st.just(1) | scalars, "category_id": scalars,
    "segmentation": values, "bbox": st.lists(scalars, max_size=5) | values, "score": values,
})  # fmt: skip


@settings(max_examples=40)
@given(st.lists(annotation, max_size=4), objects)
def test_any_coco_file_is_a_plan_or_an_error_of_ours(folder, rows, said):
    images = [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}]
    document = {"categories": [{"id": 1}], "annotations": rows, "images": images, "x": said}
    (folder / "labels.json").write_text(json.dumps(document))
    with contextlib.suppress(RegistryError):
        FORMATS["coco"].plan(open_listing(folder), SourceOptions())


@settings(max_examples=40)
@given(objects, st.lists(values, max_size=3) | values)
def test_any_sidecar_leaves_its_sample_in_the_plan(folder, said, table):
    for name, content in {
        "b.json": said, "metadata.json": table, "labels.json": said,
        "b_labels.geojson": {"type": "FeatureCollection"} | said,
    }.items():  # fmt: skip
        (folder / name).write_text(json.dumps(content))
    for name in ("geotiff-sidecar", "image-mask"):
        plan = FORMATS[name].plan(open_listing(folder), SourceOptions())
        assert "b" in plan.samples["id"].to_pylist()
