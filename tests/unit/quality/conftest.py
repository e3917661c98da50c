"""A dataset small enough to spoil in one place at a time."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry import lake
from registry.catalog import AssetSpec, Provider, Registry, Spec
from registry.curate.quality import check
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SAMPLES

CARD = Spec(
    name="fields",
    licence="CC-BY-4.0",
    providers=(Provider(name="ESA"),),
    classes=("crop", "forest"),
    assets={
        "s2": AssetSpec(role="data", bands=("B02", "B03")),
        "mask": AssetSpec(role="labels", values={0: "crop", 1: "forest"}),
    },
)


class Fields:
    """Three samples with an image and a mask each; a test spoils rows before they are written."""

    def __init__(self, registry):
        self.registry = registry
        self.card = CARD
        self.samples = [self.sample(name, place) for place, name in enumerate("abc")]
        self.assets = []
        self.pixels = {}
        for place, name in enumerate("abc"):
            self.add(name, "s2", self.image(place))
            self.add(name, "mask", self.mask())
        self.annotations = []

    def sample(self, name, place):
        return {
            "id": name,
            "geometry": shapely.to_wkb(shapely.box(9 + place, 45, 9.1 + place, 45.1)),
            "datetime": datetime(2020, 6, 1, tzinfo=UTC),
            "label": ["crop"],
            "georeferenced": True,
            "source": {"href": name, "licence": "CC-BY-4.0", "provider": "ESA"},
        }

    def image(self, place, shape=(2, 4, 5), dtype=np.uint16):
        return (np.arange(np.prod(shape)).reshape(shape) + 1000 * place).astype(dtype)

    def mask(self, shape=(1, 4, 5)):
        return (np.arange(np.prod(shape)).reshape(shape) % 2).astype(np.uint8)

    def add(self, sample, asset, array, **said):
        row = encode(array)
        self.pixels[row.sha256] = (row.codec, row.data)
        grid = [10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0]
        self.assets.append(
            {
                "sample": sample,
                "asset": asset,
                "pixels": row.sha256,
                "shape": list(row.shape),
                "dtype": row.dtype,
                "crs": "EPSG:32632",
                "transform": grid,
            }
            | said
        )

    def asset(self, sample, asset):
        return next(a for a in self.assets if (a["sample"], a["asset"]) == (sample, asset))

    def replace(self, sample, asset, array, **said):
        self.assets.remove(self.asset(sample, asset))
        self.add(sample, asset, array, **said)

    def write(self, root):
        rows = {
            SAMPLES: self.samples,
            ASSETS: self.assets,
            PIXELS: [
                {"sha256": digest, "codec": codec, "data": data}
                for digest, (codec, data) in self.pixels.items()
            ],
            ANNOTATIONS: self.annotations,
        }
        for schema, found in rows.items():
            if found:
                store.append(root, schema, pa.Table.from_pylist(found, schema=schema.arrow))

    def commit(self):
        draft = self.registry.create(self.card)
        with draft.edit("three samples") as root:
            self.write(root)
        return self.registry.resolve("fields@draft")

    def check(self, **options):
        return check(self.commit(), **options)


@pytest.fixture
def fields(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "anna")
    return Fields(Registry(lake=lake.init(str(tmp_path / "lake"))))
