"""What is missing for Spark is said in one line before anything starts."""

import subprocess

import pytest

from registry.errors import UnavailableError
from spark_jobs import session as sessions


def test_a_closed_network_names_its_folder_of_jars(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_SPARK_JARS", str(tmp_path))
    with pytest.raises(UnavailableError, match=r"has no delta-spark_4\.2_2\.13-4\.4\.0\.jar"):
        sessions.delta_jars()
    for name in ("delta-spark_4.2_2.13-4.4.0.jar", "delta-storage-4.4.0.jar"):
        (tmp_path / name).touch()
    assert [jar.parent for jar in sessions.delta_jars()] == [tmp_path, tmp_path]


def test_jars_that_cannot_be_fetched_leave_no_half_of_one(tmp_path, monkeypatch):
    monkeypatch.delenv("EOLAB_SPARK_JARS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    gone = subprocess.CompletedProcess([], 1, "", "delta-spark: not found")
    monkeypatch.setattr(sessions.subprocess, "run", lambda *_, **__: gone)
    with pytest.raises(UnavailableError, match=r"not found[^$]*EOLAB_SPARK_JARS"):
        sessions.delta_jars()
    assert not list(tmp_path.rglob("*.jar"))


@pytest.mark.parametrize("java", [None, 'openjdk version "11.0.2" 2019-01-15'])
def test_another_java_than_17_or_21_is_told_before_spark_starts(monkeypatch, java):
    monkeypatch.setattr(sessions, "found", lambda: java)
    with pytest.raises(UnavailableError, match="Java 17 or 21 is needed"):
        sessions.session("never")
