import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from registry.curate.formats.unplaced import unplaced_allowed
from registry.learn.inference.rasters import Placement
from registry.learn.inference.windows import Region
from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.models.architecture import Head, HeadTask

UTM = rasterio.Affine(10, 0, 500_000, 0, -10, 5_000_000)


@pytest.fixture
def water() -> Head:
    return Head(name="segmentation", task=HeadTask.SEGMENTATION, classes=("land", "water"))


@pytest.fixture
def contract() -> Contract:
    """Return what reads two of the bands that scenes here have, in another order."""
    bands = tuple(
        Band(name=name, unit="reflectance", scale=1e-4, mean=0.15, std=0.1)
        for name in ("B04", "B02")
    )
    return Contract(inputs=(Input(asset="image", bands=bands),))


@pytest.fixture
def coordinates():
    """Return what makes pixels that say where they lie, in three bands without a symmetry."""

    def make(height, width):
        y, x = np.mgrid[:height, :width]
        values = np.stack([3 * x + y, 5 * y, x + 2 * y]) % 3000 + 1
        return values.astype(np.uint16)

    return make


@pytest.fixture
def geotiff(tmp_path, coordinates):
    """Return what writes a scene as its maker might."""

    def write(name="scene.tif", array=None, *, shape=(150, 210), bands=("B02", "B03", "B04"),
              crs="EPSG:32633", transform=UTM, nodata=0, scale=1e-4, **profile):  # fmt: skip
        array = coordinates(*shape) if array is None else array
        path = tmp_path / name
        with unplaced_allowed(), rasterio.open(
            path, "w", driver="GTiff", height=array.shape[1], width=array.shape[2],
            count=array.shape[0], dtype=array.dtype, nodata=nodata, crs=crs, transform=transform,
            **profile,
        ) as file:  # fmt: skip
            file.write(array)
            if bands:
                file.descriptions = bands
            if scale != 1:
                file.scales = (scale,) * array.shape[0]
        return path

    return write


@pytest.fixture
def tell():
    """Return what answers pixel by pixel: water where red is well below blue."""

    def answer(arrays):
        red, blue = (arrays["image"][:, n].astype(np.float32) for n in (0, 1))
        wet = 1 / (1 + np.exp((red - blue + 100) / 50))
        return {"segmentation": np.stack([1 - wet, wet], 1)}

    return answer


class Held:
    """A scene at hand."""

    def __init__(self, array, observed=None, contract=None):
        self.array = array
        self.seen = np.ones(array.shape[-2:], bool) if observed is None else observed
        self.contract = contract
        self.said = ()
        self.placement = Placement(
            height=array.shape[-2], width=array.shape[-1], crs=None, transform=None
        )

    @property
    def height(self):
        return self.array.shape[-2]

    @property
    def width(self):
        return self.array.shape[-1]

    def read(self, region: Region):
        rows = slice(region.top, region.top + region.height)
        columns = slice(region.left, region.left + region.width)
        return {"image": self.array[..., rows, columns]}, self.seen[rows, columns]


@pytest.fixture
def held():
    return Held


@pytest.fixture
def pixels():
    """Return what reads a map again, by rasterio."""

    def read(path):
        with unplaced_allowed(), rasterio.open(path) as file:
            return file.read(window=Window(0, 0, file.width, file.height))

    return read
