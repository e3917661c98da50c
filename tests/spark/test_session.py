"""What is missing for Spark is said in one line before anything starts."""

import hashlib
import socket
import subprocess
import threading

import pytest

from registry.errors import InvalidInputError, UnavailableError
from spark_jobs import jars, settings
from spark_jobs import session as sessions
from spark_jobs.settings import Master, lab_settings, merged, of_user


def a_jar(name="a", content=b"whole"):
    return jars.Jar(coordinate=f"org.example:{name}:1", sha256=hashlib.sha256(content).hexdigest())


# --------------------------------------------------------------------------------- jars
@pytest.mark.parametrize("jar", jars.DELTA + jars.S3)
def test_each_jar_is_known_to_the_byte(jar):
    assert len(bytes.fromhex(jar.sha256)) == 32
    assert jar.name.endswith(f"-{jar.coordinate.rpartition(':')[2]}.jar")


def test_a_closed_network_names_its_folder_of_jars(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_SPARK_JARS", str(tmp_path))
    with pytest.raises(UnavailableError, match=r"has no a-1\.jar\n  hint: put org.example:a:1 and"):
        jars.ready([a_jar(), a_jar("b")])
    for name in "ab":
        (tmp_path / f"{name}-1.jar").write_bytes(b"whole")
    assert jars.ready([a_jar(), a_jar("b")]) == [tmp_path / "a-1.jar", tmp_path / "b-1.jar"]


@pytest.mark.parametrize("content", [b"", b"whol", b"Whole"])
def test_a_jar_that_was_cut_off_or_altered_is_refused(tmp_path, monkeypatch, content):
    monkeypatch.setenv("EOLAB_SPARK_JARS", str(tmp_path))
    (tmp_path / "a-1.jar").write_bytes(content)
    with pytest.raises(UnavailableError, match="its SHA-256 is not"):
        jars.ready([a_jar()])


@pytest.fixture
def fetches(tmp_path, monkeypatch):
    """Let Ivy bring whatever a test says; return how often it was asked."""
    monkeypatch.delenv("EOLAB_SPARK_JARS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = []

    def bring(content):
        def run(command, cwd, **_):
            asked.append(command)
            if content is not None:
                name = command[command.index("-dependency") + 2]
                (tmp_path / "eolab" / "spark-jars" / cwd / f"{name}-1.jar").write_bytes(content)
            return subprocess.CompletedProcess(command, 0, "", ":: org.example#a;1: not found")

        monkeypatch.setattr(jars.subprocess, "run", run)
        return asked

    return bring


def test_a_jar_is_fetched_once_and_again_when_it_was_altered(fetches, tmp_path):
    pytest.importorskip("pyspark")
    asked = fetches(b"whole")
    (path,) = jars.ready([a_jar()])
    assert (path.read_bytes(), len(asked)) == (b"whole", 1)
    jars.ready([a_jar()])
    assert len(asked) == 1
    path.write_bytes(b"wh")
    jars.ready([a_jar()])
    assert (path.read_bytes(), len(asked)) == (b"whole", 2)


def test_what_cannot_be_fetched_leaves_no_half_of_a_jar(fetches, tmp_path):
    pytest.importorskip("pyspark")
    fetches(None)
    with pytest.raises(UnavailableError, match=r"not found[^$]*EOLAB_SPARK_JARS"):
        jars.ready([a_jar()])
    assert not list(tmp_path.rglob("*.jar"))


def test_what_comes_in_a_jars_place_is_not_kept(fetches, tmp_path):
    pytest.importorskip("pyspark")
    fetches(b"something else")
    with pytest.raises(UnavailableError, match="what came has another SHA-256"):
        jars.ready([a_jar()])
    assert not list(tmp_path.rglob("*.jar"))


def test_many_who_need_a_jar_at_once_fetch_it_once(fetches):
    pytest.importorskip("pyspark")
    asked = fetches(b"whole")
    found = []
    crowd = [threading.Thread(target=lambda: found.append(jars.ready([a_jar()]))) for _ in range(8)]
    for one in crowd:
        one.start()
    for one in crowd:
        one.join()
    assert (len(found), len(asked)) == (8, 1)


# ------------------------------------------------------------------------------- master
@pytest.mark.parametrize(
    ("said", "address", "cores"),
    [
        ("local", "local[1,4]", 1),
        ("local[3]", "local[3,4]", 3),
        ("local[3,1]", "local[3,1]", 3),
        ("spark://a:7077,b:7077", "spark://a:7077,b:7077", None),
        ("k8s://https://10.0.0.1:6443", "k8s://https://10.0.0.1:6443", None),
        ("yarn", "yarn", None),
    ],
)
def test_a_master_is_named_as_spark_names_it(monkeypatch, said, address, cores):
    monkeypatch.setenv("SPARK_MASTER", said)
    assert (Master.named().address, Master.named().cores) == (address, cores)


@pytest.mark.parametrize(
    "said", ["locl", "local[0]", "local[*", "spark://", "spark://host", "http://host:1", "sc://h:1"]
)
def test_what_is_no_master_is_refused(said):
    with pytest.raises(InvalidInputError, match=r"is no Spark master's address\n  hint: name one"):
        Master.named(said)


def test_where_a_master_answers():
    assert Master.named("spark://a:1,b:2").endpoints == (("a", 1), ("b", 2))
    assert Master.named("k8s://https://h").endpoints == (("h", 443),)
    assert Master.named("k8s://https://h:6443/x").endpoints == (("h", 6443),)
    assert Master.named("local[2]").endpoints == Master.named("yarn").endpoints == ()
    assert Master.named("spark://127.0.0.1:7077").is_loopback
    assert not Master.named("spark://10.0.0.1:7077").is_loopback


def test_a_master_that_does_not_answer_is_told_at_once():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and nobody listens
        master = f"spark://127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(UnavailableError, match="does not answer: Connection refused"):
            sessions._knock(Master.named(master))


# ----------------------------------------------------------------------------- settings
def test_settings_grow_with_cores_and_data_and_stay_within_bounds():
    here, cluster = Master.named("local[4]"), Master.named("spark://h:7077")
    assert settings.partitions(here, 0) == 4
    assert settings.partitions(here, 4 << 30) == 32
    assert settings.partitions(cluster, 0) == 200
    assert settings.partitions(cluster, 1 << 60) == 20_000
    assert lab_settings(here)["spark.driver.host"] == "127.0.0.1"
    assert "spark.driver.host" not in lab_settings(cluster)
    assert "spark.default.parallelism" not in lab_settings(cluster)


@pytest.mark.parametrize(
    ("master", "size", "quick"),
    [
        ("local[*]", 1 << 20, True),
        ("local[*]", 0, False),  # not known
        ("local[*]", 1 << 30, False),
        ("spark://127.0.0.1:7077", 1 << 20, False),
    ],
)
def test_java_compiles_little_for_small_work_here(master, size, quick):
    told = lab_settings(Master.named(master), size=size)
    assert ("spark.driver.extraJavaOptions" in told) is quick


def test_the_users_settings_win_and_lists_grow(monkeypatch):
    monkeypatch.setenv("EOLAB_SPARK_SETTINGS", "spark.executor.memory=8g 'spark.x=a b'")
    user = of_user({"spark.executor.memory": "4g", "spark.jars": "mine.jar"})
    assert user["spark.x"] == "a b"
    both = merged({"spark.jars": "delta.jar", "spark.executor.memory": "1g"}, user)
    assert both["spark.jars"] == "delta.jar,mine.jar"
    assert both["spark.executor.memory"] == "4g"


def test_the_log_says_where_spark_runs_and_no_secret(monkeypatch, capsys):
    monkeypatch.setattr(sessions, "_need_java", lambda: None)
    monkeypatch.setattr(sessions.jars, "ready", lambda _: [])
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))  # and nobody listens
        master = f"spark://127.0.0.1:{bound.getsockname()[1]}"
        own = {"spark.hadoop.fs.s3a.secret.key": "s3cr3t", "spark.executor.memory": "8g"}
        with pytest.raises(UnavailableError):
            sessions.session("a test", master=master, settings=own)
    said = capsys.readouterr().err
    assert said.startswith(f"Spark for a test at {master}: ")
    assert "spark.sql.session.timeZone=UTC" in said
    assert "spark.executor.memory=8g" in said
    assert "s3cr3t" not in said


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("nonsense", "is no setting"),
        ("'open", "cannot be read"),
        ("spark.master=x", "spark.master"),
    ],
)
def test_settings_that_are_none_are_refused(monkeypatch, said, problem):
    monkeypatch.setenv("EOLAB_SPARK_SETTINGS", said)
    with pytest.raises(InvalidInputError, match=problem):
        of_user(None)


@pytest.mark.parametrize("java", [None, 'openjdk version "11.0.2" 2019-01-15'])
def test_another_java_than_17_or_21_is_told_before_spark_starts(monkeypatch, java):
    monkeypatch.setattr(sessions, "found", lambda: java)
    with pytest.raises(UnavailableError, match="Java 17 or 21 is needed"):
        sessions.session("never")


def test_a_java_home_without_java_is_named(monkeypatch):
    monkeypatch.setenv("JAVA_HOME", "/no:where")
    with pytest.raises(UnavailableError, match="JAVA_HOME is '/no:where', which has no bin/java\n"):
        sessions.session("never")


# ------------------------------------------------------------------------------ session
@pytest.mark.spark
def test_a_session_has_the_labs_python_and_keeps_keys_off_its_command_line(spark):
    import sys
    from pathlib import Path

    from registry.lake import Location

    found = spark.range(2).repartition(2).mapInArrow(_where_from, "python string, threads string")
    assert {tuple(row) for row in found.collect()} == {(sys.executable, "1")}
    stranger = Location(
        uri="s3://elsewhere/main",
        storage_options={
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            "AWS_ACCESS_KEY_ID": "k",
            "AWS_SECRET_ACCESS_KEY": "s3cr3t",
        },
    )
    with pytest.raises(UnavailableError, match="cannot read s3://elsewhere/main"):
        sessions._tell_of(spark, [stranger], was_open=True)
    sessions._tell_of(spark, [stranger], was_open=False)
    java = spark.sparkContext._gateway.proc.pid
    assert b"s3cr3t" not in Path(f"/proc/{java}/cmdline").read_bytes()
    assert "s3cr3t" not in str(spark.sparkContext.getConf().getAll())


def _where_from(batches):
    import os
    import sys

    import pyarrow as pa

    for _ in batches:
        said = {"python": [sys.executable], "threads": [os.environ.get("OMP_NUM_THREADS")]}
        yield pa.record_batch(said)
