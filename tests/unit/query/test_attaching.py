import duckdb
import pytest

from registry.lake import Location
from registry.query import attach, connection, sql
from registry.query.engine import load


def offline(script):
    """The script as a machine without network runs it: extensions come from wheels."""
    return "\n".join(line for line in script.splitlines() if not line.startswith("INSTALL"))


@pytest.fixture
def stranger():
    """Somebody's own DuckDB."""
    engine = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    load(engine, "delta")
    load(engine, "spatial")
    load(engine, "icu")
    engine.execute("SET TimeZone = 'UTC'")
    return engine


def test_somebody_elses_duckdb_sees_the_same_rows(shared, stranger):
    version = shared.resolve("ships@v1")
    script = attach(version)
    stranger.execute(offline(script))
    stranger.execute(offline(script))  # as often as one likes

    for name in version.tables():
        text = f'from "ships@v1"."{name}" order by all'
        assert stranger.execute(text).to_arrow_table() == sql(shared, text).read_all()
    text = 'select id from "ships@v1".samples_in(4.1, 52, 4.21, 53) order by id'
    assert stranger.execute(text).fetchall() == [("s1",), ("s2",)]
    assert "INSTALL delta; LOAD delta;" in script


def test_a_connection_in_this_process_needs_no_schema_before_a_table(shared):
    engine = connection(shared.resolve("ships@v1"), shared.resolve("boats@v1"))
    text = 'select count(*), (select count(*) from "boats@v1".samples) from samples'

    assert engine.execute(text).fetchall() == [(10, 4)]
    text = "select chip_value(chip, 1, 0, 1) from chips where sample = 's2'"
    assert engine.execute(text).fetchall() == [(201.0,)]


def test_a_lake_on_a_server_is_attached_by_address_and_its_keys_are_not_told(shared, monkeypatch):
    version = shared.resolve("ships@v1")
    options = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:8000",
        "AWS_ACCESS_KEY_ID": "the-key",
        "AWS_SECRET_ACCESS_KEY": "the-secret",
    }
    monkeypatch.setattr(
        type(version.repository),
        "direct",
        lambda _, at: Location(uri=f"s3://ships/{at}", storage_options=options),
    )
    script = attach(version)

    at = version.commit.id
    assert f"delta_scan('s3://ships/{at}/samples')" in script
    assert "LOAD httpfs" in script
    assert "getenv('LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY')" in script
    assert "SCOPE 's3://ships/'" in script
    assert not any(told in script for told in ("the-key", "the-secret", str(version.root.path)))
