"""The ways back to COCO and GeoJSON, of rows that somebody has edited."""

import json

import pytest
import shapely

from registry.curate.formats.coco_writer import CocoImage, write_document
from registry.curate.formats.geojson import write_labels
from registry.errors import RejectedError

IMAGE = CocoImage(sample="s1", file_name="s1.jpg", width=4, height=4)
BOX = shapely.to_wkb(shapely.box(0, 0, 2, 2))


def row(**columns):
    return {"id": "s1-1", "sample": "s1", "category": "Boat", "geometry": BOX} | columns


def coco(**columns):
    [written] = json.loads(write_document([IMAGE], [row(**columns)], classes=[]))["annotations"]
    return written


def geojson(**columns):
    [feature] = json.loads(write_labels([row(**columns)], crs=None))["features"]
    return feature["properties"]


@pytest.mark.parametrize("write", [coco, geojson])
@pytest.mark.parametrize(
    ("attributes", "said"),
    [
        ("seen twice", {"attributes": "seen twice"}), ("{", {"attributes": "{"}),
        ('{"wake": true}', {"wake": True}), ("[1]", {"attributes": [1]}), ("null", {}), (None, {}),
    ],
)  # fmt: skip
def test_attributes_that_are_no_json_are_kept_as_text(write, attributes, said):
    without = write()
    assert write(attributes=attributes) == said | without


@pytest.mark.parametrize("rle", ["", "x", "[]", "{}", '{"size": [4, 4], "counts": [1]}'])
def test_a_mask_that_is_none_is_refused_by_the_id_of_its_annotation(rle):
    with pytest.raises(RejectedError, match="s1-1"):
        coco(rle=rle)


def test_a_mask_is_written_with_its_area():
    mask = {"size": [4, 4], "counts": [6, 2, 8]}
    written = coco(rle=json.dumps(mask))
    assert (written["segmentation"], written["area"]) == (mask, 2.0)
