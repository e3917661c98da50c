"""What Spark wrote merges with what the lab wrote, and every engine reads the result alike."""

import importlib
import os
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
from registry.tables import edit, merge, references
from registry.tables.errors import DuplicateKeyError, UnsafeTableError
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SPLITS, samples_schema

pytestmark = pytest.mark.spark

NAME = "splits/default"
START = dict.fromkeys("abcdef", ("train", None))
TYPES = "sample string not null, subset string, fold int"


@pytest.fixture
def sides(tmp_path):
    """Three folders of one split of six samples in two data files."""
    base, ours, theirs = (tmp_path / side for side in ("base", "ours", "theirs"))
    for names in ("abc", "def"):
        tables.append(base, SPLITS, pa.table({"sample": list(names), "subset": ["train"] * 3}))
    for side in (ours, theirs):
        copytree(base, side, copy_function=os.link)
    edit.update(ours, NAME, set={"fold": "9"}, where="sample = 'a'")
    tables.append(ours, SPLITS, pa.table({"sample": ["o"], "subset": ["test"]}))
    return base, ours, theirs


def merged(sides, name=NAME, **how):
    base, ours, theirs = sides
    return merge.merge_table(base, ours, theirs, into=ours, name=name, **how)


def sql(spark, root, statement):
    spark.sql(statement.format(table=f"delta.`{root / NAME}`"))


def append(spark, root):
    frame = spark.createDataFrame([("x", "test", 1)], TYPES)
    frame.write.format("delta").mode("append").save(str(root / NAME))
    return {"x": ("test", 1)}


def upsert(spark, root):
    spark.createDataFrame([("b", "test", 2), ("y", None, 3)], TYPES).createOrReplaceTempView("new")
    sql(
        spark, root,
        "merge into {table} t using new s on t.sample = s.sample "
        "when matched then update set * when not matched then insert *",
    )  # fmt: skip
    return {"b": ("test", 2), "y": (None, 3)}


def update(spark, root):
    sql(spark, root, "update {table} set subset = 'test' where sample = 'f'")
    return {"f": ("test", None)}


def delete(spark, root):
    sql(spark, root, "delete from {table} where sample = 'e'")
    return {"e": None}


def optimize(spark, root):
    changed = append(spark, root)
    sql(spark, root, "optimize {table}")
    return changed


def z_order(spark, root):
    changed = update(spark, root)
    sql(spark, root, "optimize {table} zorder by (subset)")
    return changed


def checkpoint(spark, root):
    sql(spark, root, "alter table {table} set tblproperties ('delta.checkpointInterval' = '2')")
    return update(spark, root) | delete(spark, root) | append(spark, root)


def add_column(spark, root):
    sql(spark, root, "alter table {table} add columns (note string)")
    sql(spark, root, "update {table} set note = 'seen' where sample = 'd'")
    return {}


def by_the_lab(root, name=NAME):
    return tables.read(root, name).to_pylist()


def by_delta_rs(root, name=NAME):
    return pa.table(DeltaTable(root / name).to_pyarrow_table()).to_pylist()


def by_duckdb(root, name=NAME):
    with duckdb.connect(":memory:") as engine:
        for extension in ("delta", "icu"):
            module = importlib.import_module(f"duckdb_extension_{extension}")
            folder = Path(module.__file__).parent / "extensions" / f"v{duckdb.__version__}"
            engine.execute(f"load '{folder / extension}.duckdb_extension'")
        engine.execute("set timezone = 'UTC'")
        return engine.sql(f"from delta_scan('{root / name}')").to_arrow_table().to_pylist()


def by_spark(spark, root, name=NAME):
    return spark.read.format("delta").load(str(root / name)).toArrow().to_pylist()


def plain(value):
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    return bytes(value) if isinstance(value, bytearray | memoryview) else value


def sorted_rows(listed):
    return sorted((plain(row) for row in listed), key=repr)


def assert_all_engines_read(spark, root, name):
    expected = sorted_rows(by_the_lab(root, name))
    assert sorted_rows(by_delta_rs(root, name)) == expected
    assert sorted_rows(by_duckdb(root, name)) == expected
    assert sorted_rows(by_spark(spark, root, name)) == expected


WRITERS = [append, upsert, update, delete, optimize, z_order, checkpoint, add_column]


@pytest.mark.parametrize("writer", WRITERS)
def test_what_spark_wrote_merges_and_every_engine_reads_the_same(spark, sides, writer):
    changes = writer(spark, sides[2])
    into_theirs = writer in {upsert, checkpoint}
    order = (sides[0], sides[2], sides[1]) if into_theirs else sides
    assert merged(order).conflicts.num_rows == 0
    expected = START | {"a": ("train", 9), "o": ("test", None)} | changes
    found = {row["sample"]: (row["subset"], row["fold"]) for row in by_the_lab(order[1])}
    assert found == {sample: row for sample, row in expected.items() if row is not None}
    assert_all_engines_read(spark, order[1], NAME)
    if writer is add_column:
        notes = {row["sample"]: row["note"] for row in by_the_lab(order[1])}
        assert {sample for sample, note in notes.items() if note == "seen"} == {"d"}


def properties(**said):
    listed = ", ".join(f"'delta.{key}' = '{value}'" for key, value in said.items())
    return f"alter table {{table}} set tblproperties ({listed})"


FEATURES = {
    "deletionVector": [
        properties(enableDeletionVectors="true"),
        "delete from {table} where sample = 'e'",
    ],
    "v2Checkpoint|v2 checkpoint": [properties(checkpointPolicy="v2")],
    "columnMapping|maps its columns": [properties(**{"columnMapping.mode": "name"})],
    "checkConstraints": ["alter table {table} add constraint low check (sample <> '')"],
    "changeDataFeed": [properties(enableChangeDataFeed="true")],
    "rowTracking|domainMetadata": [properties(enableRowTracking="true")],
}


@pytest.mark.parametrize("said", FEATURES)
def test_a_feature_of_spark_is_named_and_refused(spark, sides, said):
    side = 1 if said == "checkConstraints" else 2
    for statement in FEATURES[said]:
        sql(spark, sides[side], statement)
    before = {(path, path.stat().st_ino) for path in sides[1].rglob("*")}
    with pytest.raises(UnsafeTableError, match=said):
        merged(sides)
    assert {(path, path.stat().st_ino) for path in sides[1].rglob("*")} == before


def test_a_table_of_spark_with_an_identity_column_is_refused_by_its_name(spark, tmp_path):
    where = tmp_path / "ours" / "features/numbered"
    spark.sql(
        f"create table delta.`{where}` (sample string, n bigint generated always as identity) "
        "using delta"
    )
    copytree(tmp_path / "ours", tmp_path / "theirs")
    root, other = tmp_path / "ours", tmp_path / "theirs"
    with pytest.raises(UnsafeTableError, match="identity"):
        merge.merge_table(None, root, other, into=root, name="features/numbered")


def test_a_key_that_spark_wrote_twice_is_refused(spark, sides):
    frame = spark.createDataFrame([("a", "test", 1)], TYPES)
    frame.write.format("delta").mode("append").save(str(sides[2] / NAME))
    with pytest.raises(DuplicateKeyError, match="theirs has two rows of sample 'a'"):
        merged(sides)


SAMPLES = samples_schema(pa.struct([("cloud", pa.float64())]))


def write_dataset(root, numbers):
    """Write samples, each with one chip and one outline."""
    names = [f"s{n}" for n in numbers]
    chips = [tables.encode(np.full((2, 8, 8), n, np.uint16)) for n in numbers]
    boxes = [shapely.box(n, 50, n + 1, 51).wkb for n in numbers]
    days = pa.array([datetime(2020, 1, 1 + n % 28, tzinfo=UTC) for n in numbers])
    tables.append(
        root, SAMPLES,
        pa.table({"id": names, "geometry": boxes, "label": [["Forest"]] * len(names),
                  "datetime": days.cast(pa.timestamp("us", "UTC")),
                  "properties": [{"cloud": n / 3} for n in numbers]}),
    )  # fmt: skip
    columns = ("sha256", "codec", "data")
    tables.append(root, PIXELS, pa.table({c: [getattr(e, c) for e in chips] for c in columns}))
    tables.append(
        root, ASSETS,
        pa.table({"sample": names, "asset": ["s2"] * len(names),
                  "pixels": [chip.sha256 for chip in chips],
                  "shape": [list(chip.shape) for chip in chips], "dtype": ["uint16"] * len(names)}),
    )  # fmt: skip
    ids = [f"a{n}" for n in numbers]
    tables.append(root, ANNOTATIONS, pa.table({"id": ids, "sample": names, "geometry": boxes}))


def test_two_branches_of_a_dataset_with_pixels_are_read_alike_by_every_engine(spark, tmp_path):
    base, ours, theirs = (tmp_path / side for side in ("base", "ours", "theirs"))
    write_dataset(base, range(20))
    for side in (ours, theirs):
        copytree(base, side, copy_function=os.link)
    write_dataset(ours, range(20, 26))
    edit.update(ours, "samples", set={"label": "['River']"}, where="id < 's12'")
    edit.delete(ours, "annotations", where="id = 'a3'")
    write_dataset(theirs, range(26, 30))
    edit.update(theirs, "samples", set={"properties.cloud": "0.5"}, where="id >= 's11'")
    edit.update(theirs, "annotations", set={"category": "'ship'"}, where="id = 'a4'")
    for name in ("samples", "pixels", "assets", "annotations"):
        assert merge.merge_table(base, ours, theirs, into=ours, name=name).conflicts.num_rows == 0
        assert_all_engines_read(spark, ours, name)
    assert references.check_pointers(ours).num_rows == 0
    assert tables.count(ours, "pixels") == tables.count(ours, "samples") == 30
    assert tables.count(ours, "annotations") == 29
    for n in range(30):
        np.testing.assert_array_equal(tables.load(ours, f"s{n}", "s2")[0, 0, 0], n)
