"""COCO to a labelling tool and back, with what such tools do to it."""

import orjson
import pytest

from registry.curate.exchange import export, propose
from registry.errors import RejectedError


@pytest.fixture
def coco(ships, tmp_path):
    """Return the path of an export, changed as a tool would."""
    path = tmp_path / "fix.json"
    export(ships, ships.resolve("ships@fix"), "annotations", path)

    def changed(change):
        said = orjson.loads(path.read_bytes())
        change(said)
        path.write_bytes(orjson.dumps(said))
        return path

    return changed


def brought(ships, path, **options):
    with propose(ships, "ships@fix", path, **options) as proposal:
        return proposal.brought


def as_cvat_saves(said, *, keep_ids=True):
    """Count anew, round, forget `info`, and add what CVAT adds."""
    said["info"] = {"contributor": "", "version": ""}
    said["images"] = said["images"][::-1]
    numbers = {one["id"]: n for n, one in enumerate(said["images"], 11)}
    for one in said["images"]:
        one["id"] = numbers[one["id"]]
        one["file_name"] = one["file_name"].replace(".tif", ".png")
    for number, one in enumerate(said["annotations"][::-1], 1):
        one["id"] = number
        one["image_id"] = numbers[one["image_id"]]
        one["segmentation"] = [[round(v, 2) for v in part] for part in one["segmentation"]]
        one["bbox"] = [round(v, 2) for v in one["bbox"]]
        one.pop("score", None)
        kept = {"eolab_id": one["attributes"]["eolab_id"]} if keep_ids else {}
        one["attributes"] = {**one["attributes"], **kept, "occluded": False}
        if not keep_ids:
            one["attributes"] = {"occluded": False}


def test_all_frames_are_pixels_of_pictures_that_checkout_writes(ships, coco, tmp_path):
    from registry.catalog import edit_rows
    from registry.curate.checkout import checkout

    where = "attributes = 'no JSON'"  # a checkout takes attributes for JSON
    edit_rows(ships, "ships@fix", table="annotations", assignments=["attributes=null"], where=where)
    said = orjson.loads(coco(dict.copy).read_bytes())
    assert [one["name"] for one in said["categories"]][:2] == ["Boat", "Ferry"]
    first = next(one for one in said["annotations"] if one["attributes"]["eolab_id"] == "s0-1")
    assert first["segmentation"][0][:2] == pytest.approx([1.01, 1.02])
    checkout(ships.resolve("ships@fix"), tmp_path / "files", "coco")
    names = {path.name for path in (tmp_path / "files" / "images").iterdir()}
    assert {one["file_name"] for one in said["images"]} == names


def test_a_tool_that_counts_anew_and_rounds_edits_nothing(ships, coco):
    done = brought(ships, coco(as_cvat_saves))
    assert done.changes.num_rows == 0
    assert done.missing == 0


def test_annotations_without_ids_are_found_by_their_outline(ships, coco):
    def change(said):
        as_cvat_saves(said, keep_ids=False)
        one = next(a for a in said["annotations"] if a["segmentation"][0][:2] == [1.01, 1.02])
        one["category_id"] = 2

    done = brought(ships, coco(change))
    assert (done.inserted, done.missing) == (0, 0)
    by_id = {row["id"]: row["columns"] for row in done.changes.to_pylist()}
    assert "category" in by_id.pop("s0-1")
    assert all(columns == ["attributes"] for columns in by_id.values())


def test_edits_of_a_labelling_tool(ships, coco):
    def change(said):
        as_cvat_saves(said)
        rows = {one["attributes"]["eolab_id"]: one for one in said["annotations"]}
        rows["s0-1"]["category_id"] = 2
        rows["photo-1"]["segmentation"][0][0] += 1
        said["annotations"].remove(rows["=s1"])
        new = {**rows["007"], "id": 99, "attributes": {"occluded": True}, "iscrowd": 0}
        said["annotations"].append(
            new | {"segmentation": [], "bbox": [10, 10, 4, 2], "category_id": 1}
        )

    done = brought(ships, coco(change))
    assert (done.inserted, done.updated, done.missing) == (1, 2, 1)
    rows = {row["id"]: row for row in done.changes.to_pylist()}
    assert rows["s0-1"]["columns"] == ["category"]
    new = next(row["after"] for row in rows.values() if row["change"] == "inserted")
    assert (new["sample"], new["frame"], new["category"], new["isbox"]) == (
        "s0", "crs", "Boat", True,
    )  # fmt: skip
    assert new["area"] == pytest.approx(40 * 20)  # pixels of ten metres


def test_numbers_find_their_ids_where_a_tool_keeps_info(ships, coco):
    def change(said):
        for one in said["annotations"]:
            del one["attributes"]
        said["annotations"][0]["category_id"] = 2

    done = brought(ships, coco(change))
    assert done.updated == 1
    assert done.changes.column("columns").to_pylist() == [["category"]]


def test_a_picture_that_is_none_of_the_dataset(ships, coco):
    path = coco(lambda said: said["images"][0].update(file_name="../../etc/passwd"))
    with pytest.raises(RejectedError, match="is no picture of the dataset"):
        brought(ships, path)


@pytest.mark.parametrize(
    "damage",
    [
        {"segmentation": [[1, 2, 3]]}, {"segmentation": [], "bbox": [1]}, {"segmentation": 7},
        {"segmentation": {"counts": [1], "size": [9, 9]}}, {"image_id": 99}, {"category_id": 99},
        {"segmentation": [[1, 2, 3, 4, 5, float("inf")]]}, {"segmentation": [["a"] * 6]},
    ],
)  # fmt: skip
def test_an_annotation_that_is_none(ships, coco, damage):
    path = coco(lambda said: said["annotations"][1].update(damage))
    with pytest.raises(RejectedError, match="annotation"):
        brought(ships, path)
