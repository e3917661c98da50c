"""Layers of the lake as further strata of an audit, of its reference and of its plan."""

import json
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely

from registry.cli.app import run
from registry.curate.bias import audit, suggest
from registry.curate.bias.auditing import reference_population
from registry.curate.layers import climate, polygons
from registry.curate.layers import population as populations
from registry.curate.layers.asked import layer_words, layers_of
from registry.errors import InvalidInputError, NotFoundError
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import ASSETS, PIXELS, SAMPLES


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    monkeypatch.setattr(polygons, "ROWS", 360)  # small files, the same answers
    monkeypatch.setattr(polygons, "COLUMNS", 720)
    monkeypatch.setenv("EOLAB_USER", "ann")
    monkeypatch.setenv("EOLAB_AUTHOR", "Ann <ann@example.org>")


@pytest.fixture
def zones(dataset):
    """Two halves of a square in Hungary: the west is wet, the east is dry."""
    return dataset(
        [
            {"id": "east", "geometry": shapely.box(20, 46, 21, 48).wkb, "label": ["dry"]},
            {"id": "west", "geometry": shapely.box(19, 46, 20, 48).wkb, "label": ["wet"]},
        ],
        name="zones",
    )


@pytest.fixture
def fields(dataset):
    """Thirty in the west, ten in the east, two elsewhere."""
    lon = [19.5] * 30 + [20.5] * 10 + [25.0] * 2
    return dataset([
        {"id": f"s{n:02}", "geometry": shapely.Point(x, 47.0).wkb, "label": ["ab"[n % 2]]}
        for n, x in enumerate(lon)
    ])


@pytest.fixture
def hills(registry, ungated):
    """A raster of heights: 100 in the west, 700 in the east; and no label."""
    from registry.catalog import Spec

    packed = encode(np.array([[[100, 700]]], np.int16))

    def write(root):
        store.overwrite(root, SAMPLES, pa.Table.from_pylist(
            [{"id": "t", "geometry": shapely.box(19, 46, 21, 48).wkb}],
            schema=pa.schema([one for one in SAMPLES.arrow if one.name in {"id", "geometry"}]),
        ))  # fmt: skip
        store.append(root, PIXELS, pa.Table.from_pylist(
            [{"sha256": packed.sha256, "codec": packed.codec, "data": packed.data}],
            PIXELS.arrow,
        ))  # fmt: skip
        store.append(root, ASSETS, pa.Table.from_pylist([{
            "sample": "t", "asset": "height", "pixels": packed.sha256, "shape": [1, 1, 2],
            "dtype": "int16", "crs": "OGC:CRS84", "transform": [1.0, 0.0, 19.0, 0.0, -2.0, 48.0],
            "times": [],
        }], ASSETS.arrow))  # fmt: skip

    return ungated(registry, registry.create(Spec(name="hills", licence="CC0-1.0")), write)


@pytest.fixture
def crops(tmp_path):
    path = tmp_path / "crops.csv"
    path.write_text("lon,lat,weight\n19.5,47,1\n20.5,47,3\n")
    return str(path)


def counts(report, dimension):
    rows = report.strata(dimension).to_pylist()
    return {row["stratum"]: row["count"] for row in rows if row["class"] is None}


def test_samples_and_reference_are_sorted_by_a_layer(registry, fields, zones, crops):
    layers = {"biome": "zones@v1#label"}
    report = audit(registry, "fields@v1", against=crops, layers=layers, keep=False)

    assert counts(report, "biome") == {"wet": 30, "dry": 10, "unknown": 2}
    found = {row["stratum"]: row for row in report.of("representation", "biome")}
    assert found["wet"]["value"] == pytest.approx((30 / 40) / (1 / 4))
    assert found["dry"]["value"] == pytest.approx((10 / 40) / (3 / 4))
    assert found["wet"]["flagged"]
    assert found["dry"]["flagged"]


def test_the_report_names_each_layer_and_its_version(registry, fields, zones, hills, crops):
    layers = {"biome": "zones@v1", "height": "hills@v1"}
    with pytest.raises(InvalidInputError, match="nobody says"):
        audit(registry, "fields@v1", against=crops, layers=layers, keep=False)
    layers = {"biome": "zones@v1", "elevation": "hills@v1", "population": "hills@v1#height"}
    report = audit(registry, "fields@v1", against=crops, layers=layers, keep=False)
    said = {one.name: one.version for one in report.references}
    assert said["biome"] == "zones@v1"
    assert said["elevation"] == "hills@v1"
    assert counts(report, "elevation") == {"0-200 m": 30, "500-1000 m": 10, "unknown": 2}
    assert counts(report, "population") == {"100-1000": 40, "unknown": 2}


def test_layers_are_paired_with_other_strata(registry, fields, zones, crops):
    report = audit(registry, "fields@v1", against=crops, layers={"soil": "zones@v1"}, keep=False)
    pairs = report.counts.filter(pc.equal(report.counts["kind"], "pairs")).to_pylist()
    assert ("continent", "soil") in {(row["dimension"], row["dimension2"]) for row in pairs}


def test_a_version_is_a_reference_in_the_layers_strata_too(registry, fields, zones):
    report = audit(
        registry, "fields@v1", against="fields@v1", layers={"biome": "zones@v1"}, keep=False
    )
    assert {row["value"] for row in report.of("representation", "biome")} == {1.0}


def test_land_is_sorted_by_a_layer(registry, zones, monkeypatch):
    coarse = SimpleNamespace(ROWS=180, COLUMNS=360, reference=climate.reference)
    monkeypatch.setattr(populations, "climate", coarse)  # cells of a degree
    monkeypatch.setattr(populations, "_FORM", "coarse")
    layers = layers_of(registry, {"biome": "zones@v1"})
    land = reference_population(registry, "land", layers=layers)
    assert land.shares("biome") == {"dry": pytest.approx(0.5), "wet": pytest.approx(0.5)}
    assert "zones@v1" in land.about
    assert land.version != reference_population(registry, "land").version


def test_a_plan_knows_the_layers_that_the_report_was_made_with(registry, fields, hills, crops):
    layers = {"elevation": "hills@v1"}
    report = audit(registry, "fields@v1", against=crops, layers=layers, keep=False)
    assert report.recipe.joint == ("elevation",)
    found = layers_of(registry, layers)
    plan = suggest(report, reference_population(registry, crops, layers=found), 1, layers=found)
    (point,) = plan.features
    assert point["properties"]["elevation"] == "500-1000 m"
    assert 20 <= point["geometry"]["coordinates"][0] <= 21


def test_weights_are_kept_by_a_layers_strata(registry, fields, hills, crops):
    audit(registry, "fields@v1", against=crops, layers={"elevation": "hills@v1"})
    weights = registry.resolve("fields@v1").table("features/bias-weights").to_pylist()
    low, high = (next(r["weight"] for r in weights if r["sample"] == one) for one in ("s00", "s30"))
    assert (low, high) == (pytest.approx(1 / 3), pytest.approx(3))
    assert [row["weight"] for row in weights if row["sample"] > "s39"] == [None, None]


def test_layers_can_be_typed(registry, fields, zones, crops, monkeypatch, capsys):
    monkeypatch.setenv("EOLAB_LAKE", registry.lake.address)
    monkeypatch.delenv("SPARK_MASTER", raising=False)
    typed = ["--against", crops, "--layer", "biome=zones@v1#label", "--no-keep", "--json"]
    assert run(["bias", "fields@v1", *typed]) == 0
    said = json.loads(capsys.readouterr().out)
    assert "zones@v1" in {one["version"] for one in said["references"]}
    assert {"wet", "dry"} <= {row["stratum"] for row in said["measures"]}


@pytest.mark.parametrize("word", ["biome", "biome=", "=zones@v1"])
def test_what_is_no_layer_is_said(word, registry):
    with pytest.raises(InvalidInputError):
        layers_of(registry, layer_words([word]))


@pytest.mark.parametrize("name", ["season", "annotator", "all", "weight", "label method", "A"])
def test_a_layer_takes_no_name_that_something_else_has(name, registry, zones):
    with pytest.raises(InvalidInputError, match="layer"):
        layers_of(registry, {name: "zones@v1"})


def test_a_layer_that_is_not_there_is_named(registry, zones):
    with pytest.raises(NotFoundError, match="nobody"):
        layers_of(registry, {"biome": "nobody@v1"})
    with pytest.raises(InvalidInputError, match="colour"):
        layers_of(registry, {"biome": "zones@v1#colour"})
