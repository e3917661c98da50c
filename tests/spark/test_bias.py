"""Bias counted by Spark is what the library counts, to the last row."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import shapely

from registry.catalog import Registry, Spec
from registry.curate.bias import audit
from registry.curate.bias.auditing import reference_population
from registry.curate.bias.engine import work_on
from registry.curate.bias.evidence import Evidence
from registry.curate.bias.launching import audit_on_spark
from registry.curate.bias.library import Library
from registry.curate.bias.weighing import rake, raked_dimensions
from registry.errors import NotFoundError
from registry.lake import init
from registry.progress import SILENT
from registry.tables import store
from registry.tables.pixels import encode
from registry.tables.schemas import (
    ANNOTATIONS,
    ASSETS,
    PIXELS,
    SAMPLES,
    samples_schema,
    splits_schema,
)

pytestmark = pytest.mark.spark

COUNT = 400
CARD = Spec(name="world")


def some_samples():
    generator = np.random.default_rng(5)
    lon, lat = generator.uniform(-180, 180, COUNT), generator.uniform(-60, 75, COUNT)
    first = datetime(2019, 1, 1, tzinfo=UTC)
    return pa.table({
        "id": [f"s{n:04}" for n in range(COUNT)],
        "geometry": [
            None if n % 11 == 0 else shapely.box(x, y, x + 0.01, y + 0.01).wkb
            for n, (x, y) in enumerate(zip(lon, lat, strict=True))
        ],
        "datetime": pa.array(
            [None if n % 13 == 0 else first + timedelta(hours=7 * n) for n in range(COUNT)],
            pa.timestamp("us", "UTC"),
        ),
        "label": [[["a"], [], ["b", "a"], None, ["<i>\n"]][n % 5] for n in range(COUNT)],
        "target": [float("nan") if n % 9 == 0 else float(x) for n, x in enumerate(lon)],
        "source": [{"href": "x", "provider": "ESA" if n % 2 else None} for n in range(COUNT)],
        "properties": [
            {"eo:cloud_cover": n % 100 / 1.0, "sat:orbit_state": "Ascending" if n % 3 else None}
            for n in range(COUNT)
        ],
    })


def write(root):
    schema = samples_schema(
        pa.struct([("eo:cloud_cover", pa.float64()), ("sat:orbit_state", pa.string())])
    )
    rows = some_samples()
    store.append(root, schema, rows.slice(0, 150))
    store.append(root, schema, rows.slice(150))
    drawn = range(0, COUNT, 2)
    store.append(root, ANNOTATIONS, pa.table({
        "id": [f"a{n}" for n in drawn],
        "sample": [f"s{n // 4 * 2:04}" for n in drawn],
        "category": [["ship", None, "buoy"][n % 3] for n in drawn],
        "annotator": ["anna" if n % 4 else "ben" for n in drawn],
        "method": ["manual"] * len(drawn),
        "status": [["accepted", "rejected", None][n % 3] for n in drawn],
    }))  # fmt: skip
    subsets = {"sample": [f"s{n:04}" for n in range(300)], "subset": ["train", "test"] * 150}
    store.append(root, splits_schema("default"), pa.table(subsets))


@pytest.fixture
def world(tmp_path, ungated):
    registry = Registry(lake=init(str(tmp_path / "lake")))
    ungated(registry, registry.create(CARD), write)
    return registry


@pytest.fixture
def zones(world, ungated):
    packed = encode(np.array([[[100, 700]]], np.int16))
    halves = {"east": shapely.box(0, -60, 180, 60), "west": shapely.box(-180, -60, 0, 60)}
    asset = {
        "sample": "east", "asset": "height", "pixels": packed.sha256, "shape": [1, 1, 2],
        "dtype": "int16", "crs": "OGC:CRS84", "times": [],
        "transform": [180.0, 0.0, -180.0, 0.0, -120.0, 60.0],
    }  # fmt: skip
    pixel = {"sha256": packed.sha256, "codec": packed.codec, "data": packed.data}

    def write(root):
        rows = [{"id": name, "geometry": one.wkb, "label": [name]} for name, one in halves.items()]
        store.append(root, SAMPLES, pa.Table.from_pylist(rows, SAMPLES.arrow))
        store.append(root, PIXELS, pa.Table.from_pylist([pixel], PIXELS.arrow))
        store.append(root, ASSETS, pa.Table.from_pylist([asset], ASSETS.arrow))

    return ungated(world, world.create(Spec(name="zones", licence="CC0-1.0")), write)


@pytest.fixture
def guesses(tmp_path):
    path = tmp_path / "guesses.parquet"
    names = {"sample": [f"s{n:04}" for n in range(0, COUNT, 3)]}
    pq.write_table(pa.table({**names, "prediction": ["a"] * len(names["sample"])}), path)
    return path


def test_spark_counts_what_the_library_counts(spark, world, guesses):
    from spark_jobs.bias import SparkEngine

    version = world.resolve("world@v1")
    work = work_on(version, predictions=str(guesses))
    ours, theirs = SparkEngine(spark=spark), Library()

    assert ours.extent(work) == theirs.extent(work)
    recipe = theirs.extent(work).recipe(("continent", "climate_group"))
    counts = ours.count(work, recipe)
    assert counts.equals(theirs.count(work, recipe))
    assert set(counts["kind"].to_pylist()) == {
        "facts", "strata", "pairs", "cells", "days", "targets", "scores", "joint", "objects",
    }  # fmt: skip


def test_workers_read_the_files_of_samples_that_nothing_is_joined_to(spark, world):
    from spark_jobs.bias import SparkEngine

    bare = replace(work_on(world.resolve("world@v1")), annotated=False, splits=())
    ours, theirs = SparkEngine(spark=spark), Library()

    assert ours.extent(bare) == theirs.extent(bare)
    recipe = theirs.extent(bare).recipe(("continent", "climate_group"))
    counts = ours.count(bare, recipe)
    assert counts.equals(theirs.count(bare, recipe))
    assert counts["count"].to_pylist()[counts["stratum"].to_pylist().index("samples")] == COUNT


def test_spark_weighs_as_the_library_does(spark, world, tmp_path):
    from spark_jobs.bias import SparkEngine

    version = world.resolve("world@v1")
    land = reference_population(world, "land")
    work = work_on(version)
    recipe = Library().extent(work).recipe(raked_dimensions(land))
    weights = rake(Evidence(counts=Library().count(work, recipe)), land)
    tables = []
    for name, engine in (("library", Library()), ("spark", SparkEngine(spark=spark))):
        (tmp_path / name).mkdir()
        engine.weigh(work, weights, tmp_path / name, SILENT)
        tables.append(pq.read_table(tmp_path / name).sort_by("sample"))

    assert tables[0].equals(tables[1])
    assert tables[0].num_rows == COUNT
    assert tables[0]["weight"].null_count >= COUNT // 11


def test_the_report_of_spark_is_that_of_the_library(spark, world):
    from spark_jobs.bias import SparkEngine

    by_library = audit(world, "world@v1", keep=False)
    by_spark = audit(world, "world@v1", engine=SparkEngine(spark=spark))

    assert by_spark.measures.equals(by_library.measures)
    assert by_spark.engine == "spark"
    kept = world.resolve("world@v1")
    assert kept.table("reports/bias").equals(by_library.measures)
    assert kept.count("features/bias-weights") == COUNT


def test_the_job_measures_and_keeps_what_the_library_would(java, world, guesses, monkeypatch):
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    report = audit_on_spark(world, "world@v1", against="land", predictions=str(guesses))
    by_library = audit(world, "world@v1", predictions=str(guesses), keep=False)

    assert report.measures.equals(by_library.measures)
    version = world.resolve("world@v1")
    assert version.table("reports/bias").equals(report.measures)
    weighted = pc.count(version.table("features/bias-weights")["weight"]).as_py()
    assert 0 < weighted <= COUNT - report.outside


def test_layers_of_the_lake_sort_alike_on_spark(spark, world, zones, tmp_path):
    from spark_jobs.bias import SparkEngine

    layers = {"biome": "zones@v1#label", "elevation": "zones@v1#height"}
    path = tmp_path / "own.csv"
    path.write_text("lon,lat,weight\n-60,0,1\n60,0,1\n")
    asked = {"against": str(path), "layers": layers}
    by_library = audit(world, "world@v1", keep=False, **asked)
    by_spark = audit(world, "world@v1", engine=SparkEngine(spark=spark), **asked)

    assert by_spark.measures.equals(by_library.measures)
    assert by_spark.references == by_library.references
    assert {"west", "east", "unknown"} == set(by_spark.strata("biome")["stratum"].to_pylist())
    weights = world.resolve("world@v1").table("features/bias-weights")
    assert 0 < weights["weight"].null_count < COUNT


def test_what_the_job_cannot_do_is_said_as_the_library_says_it(java, world, monkeypatch):
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    with pytest.raises(NotFoundError, match="nobody"):
        audit_on_spark(world, "world@v1", against="nobody@v1")
