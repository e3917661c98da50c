"""One Spark session for every test that needs one; a cluster; a small dataset with pixels."""

import shutil
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry import lake
from registry.catalog import Registry, Spec
from registry.catalog.card.spec import AssetSpec
from registry.curate.features.work import AssetFacts, Call, Work
from registry.lake import Location
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SAMPLES, SPLITS
from tests.spark.cluster import running


@pytest.fixture(scope="session")
def java():
    """Skip where Spark cannot run."""
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("there is no java")


@pytest.fixture(scope="session")
def spark(java):
    from spark_jobs.session import session

    opened = session("tests", master="local[2]")
    yield opened
    opened.stop()


@pytest.fixture(scope="session")
def cluster(java, tmp_path_factory):
    """A master with two workers of one core each, for as long as a process's tests run."""
    with running(tmp_path_factory.mktemp("cluster")) as found:
        yield found


BANDS = ("B04", "B08", "B11")
FACTS = AssetFacts(name="s2", bands=BANDS, common=("R", "N", "S1"), scale=(1e-4,), gsd=10.0)


def chip(number, side=24):
    """Three bands whose values say whose they are, turned so that no symmetry hides a mistake."""
    grid = np.arange(3 * side * (side + 2), dtype=np.uint16).reshape(3, side, side + 2)
    return 100 + grid % 977 + np.uint16(number * 3)


def fill(root, count=20, *, broken=(), assets=("s2",), side=24):
    """Write a dataset; the pixels of ``broken`` samples are no array."""
    names = [f"s{number:03}" for number in range(count)]
    store.append(root, SAMPLES, pa.table({"id": names, "target": [n / 7 for n in range(count)]}))
    packed = {
        (number, asset): encode(chip(number + 50 * place, side))
        for number in range(count)
        for place, asset in enumerate(assets)
    }
    data = {key: b"no array" if key[0] in broken else one.data for key, one in packed.items()}
    store.append(root, PIXELS, pa.table({
        "sha256": [one.sha256 for one in packed.values()],
        "codec": [one.codec for one in packed.values()],
        "data": list(data.values()),
    }))  # fmt: skip
    store.append(root, ASSETS, pa.table({
        "sample": [names[number] for number, _ in packed],
        "asset": [asset for _, asset in packed],
        "pixels": [one.sha256 for one in packed.values()],
        "shape": [list(one.shape) for one in packed.values()],
        "dtype": [one.dtype for one in packed.values()],
    }))  # fmt: skip
    box = shapely.to_wkb(shapely.box(1, 1, 9, 5))
    store.append(root, ANNOTATIONS, pa.table({
        "id": [f"a{n}" for n in range(0, count, 3)],
        "sample": names[::3],
        "category": ["ship"] * len(names[::3]),
        "geometry": [box] * len(names[::3]),
        "frame": ["pixel"] * len(names[::3]),
        "status": ["rejected" if n % 2 else "accepted" for n in range(0, count, 3)],
    }))  # fmt: skip
    store.append(root, SPLITS, pa.table({"sample": names, "subset": ["train"] * count}))


def work_on(root, **more):
    """Return the work of computing spectral indices of a dataset that ``fill`` wrote."""
    said = {
        "root": Location(uri=str(root)), "calls": (Call(name="spectral"),), "assets": (FACTS,),
        "columns": ("target",), "arrays": True, "annotations": True,
    }  # fmt: skip
    return Work(**(said | more))


CARD = Spec(name="toy", assets={"s2": AssetSpec(role="data", bands=BANDS, scale=0.0001, gsd=10.0)})


@pytest.fixture
def published(tmp_path, monkeypatch, ungated):
    """Return a lake with ``toy@v1``, and how to publish more."""
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    registry = Registry(lake=lake.init(str(tmp_path / "lake")))
    draft = registry.create(CARD)
    return registry, partial(ungated, registry, draft)
