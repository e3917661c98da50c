import json
import os
import signal
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest
import rasterio

from registry.curate.formats.unplaced import unplaced_allowed
from registry.errors import InvalidInputError, UnavailableError
from registry.learn.inference.mapping import DISTANCE, Options, draw
from registry.learn.inference.scenes import open_files
from registry.learn.inference.writing import MapWriter
from registry.learn.models.architecture import Head, HeadTask

SMALL = Options(window=64, overlap=16)


def truth(array):
    """Return the class of each pixel, computed on the whole scene at once."""
    red, blue = array[2].astype(float), array[0].astype(float)
    return np.where(red - blue + 100 < 0, 1, 0).astype(np.uint8)


def drawn(path, contract, net, head, out, options=SMALL, **more):
    with open_files(contract, {"image": [path]}) as scene:
        return draw(scene, net, head, out, options=options, **more)


def test_a_map_lies_where_its_scene_lies_to_the_pixel(
    tmp_path, geotiff, contract, tell, water, coordinates
):
    path, out = geotiff(), tmp_path / "map.tif"
    done = drawn(path, contract, tell, water, out, tags={"eolab_model": "wet@v1"})
    with rasterio.open(path) as scene, rasterio.open(out) as made:
        assert made.crs == scene.crs
        assert made.transform == scene.transform
        assert made.shape == scene.shape
        assert made.tags()["eolab_model"] == "wet@v1"
        assert (made.read(1) == truth(coordinates(150, 210))).all()
        assert made.read(1).any()
    assert sum(done.counts.values()) == done.observed == 150 * 210


def test_a_map_is_cloud_optimised_and_names_its_classes(tmp_path, geotiff, contract, tell, water):
    out = tmp_path / "map.tif"
    drawn(geotiff(shape=(1100, 600)), contract, tell, water, out, Options(window=512, overlap=64))
    with rasterio.open(out) as made:
        assert made.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert made.overviews(1) == [2, 4]
        assert made.profile["blockxsize"] == 512
        assert made.nodata == 255
        assert made.dtypes == ("uint8",)
        assert made.colormap(1)[1] == (230, 159, 0, 255)
        assert json.loads(made.tags()["eolab_classes"]) == ["land", "water"]
    names = ET.parse(f"{out}.aux.xml").findall("PAMRasterBand/CategoryNames/Category")  # noqa: S314 — of our own making
    assert [name.text for name in names] == ["land", "water"]


def test_gaps_stay_gaps(tmp_path, geotiff, contract, tell, water, coordinates, pixels):
    array = coordinates(150, 210)
    array[:, 40:90, 30:160] = 0
    array[1, :10, :10] = 0  # a band that the model does not read
    array[0, 100:, 200:] = 0
    out = tmp_path / "map.tif"
    done = drawn(geotiff(array=array), contract, tell, water, out)
    gaps = (array[0] == 0) | (array[2] == 0)
    made = pixels(out)[0]
    assert ((made == 255) == gaps).all()
    assert (made[~gaps] == truth(array)[~gaps]).all()
    assert done.observed == (~gaps).sum()


def test_probabilities_and_uncertainty_lie_beside(tmp_path, geotiff, contract, tell, water, pixels):
    out = tmp_path / "map.tif"
    options = replace(SMALL, probabilities=True, uncertainty=True)
    done = drawn(geotiff(), contract, tell, water, out, options)
    assert set(done.files) == {"map", "probabilities", "uncertainty"}
    with rasterio.open(done.files["probabilities"]) as file:
        assert file.descriptions == ("land", "water")
        shares = file.read() * file.scales[0]
    assert np.abs(shares.sum(0) - 1).max() < 2e-4
    assert (shares.argmax(0) == pixels(out)[0])[np.abs(shares[0] - 0.5) > 1e-3].all()
    sure = pixels(done.files["uncertainty"])[0] * 1e-4
    assert sure.max() <= 1
    assert (sure[np.abs(shares[0] - 0.5) < 0.01] > 0.99).all()


@pytest.mark.parametrize("shape", [(1, 1), (5, 9), (64, 64), (64, 65), (63, 200)])
def test_scenes_of_any_size_have_maps_of_that_size(
    tmp_path, geotiff, contract, tell, water, coordinates, pixels, shape
):
    array = coordinates(*shape)
    out = tmp_path / "map.tif"
    drawn(geotiff(array=array), contract, tell, water, out)
    assert (pixels(out)[0] == truth(array)).all()


def test_a_scene_without_a_place_keeps_its_pixels(
    tmp_path, geotiff, contract, tell, water, coordinates
):
    path = geotiff(crs=None, transform=rasterio.Affine.identity())
    out = tmp_path / "map.tif"
    with open_files(contract, {"image": [path]}) as scene:
        assert "scene.tif has no place: the map keeps its pixels, row 0 above" in scene.said
        draw(scene, tell, water, out, options=SMALL)
    with unplaced_allowed(), rasterio.open(out) as made:
        assert made.crs is None
        assert made.transform.is_identity
        assert (made.read(1) == truth(coordinates(150, 210))).all()


def test_a_scene_without_a_system_keeps_its_coordinates(tmp_path, geotiff, contract, tell, water):
    out = tmp_path / "map.tif"
    with open_files(contract, {"image": [geotiff(crs=None)]}) as scene:
        assert "has no CRS" in " ".join(scene.said)
        draw(scene, tell, water, out, options=SMALL)
    with rasterio.open(out) as made:
        assert made.crs is None
        assert made.transform.c == 500_000


def test_quantities_are_written_as_they_are(tmp_path, geotiff, contract, coordinates):
    head = Head(name="biomass", task=HeadTask.PIXEL_REGRESSION, unit="t/ha")

    def net(arrays):
        return {"biomass": arrays["image"][:, :1].astype(np.float32) / 8}

    array = coordinates(150, 210)
    array[:, :50] = 0
    out = tmp_path / "map.tif"
    done = drawn(geotiff(array=array), contract, net, head, out)
    with rasterio.open(out) as made:
        assert made.units == ("t/ha",)
        values = made.read(1)
    assert np.isnan(values[:50]).all()
    assert (values[50:] == array[2, 50:] / np.float32(8)).all()
    assert done.mean == pytest.approx(float(values[50:].mean()), rel=1e-6)


def test_what_lies_too_far_from_the_training_data_is_left_out(
    tmp_path, geotiff, contract, tell, water, coordinates, pixels
):
    array = coordinates(128, 128)
    array[:, :64] += 3000

    def far(arrays):
        bright = arrays["image"].mean((1, 2, 3), dtype=np.float64) > 1500
        return tell(arrays) | {DISTANCE: np.where(bright, 5.0, 0.2)[:, None].astype(np.float32)}

    out = tmp_path / "map.tif"
    options = Options(window=64, overlap=0, abstain=True)
    done = drawn(geotiff(array=array), contract, far, water, out, options)
    assert done.abstained == 64 * 128
    made = pixels(out)[0]
    assert (made[:64] == 255).all()
    assert (made[64:] == truth(array)[64:]).all()
    assert pixels(done.files["domain"])[0, 0, 0] == 5


def test_a_head_of_one_class_tells_it_from_everything_else(tmp_path, geotiff, contract, pixels):
    head = Head(name="wet", task=HeadTask.SEGMENTATION, classes=("water",))

    def net(arrays):
        return {"wet": (arrays["image"][:, :1] > 300).astype(np.float32)}

    done = drawn(geotiff(), contract, net, head, tmp_path / "map.tif")
    assert list(done.counts) == ["not water", "water"]
    assert set(np.unique(pixels(tmp_path / "map.tif"))) == {0, 1}


def test_an_error_on_the_way_leaves_nothing_and_the_old_map(tmp_path, geotiff, contract, water):
    out = tmp_path / "map.tif"
    out.write_bytes(b"the map of yesterday")
    path = geotiff()

    def net(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        drawn(path, contract, net, water, out)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["map.tif", "scene.tif"]
    assert out.read_bytes() == b"the map of yesterday"


def test_a_process_that_is_killed_leaves_nothing(tmp_path, geotiff):
    geotiff()
    code = f"""
        import os
        from pathlib import Path
        import numpy as np
        from registry.learn.inference.rasters import Placement
        from registry.learn.inference.writing import MapWriter, class_layout
        where = Placement(height=600, width=600, crs=None, transform=None)
        writer = MapWriter(Path({str(tmp_path)!r}) / "map.tif", where, class_layout(("a",), {{}}))
        writer.write(0, np.zeros((1, 300, 600), np.uint8))
        print("written", flush=True)
        os.kill(os.getpid(), {int(signal.SIGKILL)})
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, check=False
    )
    assert done.stdout == b"written\n"
    assert done.returncode == -signal.SIGKILL
    assert [one.name for one in tmp_path.iterdir()] == ["scene.tif"]


def test_a_file_system_without_unnamed_files_is_left_tidy_too(
    tmp_path, geotiff, contract, tell, water, monkeypatch
):
    opened = os.open

    def refusing(path, flags, *rest, **more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr("registry.learn.inference.anonymous.os.open", refusing)
    path = geotiff()
    drawn(path, contract, tell, water, tmp_path / "map.tif")
    names = sorted(one.name for one in tmp_path.iterdir())
    assert names == ["map.tif", "map.tif.aux.xml", "scene.tif"]


def test_a_map_goes_where_it_can(tmp_path, geotiff, contract, tell, water):
    with pytest.raises(InvalidInputError, match="cannot be a map"):
        drawn(geotiff(), contract, tell, water, tmp_path / "nowhere" / "map.tif")
    with pytest.raises(InvalidInputError, match="cannot be a map"):
        drawn(geotiff(), contract, tell, water, tmp_path)


def test_a_full_disk_is_said(tmp_path, geotiff, contract, tell, water, monkeypatch):
    def full(self, top, rows):
        from registry.learn.inference.writing import _gdal

        with _gdal(self.path):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(MapWriter, "write", full)
    with pytest.raises(UnavailableError, match="No space left"):
        drawn(geotiff(), contract, tell, water, tmp_path / "map.tif")
    assert [one.name for one in tmp_path.iterdir()] == ["scene.tif"]
