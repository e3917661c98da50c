"""Versions of samples whose places, groups, scenes and pixels the test says."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry.catalog import Spec
from registry.catalog.card.spec import AssetSpec
from registry.catalog.registry import Registry
from registry.lake import init
from registry.tables import store
from registry.tables.schemas import ASSETS, SAMPLES

CORNERS = ("xmin", "ymin", "xmax", "ymax")
START = dt.datetime(2023, 1, 1, tzinfo=dt.UTC)


def row(number, *, lon=None, lat=52.0, edge=0.01, label=None, group=None, item=None):
    box = None if lon is None else shapely.box(lon, lat, lon + edge, lat + edge)
    return {
        "id": f"s{number:04}",
        "geometry": None if box is None else shapely.to_wkb(box),
        "bbox": None if box is None else dict(zip(CORNERS, box.bounds, strict=True)),
        "georeferenced": box is not None,
        "datetime": START + dt.timedelta(days=number),
        "label": None if label is None else [label],
        "group": group,
        "declared": [],
        "source": {"href": f"f{number}.tif", "item": item},
    }  # fmt: skip


@pytest.fixture
def version_of(tmp_path, ungated):
    """Return what publishes rows of samples, with the digests of their pixels if given."""
    registry = Registry(lake=init(str(tmp_path / "lake")))

    def make(rows, *, pixels=(), name="ships", spec=None):
        def write(root):
            store.append(root, SAMPLES, pa.Table.from_pylist(rows, SAMPLES.arrow))
            assets = [
                {"sample": one["id"], "asset": asset, "pixels": digest, "times": [], "shape": [1]}
                for one, (asset, digest) in zip(rows, pixels, strict=False)
            ]
            store.append(root, ASSETS, pa.Table.from_pylist(assets, ASSETS.arrow))

        masks = {"mask": AssetSpec(role="labels"), "s2": AssetSpec(role="data")}
        draft = registry.create(spec or Spec(name=name, assets=masks))
        ungated(registry, draft, write)
        return registry, registry.resolve(f"{name}@v1")

    return make


def subsets(made):
    return dict(zip(made.rows["sample"].to_pylist(), made.rows["subset"].to_pylist(), strict=True))


def scattered(count, seed=0):
    rng = np.random.default_rng(seed)
    return [
        row(n, lon=float(rng.uniform(0, 6)), lat=float(rng.uniform(45, 51))) for n in range(count)
    ]
