"""Queries that try to leave: to files, the network, settings, other tables, or to never end.

Each one is asked twice: as a stranger would, through the parser and a process of its own, and
straight at a locked engine, as if the parser had let it through.
"""

import json
import re
import socket
import subprocess
import sys
import threading
from itertools import product
from pathlib import Path

import pyarrow as pa
import pytest

from registry.errors import CorruptError, RegistryError
from registry.query.execution import run
from registry.query.limits import Limits
from registry.tables import store
from registry.tables.schemas import SAMPLES

SECRET = "the-canary-sang"  # noqa: S105 — what must never be read
READERS = [
    "read_csv", "read_csv_auto", "read_parquet", "parquet_scan", "read_json", "read_json_auto",
    "read_json_objects", "read_json_objects_auto", "read_ndjson", "read_ndjson_auto",
    "read_ndjson_objects", "read_text", "read_blob", "glob", "sniff_csv", "parquet_metadata",
    "parquet_schema", "parquet_file_metadata", "parquet_kv_metadata", "parquet_full_metadata",
    "delta_scan", "iceberg_scan", "sqlite_scan", "postgres_scan", "mysql_scan", "read_xlsx",
    "ST_Read", "ST_Read_Meta", "ST_ReadOSM", "ST_ReadSHP", "shapefile_meta", "read_duckdb",
    "arrow_scan", "seq_scan", "query", "query_table", "delta_list_files", "read_avro",
]  # fmt: skip
TARGETS = ["{canary}", "/etc/passwd", "/proc/self/environ", "{url}", "s3://bucket/secret.parquet"]
STATEMENTS = [
    line.replace("\\u00a0", "\u00a0")
    for line in (Path(__file__).parent / "sql_escapes.txt").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]
TEMPLATES = [
    *(f"FROM {function}('{target}')" for function, target in product(READERS, TARGETS)),
    *STATEMENTS,
]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A dataset, a canary beside it, and somebody listening for visitors."""
    root = tmp_path_factory.mktemp("d")
    store.create(root, SAMPLES)
    store.append(root, SAMPLES, pa.Table.from_pylist([{"id": "s1"}], SAMPLES.arrow))
    folder = tmp_path_factory.mktemp("outside")
    canary = folder / "canary.csv"
    canary.write_text(f"a,b\n{SECRET},1\n")
    visitors = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_listen, args=(server, visitors), daemon=True).start()
        names = {
            "canary": str(canary), "folder": str(folder),
            "url": f"http://127.0.0.1:{server.getsockname()[1]}/x.csv",
        }  # fmt: skip
        before = _state(root), _state(folder)
        yield {"root": root, "names": names}
        assert (_state(root), _state(folder)) == before
        assert visitors == []


def _listen(server, visitors):
    while True:
        try:
            connection, address = server.accept()
        except OSError:
            return
        visitors.append(address)
        connection.close()


def _state(folder: Path):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def _texts(place):
    return [template.format(**place["names"]) for template in TEMPLATES]


def test_there_are_many_ways_to_try():
    assert len(set(TEMPLATES)) >= 400


def test_no_statement_gets_out_through_the_front_door(place):
    def resolve(ref):
        if ref == "d@v1":
            return [place["root"]]
        raise _NoSuchRefError(f"no dataset {ref}", hint="none")

    for text in _texts(place):
        with pytest.raises(RegistryError) as caught:
            run(text, resolve, Limits(seconds=20, memory_mb=256)).read_all()

        assert SECRET not in str(caught.value)
        assert "root:" not in str(caught.value)


class _NoSuchRefError(RegistryError):
    pass


STRAIGHT = """
import json, resource, sys
from registry.query import engine
job = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
connection = engine.open_engine(memory_mb=256, threads=1)
connection.execute('CREATE SCHEMA "d@v1"')
connection.execute('CREATE VIEW "d@v1".samples AS SELECT \\'s1\\' AS id')
engine.lock(connection, [job["root"]])
said = []
for text in job["texts"]:
    try:
        answer = connection.execute(text).fetchall()
    except Exception as error:
        answer = str(error)
    if text.upper().startswith(("SET ", "SET GLOBAL ", "PRAGMA ")):
        connection.execute("SELECT 1")
    said.append([text, str(answer)])
said.append(["settings", str(connection.execute(
    "SELECT name, value FROM duckdb_settings() WHERE name IN ('enable_external_access',"
    " 'lock_configuration', 'allowed_directories', 'memory_limit') ORDER BY name").fetchall())])
print(json.dumps(said))
"""


def test_no_statement_gets_out_of_a_locked_engine_either(place, project):
    texts = [
        text for text in _texts(place) if not text.startswith(("DETACH", "EXPLAIN", "DROP SCHEMA"))
    ]
    job = json.dumps({"root": str(place["root"]), "texts": texts})
    ran = subprocess.run(
        [sys.executable, "-c", STRAIGHT], input=job, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(project), "HOME": place["names"]["folder"]},
    )  # fmt: skip

    assert ran.returncode == 0, ran.stderr[-2000:]
    said = json.loads(ran.stdout)
    assert [text for text, answer in said if SECRET in answer or "root:x:" in answer] == []
    settings = said[-1][1]
    assert "('enable_external_access', 'false')" in settings
    assert "('lock_configuration', 'true')" in settings
    assert re.search(r"'memory_limit', '256", settings)


def test_a_table_whose_log_leaves_its_folder_is_not_opened(tmp_path):
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    for root in (outside, inside):
        store.create(root, SAMPLES)
        store.append(root, SAMPLES, pa.Table.from_pylist([{"id": SECRET}], SAMPLES.arrow))
    theirs = store.files(outside, "samples")[0]
    ours = store.files(inside, "samples")[0]
    for log in (inside / "samples" / "_delta_log").glob("*.json"):
        said = log.read_text("utf-8")
        log.write_text(said.replace(ours.name, f"../../outside/samples/{theirs.name}"))

    with pytest.raises(RegistryError, match="no plain path"):
        run("from d.samples", lambda _: [inside])


def test_a_data_file_that_is_no_parquet_is_said_without_its_path(tmp_path):
    store.create(tmp_path, SAMPLES)
    store.append(tmp_path, SAMPLES, pa.Table.from_pylist([{"id": "s1"}], SAMPLES.arrow))
    (file,) = store.files(tmp_path, "samples")
    file.chmod(0o644)
    file.write_bytes(b"x" * file.stat().st_size)

    with pytest.raises(CorruptError) as caught:
        run("from d.samples", lambda _: [tmp_path]).read_all()

    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "with recursive r as (select 1 as i union all select i + 1 from r) select max(i) from r",
        "select count(*) from range(100000000000) a, range(100000000000) b",
        "select max(sha256(repeat('x', 10000000) || i)) from range(1000000000) t(i)",
        "select max(regexp_matches(repeat('a', 100000), '(a*)*b' || i)) from range(1000000) t(i)",
        "select sleep_ms(100000)",
    ],
)
def test_what_never_ends_is_ended(text):
    with pytest.raises(RegistryError) as caught:
        run(text, lambda _: [], Limits(seconds=1, memory_mb=256)).read_all()

    assert caught.value.code in {"unavailable", "rejected"}


@pytest.mark.parametrize(
    "text",
    [
        "select repeat('x', 1000000000) from range(100)",
        "select list(i) from range(10000000000) t(i)",
        "select string_agg(repeat('x', 1000), '') from range(100000000)",
        "select range(1000000000)",
        "select map_from_entries(list((i, i))) from range(1000000000) t(i)",
        "select st_collect(list(st_point(i, i))) from range(1000000000) t(i)",
        "select i from range(1000000000) t(i) order by hash(i)",
    ],
)
def test_what_is_too_large_is_stopped(text):
    with pytest.raises(RegistryError) as caught:
        run(text, lambda _: [], Limits(seconds=20, memory_mb=128)).read_all()

    assert caught.value.code in {"rejected", "unavailable", "invalid-input"}


@pytest.mark.parametrize(
    "text",
    [
        "select " + "(" * 20_000 + "1" + ")" * 20_000,
        "select " + "[" * 800 + "]" * 800,
        "select 1" + " + 1" * 60_000,
        "select * from " + "(select * from " * 900 + "range(1)" + ")" * 900,
        "select " + "case when true then " * 900 + "1" + " end" * 900,
        "select 1" + " union all select 1" * 10_000,
        "select '" + "x" * 260_000,
        "select " + "not " * 5_000 + "true",
        "select a" + ".a" * 50_000,
        "with " + ", ".join(f"c{i} as (select 1)" for i in range(5_000)) + " select 1 from nowhere",  # noqa: S608 — hostile on purpose
    ],
    ids=lambda text: text[:20],
)
def test_monstrous_texts_are_refused_or_answered_but_harm_nobody(text):
    try:
        run(text, lambda _: [], Limits(seconds=5, memory_mb=256)).read_all()
    except RegistryError as error:
        said = str(error)
        assert len(said) < 5_000
