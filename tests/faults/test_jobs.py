"""A job tells how far it is and how it ended, and never outlives whoever started it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from registry.curate import jobs
from registry.errors import ConflictError, InvalidInputError
from registry.lake.records import MergeConflictError
from spark_jobs import channel

JOB = """
import os, subprocess, sys, time
from pathlib import Path
from registry.errors import RegistryError
from registry.lake.records import MergeConflictError
from spark_jobs.channel import serve

def work(job):
    asked = job.arguments
    Path(asked["marks"], f"job-{os.getpid()}").touch()
    print("a line for the log", flush=True)
    job.progress.stage("working", total=3, unit="rows")
    job.progress.advance(2)
    job.progress.advance()
    how = asked["how"]
    if how == "conflict":
        raise MergeConflictError("two sides differ", hint="choose one")
    if how == "own":
        raise type("OwnError", (RegistryError,), {"code": "own"})("mine", hint="none")
    if how == "bug":
        raise ValueError("an oversight")
    if how == "exit":
        os._exit(3)
    if how == "list":
        return [1]
    if how == "wait":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(asked["marks"], f"child-{child.pid}").touch()
        try:
            time.sleep(600)
        finally:
            Path(asked["marks"], "tidied").touch()
    return {"rows": 3, "settings": dict(job.settings)}

serve(work)
"""
PARENT = """
import json, sys
from registry.curate import jobs
jobs._program = lambda job: [sys.executable, sys.argv[1]]
jobs.launch("test", json.loads(sys.argv[2]))
"""


class Told:
    def __init__(self):
        self.said = []

    def stage(self, what, *, total, unit):
        self.said.append((what, total, unit))

    def advance(self, count=1):
        self.said.append(count)


@pytest.fixture
def script(tmp_path, monkeypatch):
    path = tmp_path / "job.py"
    path.write_text(JOB)
    monkeypatch.setattr(jobs, "_program", lambda _: [sys.executable, str(path)])
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    return path


@pytest.fixture
def asked(script, tmp_path):
    (tmp_path / "marks").mkdir()
    return lambda how: {"how": how, "marks": str(tmp_path / "marks")}


def wait_for(what):
    until = time.monotonic() + 120
    while not (found := what()):
        assert time.monotonic() < until
        time.sleep(0.02)
    return found


def marked(tmp_path, what):
    return [int(one.name.rpartition("-")[2]) for one in (tmp_path / "marks").glob(f"{what}-*")]


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_job_tells_how_far_it_is_and_what_it_did(asked, tmp_path):
    told = Told()
    done = jobs.launch("test", asked("work"), progress=told, settings={"spark.a": "b"})
    assert done == {"rows": 3, "settings": {"spark.a": "b"}}
    assert told.said == [("working", 3, "rows"), 2, 1]
    (log,) = jobs.logs_folder().iterdir()
    begun, line = log.read_text().splitlines()[:2]
    assert begun.endswith("of None, asked with how, marks")
    assert line == "a line for the log"
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_jobs_error_is_raised_as_it_was(asked):
    with pytest.raises(MergeConflictError) as caught:
        jobs.launch("test", asked("conflict"))
    assert (caught.value.problem, caught.value.hint) == ("two sides differ", "choose one")
    assert isinstance(caught.value, ConflictError)


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("own", "mine"),
        ("bug", "ValueError: an oversight"),
        ("exit", "the job 'test' ended without an answer, with status 3"),
        ("list", "TypeError"),
    ],
)
def test_a_job_that_breaks_is_told_with_its_log(asked, how, problem):
    with pytest.raises(jobs.JobFailedError) as caught:
        jobs.launch("test", asked(how))
    assert caught.value.problem.startswith(problem)
    (log,) = jobs.logs_folder().iterdir()
    assert caught.value.hint == f"read its log: {log}"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_job_ends_with_whoever_started_it_however_that_ends(script, asked, tmp_path, how):
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(script), json.dumps(asked("wait"))],
        stderr=subprocess.DEVNULL,
    )
    (child,) = wait_for(lambda: marked(tmp_path, "child"))
    os.kill(parent.pid, how)
    parent.wait()
    (job,) = marked(tmp_path, "job")
    wait_for(lambda: (tmp_path / "marks" / "tidied").exists() and not runs(job))
    wait_for(lambda: not runs(child))


def test_an_interrupt_ends_the_job_and_all_that_it_started(asked, tmp_path):
    def interrupt():
        wait_for(lambda: marked(tmp_path, "child"))
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        jobs.launch("test", asked("wait"))
    assert (tmp_path / "marks" / "tidied").exists()
    wait_for(lambda: not any(map(runs, marked(tmp_path, "child") + marked(tmp_path, "job"))))


def test_only_the_last_logs_are_kept(asked):
    folder = jobs.logs_folder()
    folder.mkdir(parents=True)
    for number in range(30):
        (folder / f"test-2020010{number:02}.log").touch()
    (folder / "other-1.log").touch()
    jobs.launch("test", asked("work"))
    assert len(list(folder.glob("test-*.log"))) == jobs.KEPT_LOGS
    assert (folder / "other-1.log").exists()


def test_a_folder_that_takes_no_log_is_told(script, asked, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(jobs.JobFailedError, match="no log can be written"):
        jobs.launch("test", asked("work"))


def test_a_module_of_the_current_folder_takes_no_place_of_the_labs(tmp_path):
    (tmp_path / "spark_jobs.py").write_text("raise SystemExit(9)")
    assert jobs._program("features")[:3] == [sys.executable, "-P", "-m"]
    ran = subprocess.run(
        [*jobs._program("no-such-job")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (ran.returncode, "there is no job 'no-such-job'" in ran.stderr) == (1, True)


@pytest.mark.parametrize("word", ["spark.a", "=8g", "memory=8g"])
def test_what_is_no_setting_is_refused(word):
    with pytest.raises(InvalidInputError, match="is no setting of Spark"):
        jobs.settings_of([word])


# ------------------------------------------------------------------------- started by others
def served(words, environment=None):
    code = "from spark_jobs.channel import serve; serve(lambda job: {'had': dict(job.arguments)})"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env={**os.environ, **(environment or {})},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_person_gives_its_arguments_as_json():
    ran = served(['{"ref": "ships@v1"}'])
    assert (ran.returncode, json.loads(ran.stdout)) == (0, {"had": {"ref": "ships@v1"}})
    for words in ([], ["not json"], ["[1]"]):
        ran = served(words)
        assert ran.returncode == InvalidInputError.exit_status
        assert "needs its arguments as one JSON object" in ran.stderr


def test_dagster_is_told_through_pipes(tmp_path):
    pipes = pytest.importorskip("dagster_pipes")
    context = {"asset_keys": ["features"], "run_id": "r", "extras": {"arguments": {"ref": "a@v1"}}}
    (tmp_path / "context.json").write_text(json.dumps({
        **dict.fromkeys((
            "code_version_by_asset_key", "provenance_by_asset_key", "partition_key",
            "partition_key_range", "partition_time_window", "job_name",
        )),
        "retry_number": 0,
        **context,
    }))  # fmt: skip
    ran = served([], {
        "DAGSTER_PIPES_CONTEXT": pipes.encode_param({"path": str(tmp_path / "context.json")}),
        "DAGSTER_PIPES_MESSAGES": pipes.encode_param({"path": str(tmp_path / "messages")}),
    })  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    said = [json.loads(line) for line in (tmp_path / "messages").read_text().splitlines()]
    (made,) = [one for one in said if one["method"] == "report_asset_materialization"]
    assert made["params"]["metadata"]["had"]["raw_value"] == {"ref": "a@v1"}


def test_an_error_that_is_none_of_the_registrys_is_told_in_one_line():
    assert channel.told(ValueError("a\nb"))["problem"] == "ValueError: a"
