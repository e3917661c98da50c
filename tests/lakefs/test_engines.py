"""Delta-rs, DuckDB, pyarrow and Spark read and write the server's own objects."""

import contextlib
import uuid
from concurrent.futures import ThreadPoolExecutor

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError
from lakefs import exceptions

from registry.errors import InvalidInputError, UnavailableError
from registry.lake import Location
from registry.lake.engines import (
    COMMIT_RETRIES,
    delta_options,
    duckdb_secret,
    pyarrow_filesystem,
    spark_settings,
    spark_uri,
)
from registry.query.engine import load
from tests.lakefs.conftest import s3_options

RETRIES = CommitProperties(max_commit_retries=COMMIT_RETRIES)


def rows(start, count, source="base"):
    return pa.table({"id": range(start, start + count), "source": [source] * count})


def ids(table):
    return sorted(table["id"].to_pylist())


@pytest.fixture
def at(server, repo):
    """Give the location of the table in a ref."""

    def locate(ref, *parts):
        uri = f"s3://{repo.id}/{ref}"
        return Location(uri=uri, storage_options=s3_options(server)).child(*parts or ("t",))

    return locate


@pytest.fixture
def append(at):
    """Append rows to the table of a branch with delta-rs."""

    def write(branch, table):
        place = at(branch)
        write_deltalake(
            place.uri,
            table,
            mode="append",
            storage_options=delta_options(place),
            commit_properties=RETRIES,
        )

    return write


@pytest.fixture
def work(repo):
    return repo.branch("work").create("main", hidden=True)


def with_delta(place):
    table = DeltaTable(place.uri, storage_options=delta_options(place))
    return table.version(), ids(table.to_pyarrow_table())


@contextlib.contextmanager
def a_duckdb(*more):
    engine = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    for extension in ("httpfs", "delta", *more):
        load(engine, extension)
    with contextlib.closing(engine):
        yield engine


def with_duckdb(place):
    with a_duckdb() as engine:
        for statement in duckdb_secret(place):
            engine.execute(statement)
        return ids(engine.execute(f"from delta_scan('{place.uri}')").to_arrow_table())


def test_three_engines_read_the_same_rows_at_a_commit(at, append, work):
    append("work", rows(0, 10))
    pinned = work.commit("ten rows").id
    append("work", rows(10, 5))

    assert with_delta(at(pinned)) == (0, list(range(10)))
    assert with_duckdb(at(pinned)) == list(range(10))
    files = DeltaTable(at(pinned).uri, storage_options=delta_options(at(pinned))).file_uris()
    filesystem, folder = pyarrow_filesystem(at(pinned))
    paths = [f"{folder}/{name.rpartition('/')[2]}" for name in files]
    assert ids(ds.dataset(paths, filesystem=filesystem).to_table()) == list(range(10))


def test_a_branch_shows_what_is_not_committed_yet(at, append, work):
    append("work", rows(0, 10))
    work.commit("ten rows")
    append("work", rows(10, 5))

    assert with_duckdb(at("work")) == list(range(15))
    assert with_delta(at("work"))[0] == 1
    assert with_duckdb(at("work@")) == list(range(10))


def test_pyarrow_writes_small_and_large_files(at, work):
    filesystem, folder = pyarrow_filesystem(at("work", "files"))
    pq.write_table(rows(0, 1000), f"{folder}/small.parquet", filesystem=filesystem)
    with filesystem.open_output_stream(f"{folder}/large.bin") as out:
        for _ in range(24):
            out.write(bytes(1 << 20))
    work.commit("files")

    assert pq.read_table(f"{folder}/small.parquet", filesystem=filesystem).num_rows == 1000
    stat = work.object("files/large.bin").stat()
    assert stat.size_bytes == 24 << 20
    assert len(stat.checksum) == 32


def test_writers_of_one_table_lose_nothing(at, append, work):
    append("work", rows(1000, 1))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: append("work", rows(number, 1)), range(16)))
    version, found = with_delta(at("work"))
    assert (version, found) == (16, [*range(16), 1000])


def test_a_commit_takes_no_writes(at, append, work):
    append("work", rows(0, 1))
    pinned = work.commit("one row").id
    filesystem, folder = pyarrow_filesystem(at(pinned))
    with pytest.raises((OSError, DeltaError)):
        append(pinned, rows(1, 1))
    with pytest.raises(OSError, match="NO_SUCH_BUCKET"):
        pq.write_table(rows(0, 1), f"{folder}/x.parquet", filesystem=filesystem)


def test_wrong_keys_open_nothing(at, append, work):
    append("work", rows(0, 1))
    place = at("work")
    wrong = {**place.storage_options, "AWS_SECRET_ACCESS_KEY": "guessed"}
    with pytest.raises((OSError, DeltaError)):
        with_delta(Location(uri=place.uri, storage_options=wrong))


# ---------------------------------------------- why tables are merged by row
def diverged(repo, append, ours, theirs):
    """Make a table whose two branches have so many Delta commits of their own."""
    for name in ("base", "theirs"):
        repo.branch(name).create("main" if name == "base" else "base", exist_ok=True)
        if name == "base":
            append("base", rows(0, 10))
            repo.branch("base").commit("base")
    for branch, count, start in (("base", ours, 100), ("theirs", theirs, 200)):
        for number in range(count):
            append(branch, rows(start + number, 1, branch))
        repo.branch(branch).commit(branch)


@pytest.mark.parametrize(("ours", "theirs"), [(1, 1), (1, 3), (3, 1)])
def test_a_diverged_table_conflicts_and_a_strategy_loses_its_rows(repo, at, append, ours, theirs):
    diverged(repo, append, ours, theirs)
    with pytest.raises(exceptions.ConflictException):
        repo.branch("theirs").merge_into("base")
    for strategy in ("source-wins", "dest-wins"):
        repo.branch(strategy).create("base")
        repo.branch("theirs").merge_into(strategy, strategy=strategy)
        _, found = with_delta(at(strategy))
        assert len(found) < 10 + ours + theirs


def test_a_revert_in_the_middle_leaves_a_gap_in_the_log(repo, at, append, work):
    commits = []
    for number in range(3):
        append("work", rows(number * 10, 1))
        commits.append(work.commit(f"v{number}").id)
    work.revert(commits[1])
    with pytest.raises((OSError, DeltaError), match=r"(?i)gap|contiguous|invalid|missing"):
        with_delta(at("work"))


# ------------------------------------------------------------------- folders
def test_a_folder_opens_with_every_engine_and_needs_nothing(tmp_path):
    place = Location(uri=str(tmp_path / "t"))
    write_deltalake(place.uri, rows(0, 3), storage_options=delta_options(place))
    assert with_delta(place)[1] == with_duckdb(place) == [0, 1, 2]
    filesystem, folder = pyarrow_filesystem(place)
    assert ids(ds.dataset(folder, filesystem=filesystem).to_table()) == [0, 1, 2]
    assert (spark_settings(place), spark_uri(place)) == ({}, place.uri)


def test_names_and_keys_are_quoted(server):
    options = {**s3_options(server), "AWS_SECRET_ACCESS_KEY": "it's; DROP SECRET x"}
    place = Location(uri="s3://repo/main/t", storage_options=options)
    with a_duckdb() as engine:
        for statement in duckdb_secret(place, name='o"dd'):
            engine.execute(statement)
        [[name, scope]] = engine.execute("select name, scope from duckdb_secrets()").fetchall()
    assert (name, scope) == ('o"dd', ["s3://repo/"])


def test_a_secret_to_keep_names_variables_and_no_key(server):
    place = Location(uri="s3://repo/main/t", storage_options=s3_options(server))
    [text] = duckdb_secret(place, from_environment=True)
    assert "getenv('LAKECTL_CREDENTIALS_ACCESS_KEY_ID')" in text
    assert server.secret not in text
    assert server.key not in text
    assert server.secret not in repr(place)


@pytest.mark.parametrize("uri", ["https://host/x", "s3://", "gs://bucket/x"])
def test_other_addresses_are_refused(server, uri):
    place = Location(uri=uri, storage_options=s3_options(server))
    for words in (duckdb_secret, pyarrow_filesystem, spark_settings):
        with pytest.raises(InvalidInputError):
            words(place)
    with pytest.raises(InvalidInputError, match="AWS_ENDPOINT_URL"):
        duckdb_secret(Location(uri="s3://repo/main"))


# --------------------------------------------------------------------- Spark
@pytest.fixture
def spark(at):
    """A session that can read and write the repository's branches."""
    pytest.importorskip("pyspark")
    from spark_jobs.session import session

    try:
        opened = session(f"lakefs-{uuid.uuid4().hex[:6]}", locations=[at("work")])
    except UnavailableError as error:
        pytest.skip(str(error))
    yield opened
    opened.stop()


@pytest.mark.s3a
@pytest.mark.spark
def test_spark_and_delta_rs_read_each_others_tables(at, append, work, spark):
    append("work", rows(0, 10))
    pinned = work.commit("by delta-rs").id
    table = spark_uri(at("work"))
    more = spark.range(10, 15).selectExpr("id", "'spark' as source")
    more.write.format("delta").mode("append").save(table)
    spark.sql(f"delete from delta.`{table}` where id = 3").collect()  # noqa: S608 — our own name
    work.commit("by spark")

    expected = [number for number in range(15) if number != 3]
    read = spark.read.format("delta")
    assert sorted(row.id for row in read.load(table).collect()) == expected
    assert with_duckdb(at("work")) == expected
    assert with_delta(at("work"))[1] == expected
    assert read.load(spark_uri(at(pinned))).count() == 10
    elsewhere = Location(
        uri="s3://another-repository/main", storage_options=at("work").storage_options
    )
    from spark_jobs.session import session

    with pytest.raises(UnavailableError, match="another-repository"):
        session("again", locations=[elsewhere])


def test_the_jars_for_s3a_are_those_of_sparks_own_hadoop():
    pyspark = pytest.importorskip("pyspark")
    from pathlib import Path

    from spark_jobs.jars import S3

    version = S3[0].coordinate.rpartition(":")[2]
    jars = Path(pyspark.__file__).parent / "jars"
    assert [jar.name for jar in jars.glob("hadoop-client-api-*.jar")] == [
        f"hadoop-client-api-{version}.jar"
    ]
