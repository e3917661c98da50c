"""Small datasets with known samples, and items with known fields."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry import geo
from registry.catalog.card.spec import Spec
from registry.lake.records import Location
from registry.tables import schemas, store

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)
SQUARE = shapely.box(9, 45, 9.01, 45.01)
CARD = """---
name: toy
license: MIT
task: segmentation
classes: [Crop, Forest, Water]
source: https://example.org/toy
tags: [land cover]
providers: [{name: ESA, roles: [licensor]}]
assets:
  s2: {title: Sentinel-2 L2A, bands: [B02, B8A], scale: 0.0001, gsd: 10, unit: reflectance}
  mask: {role: labels, values: {0: none, 1: Forest}}
---
A toy for tests.
"""


def sample(name, *, geometry=SQUARE, time=NOON, **more):
    """Return a row of ``samples``."""
    box = geo.bbox_of(geometry) if geometry is not None else None
    lon, lat = box.centre if box else (np.nan, np.nan)
    row = {
        "id": name,
        "geometry": None if geometry is None else shapely.to_wkb(geometry),
        "bbox": box and box.to_struct(),
        "datetime": time,
        "georeferenced": geometry is not None,
        "hilbert": int(geo.hilbert_key([lon], [lat])[0]),
    }
    return row | more


def asset(of, key="s2", **more):
    """Return a row of ``assets`` that points at a row of pixels."""
    row = {
        "sample": of,
        "asset": key,
        "pixels": bytes(range(32)),
        "shape": [2, 16, 32],
        "dtype": "uint16",
        "crs": "EPSG:32632",
        "transform": [10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0],
        "times": [],
    }
    return row | more


@pytest.fixture
def make_root(tmp_path):
    """Return a function that writes a dataset's tables and card into a folder."""

    def make(samples, assets=(), annotations=(), split=None, properties=None, card=CARD):
        root = tmp_path / f"root-{len(list(tmp_path.iterdir()))}"
        root.mkdir()
        (root / "README.md").write_text(card, encoding="utf-8")
        schema = schemas.samples_schema(properties)
        _write(root, schema, samples)
        if assets:
            _write(root, schemas.ASSETS, assets)
        if annotations:
            _write(root, schemas.ANNOTATIONS, annotations)
        if split:
            rows = [{"sample": name, "subset": subset} for name, subset in split.items()]
            _write(root, schemas.SPLITS, rows)
        return root

    return make


def _write(root, schema, rows):
    store.append(root, schema, pa.Table.from_pylist(list(rows), schema=schema.arrow))


@pytest.fixture
def make_version(make_root):
    """Return a function that makes a version of tables in a folder, as the catalog shows it."""

    def make(*args, tag="v1", tombstone=None, **kwargs):
        root = Location(uri=str(make_root(*args, **kwargs)))
        card = (root.path / "README.md").read_text(encoding="utf-8")
        return SimpleNamespace(
            dataset="toy",
            ref=f"toy@{tag}",
            tag=tag,
            spec=Spec.from_readme(card),
            root=root,
            commit=SimpleNamespace(id="c" * 40),
            content_id="d" * 64,
            tombstone=tombstone,
            tables=lambda: store.names(root),
            home_of=lambda _: root,
        )

    return make


@pytest.fixture
def make_item():
    """Return a function that makes a decoded STAC item."""

    def make(name="a", **more):
        whole = {
            "type": "Feature",
            "stac_version": "1.1.0",
            "id": name,
            "geometry": shapely.geometry.mapping(shapely.box(9, 45, 10, 46)),
            "bbox": [9, 45, 10, 46],
            "properties": {"datetime": "2024-05-01T12:00:00Z"},
            "links": [],
            "assets": {"image": {"href": "a.tif", "type": "image/tiff"}},
        }
        return json.loads(json.dumps(whole | more))

    return make


@pytest.fixture
def lines(tmp_path):
    """Return a function that writes items one a line."""

    def write(*items, name="items.ndjson"):
        path = tmp_path / name
        texts = [item if isinstance(item, str) else json.dumps(item) for item in items]
        path.write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
        return path

    return write


@pytest.fixture
def rows():
    """Return the makers of single rows."""
    return SimpleNamespace(sample=sample, asset=asset, noon=NOON)
