import json

import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from registry.curate.formats import SourceOptions, detect
from registry.curate.formats.coco_writer import CocoImage, write_document
from registry.curate.formats.run_lengths import pack, unpack
from registry.errors import RejectedError

RING = [10.0, 20.0, 30.0, 20.0, 30.0, 40.5]


def document(**changes):
    return {
        "images": [{"id": 7, "file_name": "a.jpg", "width": 100, "height": 50}],
        "annotations": [{"id": 3, "image_id": 7, "category_id": 2, "segmentation": [RING],
                         "bbox": [10, 20, 20, 20.5], "area": 205.0, "iscrowd": 0}],
        "categories": [{"id": 5, "name": "palm"}, {"id": 2, "name": "tree"}],
    } | changes  # fmt: skip


def planned(source, **options):
    found = detect(source, SourceOptions(**options))
    assert found.format.name == "coco"
    return found.format.plan(source, SourceOptions(**options))


def annotated(*rows):
    said = [{"id": n, "image_id": 7, "category_id": 2} | row for n, row in enumerate(rows, 1)]
    return document(annotations=said)


def test_shapes_are_in_pixels_and_classes_in_the_order_of_their_ids(listed):
    plan = planned(listed({"a.jpg": b"", "labels.json": document()}))
    (row,) = plan.annotations.to_pylist()
    assert (row["id"], row["sample"], row["crs"], row["category"]) == ("a-3", "a", "pixel", "tree")
    assert shapely.from_wkb(row["geometry"]).equals(
        shapely.Polygon([(10, 20), (30, 20), (30, 40.5)])
    )
    assert plan.classes == ("tree", "palm")
    assert plan.task == "segmentation"
    assert plan.findings == ()


@pytest.mark.parametrize(
    ("document_path", "image_path"),
    [("annotations/instances.json", "images/a.jpg"), ("x/data.json", "x/a.jpg"),
     ("data.json", "deep/down/a.jpg")],
)  # fmt: skip
def test_images_are_found_where_people_put_them(listed, document_path, image_path):
    plan = planned(listed({document_path: document(), image_path: b""}))
    assert plan.assets["file"].to_pylist() == [image_path]


def test_boxes_alone_are_detection(listed):
    source = listed({"a.jpg": b"", "l.json": annotated({"bbox": [1, 2, 3, 4]})})
    plan = planned(source)
    (row,) = plan.annotations.to_pylist()
    assert row["isbox"]
    assert shapely.from_wkb(row["geometry"]).bounds == (1, 2, 4, 6)
    assert plan.task == "detection"


def test_run_lengths_are_kept_with_the_box_around_them(listed):
    mask = {"size": [50, 100], "counts": pack([120, 30, 4850])}
    row = {"bbox": [2, 0, 3, 50], "segmentation": mask, "iscrowd": 1}
    plan = planned(listed({"a.jpg": b"", "l.json": annotated(row)}))
    (row,) = plan.annotations.to_pylist()
    assert json.loads(row["rle"]) == mask
    assert (row["isbox"], row["iscrowd"]) == (True, True)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"segmentation": [[1, 2, 3, 4]]}, "no three corners"),
        ({"segmentation": [[1, 2, 3, 4, "x", 6]]}, "no three corners"),
        ({"segmentation": "everything"}, "no list"),
        ({"bbox": [1, 2, 0, 4]}, "neither an outline nor a box"),
        ({}, "neither an outline nor a box"),
        ({"segmentation": {"size": [5, 5], "counts": [25]}, "bbox": [1, 1, 1, 1]}, "5 by 5"),
        ({"segmentation": {"size": [50, 100], "counts": [25]}, "bbox": [1, 1, 1, 1]}, "cover 25"),
        ({"segmentation": {"size": [50, 100], "counts": "~"}, "bbox": [1, 1, 1, 1]}, "run lengths"),
        ({"image_id": 99, "bbox": [1, 2, 3, 4]}, "image is not there"),
    ],
)
def test_an_annotation_that_makes_no_sense_is_left_out_and_reported(listed, row, problem):
    plan = planned(listed({"a.jpg": b"", "l.json": annotated(row)}))
    assert plan.annotations.num_rows == 0
    assert problem in plan.findings[0].message
    assert plan.findings[0].evidence["annotations"] == [1]


def test_a_flat_list_of_numbers_is_understood_and_reported(listed):
    plan = planned(listed({"a.jpg": b"", "l.json": annotated({"segmentation": RING})}))
    assert plan.annotations.num_rows == 1
    assert plan.findings[0].check == "bad-annotation"


def test_an_unknown_category_keeps_the_shape_without_a_class(listed):
    row = {"bbox": [1, 2, 3, 4], "category_id": 77}
    plan = planned(listed({"a.jpg": b"", "l.json": annotated(row)}))
    assert plan.annotations["category"].to_pylist() == [None]
    assert "category" in plan.findings[0].message


def test_missing_and_extra_images_are_reported(listed):
    images = [{"id": 7, "file_name": "a.jpg"}, {"id": 8, "file_name": "gone.jpg"}]
    plan = planned(listed({"a.jpg": b"", "b.jpg": b"", "l.json": document(images=images)}))
    assert plan.samples["id"].to_pylist() == ["a"]
    found = {one.check: one.severity.value for one in plan.findings}
    assert found == {"missing-pair": "error", "unlisted-image": "warning"}


def test_a_licence_that_is_referred_to_but_not_described_is_reported(listed):
    images = [{"id": 7, "file_name": "a.jpg", "license": 1}]
    plan = planned(listed({"a.jpg": b"", "l.json": document(images=images)}))
    assert [one.check for one in plan.findings] == ["missing-licence"]
    assert plan.samples["licence"].to_pylist() == [None]


def test_a_described_licence_reaches_its_samples(listed):
    said = document(
        images=[{"id": 7, "file_name": "a.jpg", "license": 1}],
        licenses=[{"id": 1, "name": "CC-BY-4.0", "url": ""}],
    )
    plan = planned(listed({"a.jpg": b"", "l.json": said}))
    assert plan.samples["licence"].to_pylist() == ["CC-BY-4.0"]


def test_a_document_that_is_no_json_rejects_the_source(listed):
    source = listed({"a.jpg": b"", "l.json": '{"images": [], "annotations": [}'})
    with pytest.raises(RejectedError, match="no JSON"):
        planned(source)


def test_several_documents_are_one_dataset(listed):
    second = document(images=[{"id": 7, "file_name": "b.jpg"}],
                      categories=[{"id": 2, "name": "house"}])  # fmt: skip
    source = {"a.jpg": b"", "b.jpg": b"", "train.json": document(), "val.json": second}
    plan = planned(listed(source))
    assert plan.samples["id"].to_pylist() == ["a", "b"]
    assert plan.classes == ("tree", "palm", "house")


def test_what_is_written_is_read_back_equal(listed):
    crowd = {"size": [50, 100], "counts": [120, 30, 4850]}
    source = annotated(
        {"segmentation": [RING], "score": 0.5, "extra": {"crown": 3}},
        {"segmentation": [RING, [1, 1, 2, 1, 2, 2]]},
        {"bbox": [1, 2, 3, 4], "category_id": 5},
        {"bbox": [2, 0, 3, 50], "segmentation": crowd, "iscrowd": 1},
    )
    first = planned(listed({"a.jpg": b"", "l.json": source}, "first"))
    written = write_document(
        [CocoImage(sample="a", file_name="a.jpg", width=100, height=50)],
        first.annotations.to_pylist(),
        classes=first.classes,
    )
    second = planned(listed({"a.jpg": b"", "l.json": written}, "second"))
    drop = ["area"]  # computed by the writer
    assert second.annotations.drop_columns(drop) == first.annotations.drop_columns(drop)
    assert second.classes == first.classes
    assert second.findings == ()
    assert second.annotations["area"].to_pylist() == [205, 205.5, 12, 30]


@given(st.lists(st.integers(0, 1 << 40), max_size=20))
def test_packed_run_lengths_unpack_to_the_same_counts(counts):
    assert unpack(pack(counts)) == counts


@pytest.mark.parametrize("text", ["\x00", "p", "P" * 40])
def test_damaged_run_lengths_are_rejected(text):
    with pytest.raises(RejectedError, match="run lengths"):
        unpack(text)


def test_annotations_keep_ids_of_their_own_where_two_documents_number_alike(listed):
    source = {"a.jpg": b"", "train.json": document(), "val.json": document()}
    plan = planned(listed(source))
    assert len(set(plan.annotations["id"].to_pylist())) == plan.annotations.num_rows == 2
    assert [one.check for one in plan.findings] == ["bad-annotation"]
