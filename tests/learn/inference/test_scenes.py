import os

import numpy as np
import pytest
import rasterio

from registry.errors import InvalidInputError, NotFoundError
from registry.learn.inference.limited import Limited, UnreadableSceneError
from registry.learn.inference.meaning import Reading, WrongBandsError
from registry.learn.inference.scenes import open_files
from registry.learn.inference.windows import Region
from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.loading.conversion import ContractMismatchError
from registry.learn.loading.plausible import ImplausibleValuesError

WHOLE = Region(top=0, left=0, height=150, width=210)


def test_bands_are_found_by_name_and_read_in_the_models_order(geotiff, contract, coordinates):
    with open_files(contract, {"image": [geotiff()]}) as scene:
        arrays, observed = scene.read(WHOLE)
        assert scene.said == ("image: bands are put in the order B04, B02",)
        assert [band.name for band in scene.contract.inputs[0].bands] == ["B04", "B02"]
    assert observed.all()
    assert (arrays["image"] == coordinates(150, 210)[[2, 0]]).all()


def test_bands_are_found_by_common_letter(geotiff, contract, coordinates):
    lettered = tuple(
        Band(name=name, common=letter, unit="reflectance", scale=1e-4)
        for name, letter in (("red", "R"), ("blue", "B"))
    )
    wanted = Contract(inputs=(Input(asset="image", bands=lettered),))
    with open_files(wanted, {"image": [geotiff()]}) as scene:
        assert (scene.read(WHOLE)[0]["image"] == coordinates(150, 210)[[2, 0]]).all()
        assert any("by common letter" in one for one in scene.said)


def test_a_file_that_names_no_bands_is_refused_with_the_remedy(geotiff, contract, coordinates):
    path = geotiff(bands=())
    with pytest.raises(WrongBandsError) as caught:
        open_files(contract, {"image": [path]})
    assert caught.value.hint.endswith("--bands NAME1,NAME2,NAME3")  # as many as the file has
    named = Reading(bands={"": ("B02", "B03", "B04")})
    with open_files(contract, {"image": [path]}, reading=named) as scene:
        assert (scene.read(WHOLE)[0]["image"] == coordinates(150, 210)[[2, 0]]).all()


def test_bands_without_names_are_taken_in_order_where_the_models_have_none(geotiff, coordinates):
    counted = tuple(Band(name=name, scale=1e-4) for name in ("1", "2", "3"))
    wanted = Contract(inputs=(Input(asset="image", bands=counted),))
    with open_files(wanted, {"image": [geotiff(bands=())]}) as scene:
        assert (scene.read(WHOLE)[0]["image"] == coordinates(150, 210)).all()
        assert any("taken in their order" in one for one in scene.said)
    two = Contract(inputs=(Input(asset="image", bands=counted[:2]),))
    with pytest.raises(WrongBandsError, match="have no names"):
        open_files(two, {"image": [geotiff(bands=())]})


def test_as_many_bands_are_named_as_there_are(geotiff, contract):
    with pytest.raises(WrongBandsError, match=r"2 bands are named, and scene.tif has 3"):
        open_files(
            contract, {"image": [geotiff()]}, reading=Reading(bands={"image": ("B02", "B04")})
        )
    with pytest.raises(WrongBandsError, match=r"1 band is named, and scene.tif has 3"):
        open_files(contract, {"image": [geotiff()]}, reading=Reading(bands={"image": ("B02",)}))
    one = geotiff(array=np.ones((1, 32, 32), np.uint16), bands=())
    with pytest.raises(WrongBandsError, match=r"the band of scene.tif has no name, and"):
        open_files(contract, {"image": [one]})


def test_wrong_bands_are_refused(geotiff, contract):
    with pytest.raises(ContractMismatchError, match="the model reads B04"):
        open_files(contract, {"image": [geotiff(bands=("B02", "B03", "B08"))]})


def test_a_band_that_no_sensor_has_makes_no_other_missing(geotiff):
    letters = {"BLUE": "B", "GREEN": "G", "SWIR_2": "S2"}
    bands = tuple(
        Band(name=name, common=letter, unit="reflectance", scale=1e-4)
        for name, letter in letters.items()
    )
    wanted = Contract(inputs=(Input(asset="image", bands=bands),))
    reading = Reading(bands={"": ("B02", "B03", "B99")})
    with pytest.raises(ContractMismatchError) as caught:
        open_files(wanted, {"image": [geotiff()]}, reading=reading)
    assert "the model reads SWIR_2 (S2) of 'image'" in caught.value.problem
    assert "BLUE" not in caught.value.problem
    assert "it is read as B02,B03,B99" in caught.value.hint
    two = Contract(inputs=(Input(asset="image", bands=bands[:2]),))
    with pytest.raises(ContractMismatchError, match="no sensor has a band B99"):
        open_files(two, {"image": [geotiff()]}, reading=reading)


def test_pixels_of_another_size_are_refused_unless_allowed(geotiff, contract):
    coarse = Contract(inputs=(Input(asset="image", bands=contract.inputs[0].bands, gsd=30.0),))
    path = geotiff()
    with pytest.raises(ContractMismatchError, match="at 30 m"):
        open_files(coarse, {"image": [path]})
    with open_files(coarse, {"image": [path]}, reading=Reading(allow=("gsd",))) as scene:
        assert "image: pixels of 10 m in place of 30 m" in scene.said


def test_a_file_that_does_not_say_its_scale_is_read_like_the_training_data_and_said(
    geotiff, contract
):
    with open_files(contract, {"image": [geotiff(scale=1)]}) as scene:
        assert "does not say what its numbers mean" in scene.said[0]
        assert scene.contract.inputs[0].bands[0].scale == 1e-4


def test_numbers_that_cannot_mean_that_are_refused(geotiff, contract, coordinates):
    path = geotiff(array=coordinates(64, 64) + 40_000, scale=1)
    with pytest.raises(ImplausibleValuesError, match=r"the model learned from 0.15"):
        open_files(contract, {"image": [path]})
    floats = geotiff("floats.tif", array=coordinates(64, 64).astype(np.float32), scale=1)
    with pytest.raises(ImplausibleValuesError, match=r"B04 of floats.tif is about"):
        open_files(contract, {"image": [floats]})


@pytest.fixture
def plain() -> Contract:
    """Return what learned from numbers of which nobody said the unit."""
    learned = {"B02": (772.0, 358.0), "B03": (1030.0, 420.0), "B04": (1200.0, 560.0)}
    bands = tuple(Band(name=name, mean=mean, std=std) for name, (mean, std) in learned.items())
    return Contract(inputs=(Input(asset="image", bands=bands),))


def burnt(size=64, seed=0):
    """A scene like those that :func:`plain` learned from."""
    random = np.random.default_rng(seed)
    learned = ((772, 358), (1030, 420), (1200, 560))
    return np.stack([random.normal(*one, (size, size)).clip(1) for one in learned])


def test_numbers_a_thousand_times_smaller_are_refused_where_nobody_said_a_unit(geotiff, plain):
    path = geotiff(array=(burnt() / 10_000).astype(np.float32), scale=1)
    with pytest.raises(ImplausibleValuesError, match=r"B02 of scene.tif is about 0.07") as caught:
        open_files(plain, {"image": [path]})
    assert "learned from 772 ± 358" in caught.value.problem
    assert "--scale 10000; or --scale 1 if they are right" in caught.value.hint
    for scale in (10_000, 1):
        with open_files(plain, {"image": [path]}, reading=Reading(scale=scale)) as scene:
            assert scene.contract.inputs[0].bands[0].scale == scale


def test_numbers_fifty_times_larger_are_refused_where_nobody_said_a_unit(geotiff, plain):
    path = geotiff(array=(burnt() * 50).clip(0, 65_535).astype(np.uint16), scale=1)
    with pytest.raises(ImplausibleValuesError, match=r"--scale 0.01;"):
        open_files(plain, {"image": [path]})


def test_a_scale_that_makes_numbers_far_too_small_is_refused(geotiff, plain):
    path = geotiff(array=burnt().astype(np.uint16), scale=1)
    with pytest.raises(ImplausibleValuesError, match=r"is about 0.07"):
        open_files(plain, {"image": [path]}, reading=Reading(scale=0.0001))


@pytest.mark.parametrize(
    "array",
    [
        pytest.param(burnt() / 50, id="dark"),
        pytest.param(burnt() // 400, id="night, counted"),
        pytest.param(9000 + burnt(), id="cloud"),
        pytest.param(burnt() * [[[12]], [[12]], [[0.001]]], id="snow"),
        pytest.param(burnt() * [[[0.2]], [[0.02]], [[0.001]]], id="water"),
        pytest.param(np.full((3, 64, 64), 0.5), id="constant"),
        pytest.param(np.full((3, 64, 64), 65_535.0), id="filled"),
        pytest.param(np.zeros((3, 64, 64)), id="nodata"),
        pytest.param(np.full((3, 64, 64), np.nan), id="nothing"),
    ],
)
def test_scenes_of_any_weather_are_taken(geotiff, plain, array):
    with open_files(plain, {"image": [geotiff(array=array.astype(np.float32), scale=1)]}) as scene:
        assert scene.height == 64


def test_what_is_said_of_numbers_counts(geotiff, contract):
    reading = Reading(scale=2e-4, offset=-0.1, nodata=7)
    with open_files(contract, {"image": [geotiff()]}, reading=reading) as scene:
        one = scene.contract.inputs[0]
        assert (one.bands[0].scale, one.bands[0].offset, one.nodata) == (2e-4, -0.1, 7)


@pytest.mark.parametrize("name", ["scale", "offset"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_make_no_physical_values(name, value):
    with pytest.raises(InvalidInputError, match=f"the {name} of a file's numbers is") as caught:
        Reading(**{name: value})
    assert f"--{name} " in caught.value.hint


def test_inputs_on_other_grids_are_warped_onto_the_first(geotiff, contract, tmp_path):
    """Radar at 20 m that begins elsewhere; its values are its coordinates, so warping shows."""
    rows, columns = np.mgrid[:100, :130]
    easting = (500_000 - 200 + 20 * (columns + 0.5)).astype(np.float32)
    northing = (5_000_000 + 200 - 20 * (rows + 0.5)).astype(np.float32)
    radar = geotiff(
        "s1.tif", array=np.stack([easting, northing]), bands=("VV", "VH"), nodata=None, scale=1,
        transform=rasterio.Affine(20, 0, 499_800, 0, -20, 5_000_200),
    )  # fmt: skip
    s1 = Input(asset="s1", bands=(Band(name="VV"), Band(name="VH")))
    both = Contract(inputs=(*contract.inputs, s1))
    with open_files(both, {"image": [geotiff()], "s1": [radar]}) as scene:
        arrays, observed = scene.read(Region(top=20, left=30, height=50, width=60))
        assert scene.placement.width == 210
    x = 500_000 + 10 * (np.arange(30, 90) + 0.5)
    y = 5_000_000 - 10 * (np.arange(20, 70) + 0.5)
    assert observed.all()
    assert np.abs(arrays["s1"][0] - x[None, :]).max() < 0.6
    assert np.abs(arrays["s1"][1] - y[:, None]).max() < 0.6


def test_where_one_input_has_nothing_nothing_is_observed(geotiff, contract):
    radar = geotiff(
        "s1.tif", array=np.ones((1, 40, 40), np.float32), bands=("VV",), nodata=None, scale=1
    )
    both = Contract(inputs=(*contract.inputs, Input(asset="s1", bands=(Band(name="VV"),))))
    with open_files(both, {"image": [geotiff()], "s1": [radar]}) as scene:
        _, observed = scene.read(WHOLE)
    assert observed[:40, :40].all()
    assert observed.sum() == 1600


def test_dates_are_stacked_in_the_order_given(geotiff, contract, coordinates):
    wanted = Contract(inputs=(Input(asset="image", bands=contract.inputs[0].bands, frames=2),))
    late = geotiff("late.tif", array=coordinates(150, 210) + 1)
    with open_files(wanted, {"image": [geotiff(), late]}) as scene:
        arrays, _ = scene.read(WHOLE)
    assert arrays["image"].shape == (2, 2, 150, 210)
    assert (arrays["image"][1] - arrays["image"][0] == 1).all()
    with pytest.raises(InvalidInputError, match="which the model reads 2 of"):
        open_files(wanted, {"image": [late]})


def test_beyond_the_edges_of_whole_numbers_nothing_is_observed(geotiff, contract):
    """A file that names no nodata value, warped onto a grid that is larger than it is."""
    s1 = Contract(inputs=(*contract.inputs, Input(asset="s1", bands=(Band(name="VV"),))))
    radar = geotiff(
        "s1.tif", array=np.full((1, 40, 40), 5, np.uint16), bands=("VV",), nodata=None, scale=1
    )
    for reading in (Reading(), Reading(nodata=0)):
        with open_files(s1, {"image": [geotiff()], "s1": [radar]}, reading=reading) as scene:
            arrays, observed = scene.read(WHOLE)
        assert observed.sum() == 1600
        assert (arrays["s1"][0][observed] == 5).all()


@pytest.mark.parametrize("other", [{"scale": 1e-5}, {"nodata": 9}])
def test_dates_whose_numbers_mean_different_things_are_refused(geotiff, contract, other):
    wanted = Contract(inputs=(Input(asset="image", bands=contract.inputs[0].bands, frames=2),))
    late = geotiff("late.tif", **other)
    with pytest.raises(ContractMismatchError, match=r"late.tif do not mean what"):
        open_files(wanted, {"image": [geotiff(), late]})


def test_a_mask_in_the_file_counts(geotiff, contract):
    path = geotiff(nodata=None)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as file:
        mask = np.full((150, 210), 255, np.uint8)
        mask[:10] = 0
        file.write_mask(mask)
    with open_files(contract, {"image": [path]}) as scene:
        _, observed = scene.read(WHOLE)
    assert not observed[:10].any()
    assert observed[10:].all()


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is empty"),
        (b"<VRTDataset rasterXSize='1'><SourceFilename>/etc/passwd</SourceFilename>", "is a VRT"),
        (b"II*\0" + b"\0" * 60, "cannot be read"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 60, "is HDF5"),
        (b"hello", "is no raster"),
    ],
)
def test_what_is_no_raster_is_refused(tmp_path, contract, data, problem):
    path = tmp_path / "scene.tif"
    path.write_bytes(data)
    with pytest.raises(UnreadableSceneError, match=problem):
        open_files(contract, {"image": [path]})


def test_a_pipe_is_no_scene(tmp_path, contract):
    os.mkfifo(tmp_path / "pipe.tif")
    with pytest.raises(UnreadableSceneError, match="is no file"):
        open_files(contract, {"image": [tmp_path / "pipe.tif"]})
    with pytest.raises(NotFoundError, match="there is no scene"):
        open_files(contract, {"image": [tmp_path / "none.tif"]})


def test_a_bomb_of_one_block_is_refused_by_its_reader_alone(tmp_path, contract):
    path = tmp_path / "scene.tif"
    side = 60_000
    with rasterio.open(
        path, "w", driver="GTiff", height=side, width=side, count=1, dtype="uint8",
        compress="deflate", blockysize=side, sparse_ok=True,
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000),
    ) as file:  # fmt: skip
        file.descriptions = ("B02",)
    one = Contract(inputs=(Input(asset="image", bands=(Band(name="B02", mean=0.1, std=1.0),)),))
    with pytest.raises(UnreadableSceneError):
        open_files(one, {"image": [path]})


def test_a_reader_that_hangs_is_ended(tmp_path, monkeypatch):
    script = tmp_path / "sleeps.py"
    script.write_text("import time\ntime.sleep(100)\n")
    monkeypatch.setattr("registry.learn.inference.limited.Path.with_name", lambda *_: script)
    with (
        Limited("sleeps.py", name="scene.tif", seconds=0.2) as child,
        pytest.raises(UnreadableSceneError, match="takes longer than"),
    ):
        child.ask(do="open", path="/")
    assert child._process.returncode is not None
