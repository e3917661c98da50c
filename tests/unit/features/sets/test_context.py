"""Context of samples: what place and moment say, with and without layers of a lake."""

import datetime as dt

import numpy as np
import pyarrow as pa
import pytest
import shapely

from registry.catalog import Registry, Spec
from registry.catalog.card.spec import DatasetType
from registry.curate.features.catalogue import feature_set
from registry.curate.features.sets.climate import CLIMATE
from registry.curate.features.sets.context import CONTEXT, PLACE
from registry.curate.layers import polygons
from registry.errors import InvalidInputError, NotFoundError
from registry.geo import footprint
from registry.geo.grids import Grid
from registry.lake import init
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import ASSETS, PIXELS, samples_schema

TIME = pa.timestamp("us", "UTC")
BOX = pa.struct([(corner, pa.float64()) for corner in ("xmin", "ymin", "xmax", "ymax")])
ZONED = samples_schema(pa.struct([("zone", pa.string())]))
GRID = Grid(crs="EPSG:32633", transform=(1000.0, 0.0, 500_000.0, 0.0, -1000.0, 5_600_000.0),
            height=4, width=4)  # fmt: skip


@pytest.fixture(autouse=True)
def _cached(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path_factory.getbasetemp().parent / "eolab-layers"))


def samples(*rows):
    return pa.Table.from_pylist(
        [{"id": f"s{i}", "bbox": box, "datetime": when} for i, (box, when) in enumerate(rows)],
        schema=pa.schema([("id", pa.string()), ("bbox", BOX), ("datetime", TIME)]),
    )


def at(lon, lat):
    return {"xmin": lon - 0.01, "ymin": lat - 0.01, "xmax": lon + 0.01, "ymax": lat + 0.01}


NOON = dt.datetime(2020, 6, 21, 11, 4, tzinfo=dt.UTC)


def test_a_sample_without_place_and_time_has_no_context():
    (row,) = CONTEXT.by_row(samples((None, None))).to_pylist()
    assert set(row.values()) == {None}


def test_the_time_of_year_runs_in_a_circle():
    whens = [dt.datetime(2021, month, 1, tzinfo=dt.UTC) for month in range(1, 13)]
    found = CONTEXT.by_row(samples(*((at(15, 50), when) for when in whens)))
    sine, cosine = found["day_sin"].to_numpy(), found["day_cos"].to_numpy()
    assert np.allclose(sine**2 + cosine**2, 1)
    angles = np.unwrap(np.arctan2(sine, cosine))
    assert (np.diff(angles) > 0.45).all()
    assert angles[-1] - angles[0] < 2 * np.pi


def test_climate_is_the_context_of_a_place():
    rows = samples((at(15, 50), NOON), (at(-60, -10), None))
    assert (
        CLIMATE.by_row(rows).to_pylist()
        == CONTEXT.by_row(rows).select([one.name for one in PLACE]).to_pylist()
    )


def test_values_do_not_depend_on_neighbours():
    random = np.random.default_rng(2)
    rows = samples(*((at(x, y), NOON) for x, y in zip(
        random.uniform(-179, 179, 60), random.uniform(-89, 89, 60), strict=True
    )))  # fmt: skip
    alone = [CONTEXT.by_row(rows.slice(i, 1)).to_pylist()[0] for i in range(60)]
    assert CONTEXT.by_row(rows).to_pylist() == alone


def test_each_feature_says_its_formula_and_source():
    for feature in (*CONTEXT.features, *CLIMATE.features):
        assert feature.meaning
        assert feature.formula
        assert feature.source


@pytest.fixture
def lake(tmp_path, monkeypatch, ungated):
    monkeypatch.setattr(polygons, "ROWS", 360)  # small files, the same answers
    monkeypatch.setattr(polygons, "COLUMNS", 720)
    monkeypatch.setenv("EOLAB_USER", "ann")
    monkeypatch.setenv("EOLAB_AUTHOR", "Ann <ann@example.org>")
    monkeypatch.setenv("EOLAB_LAKE", str(tmp_path / "lake"))
    registry = Registry(lake=init(str(tmp_path / "lake")))

    def write(root):
        packed = encode(np.arange(16, dtype=np.int16).reshape(1, 4, 4) * 10)
        shape = shapely.to_wkb(footprint(GRID))
        rows = [{"id": "t", "geometry": shape, "georeferenced": True, "declared": [],
                 "datetime": NOON, "properties": {"zone": "forest"}}]  # fmt: skip
        asset = {
            "sample": "t", "asset": "height", "pixels": packed.sha256, "dtype": packed.dtype,
            "shape": list(packed.shape), "crs": GRID.crs, "transform": list(GRID.transform),
            "nodata": -1.0, "times": [],
        }  # fmt: skip
        pixel = {"sha256": packed.sha256, "codec": packed.codec, "data": packed.data}
        store.append(root, ZONED, pa.Table.from_pylist(rows, ZONED.arrow))
        store.append(root, PIXELS, pa.Table.from_pylist([pixel], PIXELS.arrow))
        store.append(root, ASSETS, pa.Table.from_pylist([asset], ASSETS.arrow))

    spec = Spec(name="zones", type=DatasetType.REFERENCE, licence="CC0-1.0")
    ungated(registry, registry.create(spec), write)
    return registry


@pytest.mark.usefixtures("lake")
def test_layers_of_a_lake_fill_biome_and_elevation():
    made = feature_set("context", {"biome": "zones@v1#zone", "elevation": "zones@v1#height"})
    rows = samples((at(15.007, 50.545), NOON), (at(0, 0), NOON))
    inside, outside = made.by_row(rows).to_pylist()
    assert inside["biome"] == "forest"
    assert inside["elevation"] in {float(10 * number) for number in range(16)}
    assert (outside["biome"], outside["elevation"]) == (None, None)
    assert made.columns == CONTEXT.columns


@pytest.mark.usefixtures("lake")
def test_a_layer_is_part_of_the_recipe():
    plain, with_biome = CONTEXT, feature_set("context", {"biome": "zones@v1#zone"})
    assert plain.recipe != with_biome.recipe
    assert with_biome.recipe == feature_set("context", {"biome": "zones@v1#zone"}).recipe


@pytest.mark.usefixtures("lake")
@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"biome": "nothing@v1"}, NotFoundError),
        ({"biome": "zones@v1#colour"}, InvalidInputError),
        ({"elevation": "zones@v1"}, InvalidInputError),
        ({"elevation": "zones@v1#depth"}, InvalidInputError),
        ({"moon": "zones@v1"}, InvalidInputError),
    ],
)
def test_a_layer_that_cannot_be_is_refused(parameters, error):
    with pytest.raises(error):
        feature_set("context", parameters)
