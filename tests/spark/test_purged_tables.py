"""A table that Spark, delta-rs and the lab wrote is read alike at each commit after a purge."""

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from registry import lake
from registry.catalog import Registry, Spec
from registry.catalog.forgetting.purging import Wanted, purge
from registry.tables import store
from registry.tables.schemas import ANNOTATIONS, SAMPLES

pytestmark = pytest.mark.spark

CANARY = "canary_4711"


def annotations(*names):
    ids = [f"{name}-a" for name in names]
    return pa.table({"id": ids, "sample": list(names), "category": ["boat"] * len(names)})


@pytest.fixture
def told(spark, tmp_path, monkeypatch):
    """Tell a history: the lab, delta-rs and Spark write the table in turn; Spark checkpoints it."""
    monkeypatch.setenv("EOLAB_USER", "anna")
    registry = Registry(lake=lake.init(str(tmp_path / "lake")))
    draft = registry.create(Spec(name="ships"))
    commits = []

    def commit(write):
        with draft.edit("write") as root:
            write(root)
        commits.append(draft.head)

    def first(root):
        store.append(root, SAMPLES, pa.table({"id": ["boat_01", CANARY]}))
        store.append(root, ANNOTATIONS, annotations("boat_01"))

    def by_delta_rs(root):
        schema = store.schema_of(root, "annotations").arrow
        rows = annotations(CANARY, "boat_01")
        rows = rows.set_column(0, "id", [["d1", "d2"]])
        whole = pa.table({
            field.name: rows[field.name] if field.name in rows.column_names
            else pa.nulls(2, field.type)
            for field in schema
        })  # fmt: skip
        write_deltalake(str(root / "annotations"), whole.cast(schema), mode="append")

    def by_spark(root):
        folder = str(root / "annotations")
        rows = spark.read.format("delta").load(folder).where("id = 'd1'")
        again = rows.selectExpr(*(f"'s1' as {c}" if c == "id" else c for c in rows.columns))
        again.write.format("delta").mode("append").save(folder)
        spark.sql(f"UPDATE delta.`{folder}` SET category = 'ship' WHERE sample = '{CANARY}'")  # noqa: S608 — the test's own

    def checkpointed(root):
        DeltaTable(root / "annotations").create_checkpoint()
        store.append(root, ANNOTATIONS, annotations("boat_02"))

    for write in (first, by_delta_rs, by_spark, checkpointed):
        commit(write)
    return registry, commits


def read(spark, folder):
    """Return the ids of a table as each engine sees them."""
    by_spark = [row.id for row in spark.read.format("delta").load(str(folder)).collect()]
    table = DeltaTable(folder)
    by_delta_rs = table.to_pyarrow_table()["id"].to_pylist()
    asked = duckdb.execute("select id from read_parquet(?)", [table.file_uris()])
    by_duckdb = [id_ for (id_,) in asked.fetchall()]
    return sorted(by_spark), sorted(by_delta_rs), sorted(by_duckdb)


def test_each_engine_reads_each_purged_commit_alike(told, spark):
    registry, commits = told
    before = [
        registry.resolve(f"ships@{commit}").table("annotations").to_pylist() for commit in commits
    ]
    repository = registry.lake.repository("ships")
    purge(repository, Wanted(samples=[CANARY]), reason="a person asked")
    for commit, rows in zip(commits, before, strict=True):
        version = registry.resolve(f"ships@{commit}")
        wanted = sorted(row["id"] for row in rows if row["sample"] != CANARY)
        folder = version.root.path / "annotations"
        assert read(spark, folder) == (wanted, wanted, wanted)
        assert version.count("annotations") == len(wanted)
        # From the log's statistics alone, where Spark can.
        assert spark.read.format("delta").load(str(folder)).count() == len(wanted)
    for path in (repository.locate("draft/anna").path).rglob("*"):
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes()
