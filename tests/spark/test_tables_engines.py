"""One table, three engines, the same rows."""

import importlib
from datetime import UTC, datetime
from pathlib import Path
from shutil import copytree

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import shapely
from deltalake import DeltaTable

from registry import tables
from registry.tables import edit, merge
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SPLITS, samples_schema

pytestmark = pytest.mark.spark

SAMPLES = samples_schema(pa.struct([("eo:cloud_cover", pa.float64()), ("orbit", pa.string())]))


def some_samples(numbers):
    return pa.table({
        "id": [f"Forest_{n}" for n in numbers],
        "geometry": [shapely.box(n, 50, n + 1, 51).wkb if n % 3 else None for n in numbers],
        "datetime": pa.array(
            [datetime(2017, 1, 1, n % 24, tzinfo=UTC) for n in numbers], pa.timestamp("us", "UTC")
        ),
        "label": [["Forest"], [], None, ["River", "Forest"]] * (len(numbers) // 4),
        "target": [float("nan") if n % 5 == 0 else n / 7 for n in numbers],
        "source": [{"href": f"a/{n}.tif", "licence": "MIT"} if n % 2 else None for n in numbers],
        "properties": [{"eo:cloud_cover": n / 3, "orbit": None} for n in numbers],
    })


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    tables.append(folder, SAMPLES, some_samples(range(40)))
    tables.append(folder, SAMPLES, some_samples(range(40, 60)))
    edit.update(folder, "samples", set={"label": "['Lake']"}, where="id = 'Forest_12'")
    edit.delete(folder, "samples", where="id = 'Forest_13'")
    chips = [tables.encode(np.full((2, 8, 8), n, np.uint16)) for n in range(20)]
    columns = ("sha256", "codec", "data")
    tables.append(folder, PIXELS, pa.table({c: [getattr(e, c) for e in chips] for c in columns}))
    assets = {
        "sample": [f"Forest_{n}" for n in range(20)],
        "asset": ["s2"] * 20,
        "pixels": [chip.sha256 for chip in chips],
        "shape": [list(chip.shape) for chip in chips],
        "transform": [[10.0, 0.0, float(n), 0.0, -10.0, 1.5] for n in range(20)],
    }
    tables.append(folder, ASSETS, pa.table(assets))
    tables.append(
        folder,
        ANNOTATIONS,
        pa.table({"id": ["a1"], "sample": ["Forest_1"], "iscrowd": [False], "score": [0.5]}),
    )
    tables.append(folder, SPLITS, pa.table({"sample": ["Forest_1"], "subset": ["train"]}))
    tables.checkpoint(folder, "assets")
    return folder


def by_the_lab(root, name):
    return tables.read(root, name).to_pylist()


def by_delta_rs(root, name):
    return pa.table(DeltaTable(root / name).to_pyarrow_table()).to_pylist()


def by_duckdb(root, name):
    with duckdb.connect(":memory:") as engine:
        for extension in ("delta", "icu"):
            module = importlib.import_module(f"duckdb_extension_{extension}")
            folder = Path(module.__file__).parent / "extensions" / f"v{duckdb.__version__}"
            engine.execute(f"load '{folder / extension}.duckdb_extension'")
        engine.execute("set timezone = 'UTC'")
        return engine.sql(f"from delta_scan('{root / name}')").to_arrow_table().to_pylist()


def by_spark(spark, root, name):
    return spark.read.format("delta").load(str(root / name)).toArrow().to_pylist()


def plain(value):
    if isinstance(value, float) and value != value:  # noqa: PLR0124 — NaN
        return "nan"
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return bytes(value) if isinstance(value, bytearray | memoryview) else value


def sorted_rows(rows):
    return sorted((plain(row) for row in rows), key=repr)


@pytest.mark.parametrize("name", ["samples", "assets", "pixels", "annotations", "splits/default"])
def test_every_engine_reads_the_same_rows(spark, root, name):
    expected = sorted_rows(by_the_lab(root, name))
    assert expected
    assert sorted_rows(by_delta_rs(root, name)) == expected
    assert sorted_rows(by_duckdb(root, name)) == expected
    assert sorted_rows(by_spark(spark, root, name)) == expected


def test_what_spark_writes_the_lab_reads_edits_and_merges(spark, tmp_path):
    rows = [("a", 1.5, [1, 2]), ("b", None, [])]
    base, ours, theirs = (tmp_path / side for side in ("base", "ours", "theirs"))
    frame = spark.createDataFrame(rows, "sample string, height double, cells array<int>")
    frame.coalesce(1).write.format("delta").save(str(base / "features/heights"))
    for side in (ours, theirs):
        copytree(base, side)
    assert tables.read(ours, "features/heights").num_rows == len(rows)
    edit.update(ours, "features/heights", set={"height": "7"}, where="sample = 'b'")
    edit.update(theirs, "features/heights", set={"cells": "[9]"}, where="sample = 'b'")
    done = merge.merge_table(base, ours, theirs, into=ours, name="features/heights")
    assert done.conflicts.num_rows == 0
    read = spark.read.format("delta").load(str(ours / "features/heights")).toArrow().to_pylist()
    assert {"sample": "b", "height": 7.0, "cells": [9]} in read
