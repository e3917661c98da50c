"""Datasets of a lake as layers: what shapes and rasters say at points."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry.catalog import Registry, Spec
from registry.catalog.card.spec import AssetSpec, DatasetType
from registry.curate.layers import polygons
from registry.curate.layers.acquired import Bands
from registry.curate.layers.datasets import layer_of
from registry.curate.layers.population import population
from registry.curate.layers.strata import references, strata_of
from registry.errors import InvalidInputError
from registry.geo import footprint
from registry.geo.grids import Grid
from registry.lake import init
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, samples_schema

ZONED = samples_schema(pa.struct([("zone", pa.string())]))
NOON = dt.datetime(2020, 6, 1, tzinfo=dt.UTC)


def sample(name, shape, zone=None, label=()):
    return {
        "id": name, "geometry": shapely.to_wkb(shape), "georeferenced": True, "datetime": NOON,
        "declared": [], "label": list(label), "properties": {"zone": zone},
    }  # fmt: skip


@pytest.fixture
def publish(tmp_path, monkeypatch, ungated):
    monkeypatch.setattr(polygons, "ROWS", 360)  # small files, the same answers
    monkeypatch.setattr(polygons, "COLUMNS", 720)
    monkeypatch.setenv("EOLAB_USER", "ann")
    monkeypatch.setenv("EOLAB_AUTHOR", "Ann <ann@example.org>")
    registry = Registry(lake=init(str(tmp_path / "lake")))

    def publish(*tables, **card):
        def write(root):
            for schema, rows in tables:
                store.append(root, schema, pa.Table.from_pylist(rows, schema.arrow))

        spec = Spec(name="zones", type=DatasetType.REFERENCE, licence="CC0-1.0", **card)
        return ungated(registry, registry.create(spec), write)

    publish.registry = registry
    return publish


def words(layer, lon, lat):
    return layer.classes(np.asarray(lon, float), np.asarray(lat, float)).to_pylist()


def test_footprints_with_a_property_are_a_layer(publish):
    shapes = [
        sample("a", shapely.box(0, 0, 10, 10), "wet"),
        sample("b", shapely.box(5, 0, 20, 10), "dry"),
        sample("c", shapely.box(30, 0, 40, 10)),
    ]
    layer = layer_of(publish((ZONED, shapes)), name="biome")
    assert layer.column == "zone"
    assert words(layer, [1, 7, 15, 35, 99], [5] * 5) == ["wet", "wet", "dry", None, None]


def test_labels_come_before_properties(publish):
    shapes = [sample("a", shapely.box(0, 0, 10, 10), "wet", label=["forest"])]
    version = publish((ZONED, shapes))
    assert words(layer_of(version), [1], [5]) == ["forest"]
    assert words(layer_of(version, column="zone"), [1], [5]) == ["wet"]


def test_annotations_are_brought_from_their_own_system(publish):
    tile = sample("t", shapely.box(14.9, 49.9, 15.2, 50.1))
    drawn = {
        "id": "x", "sample": "t", "frame": "crs", "category": "steppe",
        "geometry": shapely.to_wkb(shapely.box(500_000, 5_538_000, 505_000, 5_545_000)),
    }  # fmt: skip
    elsewhere = drawn | {"id": "y", "frame": "pixel", "category": "odd"}
    refused = drawn | {"id": "z", "status": "rejected", "category": "wrong"}
    asset = {"sample": "t", "asset": "s2", "shape": [1, 2, 2],
             "dtype": "uint8", "crs": "EPSG:32633", "transform": [1.0, 0.0, 0.0, 0.0, -1.0, 0.0],
             "times": []}  # fmt: skip
    second = asset | {"asset": "z", "crs": "EPSG:32634"}
    version = publish(
        (ZONED, [tile]), (ASSETS, [asset, second]), (ANNOTATIONS, [drawn, elsewhere, refused])
    )
    layer = layer_of(version)
    assert layer.column == "category"
    assert words(layer, [15.01, 14.99], [50.0, 50.0]) == ["steppe", None]


GRID = Grid(crs="EPSG:32633", transform=(100.0, 0.0, 500_000.0, 0.0, -100.0, 5_600_000.0),
            height=3, width=4)  # fmt: skip


def raster(publish, array, nodata=None, **card):
    packed = encode(array)
    row = {
        "sample": "t", "asset": "dem", "pixels": packed.sha256, "shape": list(packed.shape),
        "dtype": packed.dtype, "crs": GRID.crs, "transform": list(GRID.transform),
        "nodata": nodata, "times": [],
    }  # fmt: skip
    pixel = {"sha256": packed.sha256, "codec": packed.codec, "data": packed.data}
    one = sample("t", footprint(GRID))
    return publish((ZONED, [one]), (PIXELS, [pixel]), (ASSETS, [row]), **card)


def at(row, column):
    """Return the centre of a pixel in degrees."""
    from registry.geo import transform_points

    x, y = 500_050 + 100 * column, 5_599_950 - 100 * row
    lon, lat = transform_points([x], [y], source=GRID.crs, target="OGC:CRS84")
    return lon, lat


def test_each_pixel_of_a_raster_is_found_by_its_place(publish):
    array = np.arange(12, dtype=np.int16).reshape(1, 3, 4) * 100
    spec = {"dem": AssetSpec(scale=0.5, offset=10.0)}
    layer = layer_of(raster(publish, array, nodata=300.0, assets=spec), asset="dem")
    for row in range(3):
        for column in range(4):
            (value,) = layer.values(*at(row, column))
            stored = 100 * (4 * row + column)
            assert np.isnan(value) if stored == 300 else value == stored / 2 + 10
    assert np.isnan(layer.values(*at(3, 0))).all()
    assert np.isnan(layer.values([np.nan, 0.0], [0.0, 99.0])).all()


def test_nodata_in_single_precision_is_no_value(publish):
    array = np.full((1, 3, 4), -9999.9, np.float32)
    assert np.isnan(layer_of(raster(publish, array, nodata=-9999.9), asset="dem").values(*at(0, 0)))


def test_each_way_to_read_a_version_is_a_layer_of_its_own(publish):
    version = raster(publish, np.full((1, 3, 4), 7, np.int16), assets={"other": AssetSpec()})
    few, many = (Bands((edge,), ("few", "many")) for edge in (5, 700))
    read = [{"asset": "dem"}, {"asset": "other"}, {"asset": "dem", "bands": few},
            {"asset": "dem", "bands": many}]  # fmt: skip
    assert len({layer_of(version, **how).reference.digest for how in read}) == len(read)


def test_elevation_has_bands_and_others_need_words(publish):
    array = np.full((1, 3, 4), 750, np.int16)
    version = raster(publish, array)
    assert words(layer_of(version, name="elevation", asset="dem"), *at(0, 0)) == ["500-1000 m"]
    halves = Bands((700,), ("few", "many"))
    assert words(layer_of(version, name="people", asset="dem", bands=halves), *at(0, 0)) == ["many"]
    with pytest.raises(InvalidInputError, match="nobody says"):
        words(layer_of(version, asset="dem"), *at(0, 0))


def test_a_mask_speaks_in_its_cards_words(publish):
    array = np.array([[[1, 2, 9, 1]] * 3], np.uint8)
    spec = {"dem": AssetSpec(role="labels", values={1: "tundra", 2: "taiga"})}
    layer = layer_of(raster(publish, array, assets=spec), asset="dem")
    found = [words(layer, *at(0, column))[0] for column in range(4)]
    assert found == ["tundra", "taiga", None, "tundra"]


def test_a_layer_of_a_lake_is_a_stratum_and_names_its_version(publish):
    version = publish((ZONED, [sample("a", shapely.box(0, 0, 10, 10), "wet")]))
    layers = {"biome": layer_of(version, name="biome")}
    box = {"xmin": 1.0, "ymin": 1.0, "xmax": 2.0, "ymax": 2.0}
    rows = pa.table({"id": ["p"], "bbox": [box]})
    assert strata_of(rows, columns=["biome"], layers=layers)["biome"].to_pylist() == ["wet"]
    about = references(["biome"], layers=layers)["biome"]
    assert about.version == "zones@v1"
    assert about.licence == "CC0-1.0"
    assert len(about.digest) == 64


def test_samples_of_a_version_are_a_population(publish):
    shapes = [
        sample("a", shapely.box(24, 62, 24.1, 62.1)), sample("b", shapely.box(25, 62, 25.1, 62.1)),
        sample("c", shapely.box(2, 46, 2.1, 46.1)),
    ]  # fmt: skip
    publish((ZONED, shapes))
    found = population("zones@v1", registry=publish.registry)
    summed = found.table.group_by("country").aggregate([("weight", "sum")]).to_pylist()
    assert {row["country"]: row["weight_sum"] for row in summed} == {"Finland": 2, "France": 1}
    assert (found.size, found.unit) == (3, "samples")


@pytest.mark.parametrize(
    ("asked", "said"), [({"column": "colour"}, "colour"), ({"asset": "dem"}, "dem")]
)
def test_a_column_or_asset_that_is_not_there_is_named(publish, asked, said):
    version = publish((ZONED, [sample("a", shapely.box(0, 0, 1, 1), "wet")]))
    with pytest.raises(InvalidInputError, match=said):
        layer_of(version, **asked)


def test_shapes_without_any_class_are_no_layer(publish):
    version = publish((ZONED, [sample("a", shapely.box(0, 0, 1, 1))]))
    with pytest.raises(InvalidInputError, match="no shape"):
        words(layer_of(version), [0.5], [0.5])
