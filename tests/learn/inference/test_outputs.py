"""What a prediction may write."""

import os

import pytest

from registry.errors import InvalidInputError
from registry.learn.inference.outputs import check_kind, check_places
from registry.learn.models.architecture import Head, HeadTask


def test_a_file_that_is_read_is_not_written_under_any_of_its_names(tmp_path):
    scene, linked, hard = (tmp_path / name for name in ("s.tif", "linked.tif", "hard.tif"))
    scene.write_bytes(b"scene")
    linked.symlink_to(scene)
    os.link(scene, hard)
    for one in (scene, linked, hard, tmp_path / "." / "s.tif"):
        with pytest.raises(InvalidInputError, match="which is read"):
            check_places([one], [scene])
    check_places([tmp_path / "map.tif"], [scene])


def test_the_picture_does_not_take_the_place_of_the_map(tmp_path):
    with pytest.raises(InvalidInputError, match="written twice"):
        check_places([tmp_path / "a.tif", tmp_path / "a.tif"], [])


@pytest.mark.parametrize(
    ("task", "good", "bad"),
    [
        (HeadTask.SEGMENTATION, ("m.tif", "m.TIFF"), ("m.png", "m", "m.geojson")),
        (HeadTask.DETECTION, ("m.geojson", "m.json"), ("m.tif", "m.shp")),
    ],
)
def test_names_say_what_files_hold(tmp_path, task, good, bad):
    head = Head(name="a", task=task, classes=("x", "y"))
    for name in good:
        check_kind(tmp_path / name, head)
    for name in bad:
        with pytest.raises(InvalidInputError, match="cannot hold"):
            check_kind(tmp_path / name, head)
