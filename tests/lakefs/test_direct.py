"""Tables that were merged on a server, read there by engines that know nothing of the lab."""

import os

import pyarrow as pa
import pytest

from registry.catalog import Spec
from registry.catalog.registry import Registry
from registry.errors import UnavailableError
from registry.lake.engines import is_remote, spark_uri
from registry.query import attach
from registry.tables import edit
from registry.tables.schemas import SAMPLES
from tests.lakefs.test_engines import a_duckdb, ids, with_delta, with_duckdb

EXPECTED = ["a", "b", "ours", "theirs"]


@pytest.fixture
def merged(lake):
    """A registry whose branch ``ours`` holds rows of two branches."""
    registry = Registry(lake=lake)
    start = registry.create(Spec(name="ships"))

    def change(draft, *names):
        with draft.edit(f"add {', '.join(names)}") as root:
            rows = [{"id": name} for name in names]
            edit.upsert(root, SAMPLES, pa.Table.from_pylist(rows, schema=SAMPLES.arrow))

    change(start, "a", "b", "gone")
    branches = [registry.branch("ships", name, at=start.head) for name in ("ours", "theirs")]
    for draft in branches:
        change(draft, draft.branch)
    with branches[1].edit("remove") as root:
        edit.delete(root, "samples", where="id = 'gone'")
    registry.merge("ships", "theirs", "ours")
    return registry


def test_each_engine_reads_the_merged_table_on_the_server(merged):
    version = merged.resolve("ships@ours")
    place = version.repository.direct("ours").child("samples")
    assert is_remote(place)
    assert ids(version.table("samples")) == EXPECTED
    assert with_delta(place)[1] == EXPECTED
    assert with_duckdb(place) == EXPECTED


def test_a_commit_reads_the_same_when_its_branch_moves_on(merged):
    repository = merged.lake.repository("ships")
    pinned = repository.direct(repository.resolve("ours"))
    with merged.draft("ships", "ours").edit("remove") as root:
        edit.delete(root, "samples", where="id = 'a'")
    assert with_duckdb(pinned.child("samples")) == EXPECTED
    assert with_duckdb(repository.direct("ours").child("samples")) == EXPECTED[1:]


def test_the_sql_to_attach_works_where_the_environment_has_the_keys(merged):
    script = attach(merged.resolve("ships@ours"))
    here = [line for line in script.splitlines() if not line.startswith("INSTALL")]
    with a_duckdb("spatial") as engine:
        engine.create_function("getenv", lambda name: os.environ[name], ["VARCHAR"], "VARCHAR")
        engine.execute("\n".join(here))
        found = engine.execute('select id from "ships@ours".samples').to_arrow_table()
    assert ids(found) == EXPECTED


@pytest.mark.s3a
@pytest.mark.spark
def test_spark_reads_the_merged_table_on_the_server(merged):
    pytest.importorskip("pyspark")
    from spark_jobs.session import session

    place = merged.lake.repository("ships").direct("ours").child("samples")
    try:
        spark = session("merged", locations=[place])
    except UnavailableError as error:
        pytest.skip(str(error))
    try:
        rows = spark.read.format("delta").load(spark_uri(place)).select("id").collect()
    finally:
        spark.stop()
    assert sorted(row.id for row in rows) == EXPECTED
