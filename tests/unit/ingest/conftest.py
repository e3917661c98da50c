"""Small sources on disk and a registry to bring them into."""

import json

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin

from registry import lake
from registry.catalog import Registry
from registry.curate.ingest import SourceOptions, ingest


@pytest.fixture
def registry(tmp_path, monkeypatch) -> Registry:
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    return Registry(lake=lake.init(str(tmp_path / "lake")))


def write_chip(path, number=0, *, crs="EPSG:32633", bands=3, **options):
    """Write a GeoTIFF whose pixels say which chip it is and where they are."""
    band, y, x = np.mgrid[0:bands, 0:16, 0:24]
    array = (number * 1_000 + band * 400 + y * 24 + x).astype("uint16")
    path.parent.mkdir(parents=True, exist_ok=True)
    profile = {"driver": "GTiff", "count": bands, "height": 16, "width": 24, "dtype": "uint16"}
    place = from_origin(5e5 + (number % 7) * 5_000, 5e6 - (number // 7) * 5_000, 10, 10)
    with rasterio.open(path, "w", **profile, crs=crs, transform=place, **options) as raster:
        raster.write(array)
    return array


@pytest.fixture
def chip():
    return write_chip


@pytest.fixture
def forest(tmp_path):
    """Twelve chips in two class folders; id to pixels."""
    return {
        f"{label}_{number}": write_chip(
            tmp_path / "forest" / label / f"{label}_{number}.tif", number + 100 * (label == "Water")
        )
        for label in ("Forest", "Water")
        for number in range(6)
    }


@pytest.fixture
def ships(tmp_path):
    """Three chips with a date and one outline each, in degrees."""
    for number in range(3):
        write_chip(tmp_path / "ships" / f"ship_{number}.tif", number)
        (tmp_path / "ships" / f"ship_{number}.json").write_text(
            json.dumps({"acquisition-date": f"2022-08-2{number}"})
        )
        west, north = 15.0 + (number % 7) * 0.0636, 45.15
        ring = [[west, north], [west + 1e-3, north], [west + 1e-3, north - 1e-3], [west, north]]
        (tmp_path / "ships" / f"ship_{number}_labels.geojson").write_text(
            json.dumps({
                "type": "FeatureCollection",
                "features": [{
                    "type": "Feature",
                    "properties": {"label": "Boat"},
                    "geometry": {"type": "Polygon", "coordinates": [ring]},
                }],
            })
        )  # fmt: skip
    return tmp_path / "ships"


@pytest.fixture
def bring(registry, tmp_path):
    """Ingest a folder below the test's own, with options by name."""

    def run(source, into="things", **said):
        verbs = {
            key: said.pop(key) for key in ("on_error", "name", "branch", "workers") if key in said
        }
        verbs.setdefault("workers", 1)
        return ingest(
            registry, tmp_path / source, into=into, options=SourceOptions.of(**said), **verbs
        )

    return run
