"""A lake with `ships`: two samples in one CRS, one in another, one on a plain picture."""

import datetime as dt
import shutil
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry import lake, tables
from registry.catalog import Registry, Spec, connect
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, features_schema, samples_schema

UTM_32, UTM_33 = "EPSG:32632", "EPSG:32633"
TRANSFORM = [10.0, 0.0, 600_000.0, 0.0, -10.0, 6_200_000.0]
PROPERTIES = pa.struct([("eo:cloud_cover", pa.float64()), ("count", pa.int64())])
SAMPLES = samples_schema(PROPERTIES)
NOON = dt.datetime(2022, 8, 25, 12, 0, 0, 123457, tzinfo=dt.UTC)
FEATURES = features_schema(
    "size",
    [
        pa.field("whole", pa.int64()),
        pa.field("small", pa.int32()),
        pa.field("real", pa.float64()),
        pa.field("half", pa.float32()),
        pa.field("yes", pa.bool_()),
        pa.field("day", pa.date32()),
        pa.field("at", pa.timestamp("us", "UTC")),
        pa.field("raw", pa.binary()),
        pa.field("text", pa.string()),
        pa.field("numbers", pa.list_(pa.float64())),
        pa.field("times", pa.list_(pa.timestamp("us", "UTC"))),
        pa.field("nested", pa.struct([("a", pa.int64()), ("b", pa.list_(pa.string()))])),
    ],
)


def sample_rows():
    boxes = [shapely.box(10.6 + n / 10, 55.9, 10.7 + n / 10, 55.91).wkb for n in range(3)]
    return pa.table({
        "id": ["s0", "s1", "s2", "photo"],
        "geometry": pa.array([*boxes, None], pa.binary()),
        "datetime": pa.array([NOON, None, NOON, None], pa.timestamp("us", "UTC")),
        "label": [["boat", 'a "b"'], [], None, ["é"]],
        "target": [float("nan"), 0.1, float("inf"), None],
        "georeferenced": [True, True, True, False],
        "properties": [{"eo:cloud_cover": 0.1, "count": 2**53 + 1}, None, {}, {"count": -1}],
    })


def asset_rows(chips):
    return pa.table({
        "sample": ["s0", "s1", "s2", "photo"],
        "asset": ["image"] * 4,
        "pixels": pa.array([chip.sha256 for chip in chips], pa.binary()),
        "shape": pa.array([list(chip.shape) for chip in chips], pa.list_(pa.int32())),
        "dtype": [chip.dtype for chip in chips],
        "crs": [UTM_32, UTM_32, UTM_33, None],
        "transform": pa.array([TRANSFORM, TRANSFORM, TRANSFORM, None], pa.list_(pa.float64())),
        "nodata": [0.0, None, float("nan"), None],
    })


def outline(column, row, size=3.0):
    """Return a triangle at a pixel of a placed sample, in its CRS."""
    x, y = TRANSFORM[2] + 10 * column + 0.1, TRANSFORM[5] - 10 * row - 0.2
    return shapely.Polygon([(x, y), (x + 10 * size, y), (x, y - 10 * size / 3)])


def annotation_rows():
    pixels = shapely.Polygon([(1, 2), (5.25, 2), (1 / 3, 7)])
    return pa.table({
        "id": ["s0-1", "007", "=s1", "s2-1", "photo-1"],
        "sample": ["s0", "s0", "s1", "s2", "photo"],
        "geometry": [
            outline(1, 1).wkb, outline(4, 4).wkb, outline(2, 3).wkb, outline(5, 5).wkb,
            pixels.wkb,
        ],
        "frame": ["crs", "crs", "crs", "crs", "pixel"],
        "category": ["Boat", "Fähre", None, "", "Boat"],
        "attributes": ['{"wake": true, "n": 3}', None, "[1, 2]", "no JSON", None],
        "score": [0.1 + 0.2, None, 1.0, float("nan"), 1e-300],
        "created": pa.array([NOON, None, NOON, None, NOON], pa.timestamp("us", "UTC")),
        "iscrowd": [False, None, True, None, None],
        "isbox": [False, None, False, False, False],
    })  # fmt: skip


def feature_rows():
    return pa.table(
        {
            "sample": ["s0", "s1", "s2", "photo"],
            "whole": [2**63 - 1, -(2**63), 2**53 + 1, None],
            "small": [2**31 - 1, None, 0, 7],
            "real": [1 / 3, float("-inf"), -0.0, 5e-324],
            "half": [0.1, None, float("nan"), 3.4e38],
            "yes": [True, False, None, True],
            "day": [dt.date(2022, 8, 25), dt.date(1, 1, 1), None, dt.date(9999, 12, 31)],
            "at": [NOON, None, dt.datetime(1, 1, 1, tzinfo=dt.UTC), NOON],
            "raw": [b"\0\xff", b"", None, b"abc"],
            "text": ['a,b;c\t"d"\r\ne\'', "", None, "'=1"],
            "numbers": [[1 / 3, float("nan"), None], [], None, [float("inf")]],
            "times": [[NOON, None], [], None, [NOON]],
            "nested": [{"a": 2**60, "b": ["é", None]}, {"a": None, "b": None}, None, {}],
        },
        schema=pa.schema([pa.field(f.name, f.type) for f in FEATURES.arrow]),
    )


def fill(root):
    chips = [tables.encode(np.full((2, 20, 30), n, np.uint16)) for n in range(4)]
    pixels = {
        "sha256": [chip.sha256 for chip in chips],
        "codec": [chip.codec for chip in chips],
        "data": [chip.data for chip in chips],
    }
    tables.append(root, SAMPLES, sample_rows())
    tables.append(root, PIXELS, pa.table(pixels))
    tables.append(root, ASSETS, asset_rows(chips))
    tables.append(root, ANNOTATIONS, annotation_rows())
    tables.append(root, FEATURES, feature_rows())


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    """A lake that is copied, not used."""
    folder = tmp_path_factory.mktemp("exchange") / "lake"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("EOLAB_USER", "anna")
        patched.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
        registry = Registry(lake=lake.init(str(folder)))
        draft = registry.create(Spec(name="ships", licence="MIT", classes=("Boat", "Ferry")))
        with draft.edit("fill") as root:
            fill(root)
        registry.branch("ships", "fix", "draft/anna")
    return folder


@pytest.fixture
def ships(filled, tmp_path, monkeypatch):
    """A registry whose draft of `ships` holds every table, and a branch `fix` of it."""
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    shutil.copytree(filled, tmp_path / "lake", symlinks=True)
    monkeypatch.setenv("EOLAB_LAKE", str(tmp_path / "lake"))
    return connect(str(tmp_path / "lake"))


@pytest.fixture(scope="session")
def schemas():
    """Schemas of two tables of it, `samples` and `features`."""
    return SimpleNamespace(samples=SAMPLES, features=FEATURES)
