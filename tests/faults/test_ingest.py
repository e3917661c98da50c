"""An ingest that is killed leaves nothing half done, and the next one goes on where it stopped."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from registry import lake
from registry.catalog import Registry
from registry.curate.formats.raster import RasterPool
from registry.curate.ingest import ingest

COUNT = 300

SCRIPT = """
import sys, time
from registry.catalog import Registry
from registry.curate.formats.raster import RasterPool
from registry.curate.ingest import ingest
from registry.lake import connect

lake, source, pause = sys.argv[1:]

class Telling:
    def stage(self, what, *, total, unit):
        print(what, flush=True)
    def advance(self, count=1):
        if count:
            print("advanced", flush=True)
            time.sleep(float(pause))

ingest(Registry(lake=connect(lake)), source, into="things", workers=1, progress=Telling())
print("done", flush=True)
"""


@pytest.fixture
def source(tmp_path):
    """A zip of small pictures, enough for several parts."""
    picture = tmp_path / "one.png"
    with zipfile.ZipFile(tmp_path / "pictures.zip", "w") as archive:
        for number in range(COUNT):
            Image.new("RGB", (8, 8), (number % 256, number // 256, 9)).save(picture)
            archive.write(picture, f"{'ab'[number % 2]}/{number}.png")
    return tmp_path / "pictures.zip"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    return Registry(lake=lake.init(str(tmp_path / "lake")))


def started(registry, source, pause=0.0):
    arguments = [registry.lake.address, str(source), str(pause)]
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


def wait_for(process, word):
    for line in process.stdout:
        if line.decode().strip() == word:
            return
    pytest.fail(f"the process ended before it said {word!r}")


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def test_what_was_read_before_a_kill_is_not_read_again(registry, source, monkeypatch):
    process = started(registry, source, pause=60)
    wait_for(process, "advanced")
    kill(process)
    assert registry.names() == []
    read = []
    original = RasterPool.read

    def counting(self, jobs, *, into):
        jobs = list(jobs)
        read.extend(job.file for job in jobs)
        return original(self, jobs, into=into)

    monkeypatch.setattr(RasterPool, "read", counting)
    result = ingest(registry, source, into="things", workers=1)
    assert result.added == COUNT
    assert 0 < len(read) < COUNT


def test_a_kill_at_any_moment_leaves_a_sound_lake_and_the_next_ingest_completes(registry, source):
    for moment in (0.02, 0.07, 0.13, 0.2, 0.28, 0.4):
        process = started(registry, source)
        wait_for(process, "writing")
        time.sleep(moment)
        kill(process)
        for name in registry.names():
            repository = registry.lake.repository(name)
            assert list(repository.fsck()) == []
            for branch in registry.branches(name):
                version = registry.resolve(f"{name}@{branch}")
                assert version.count("samples") in {0, COUNT}
                assert version.count("assets") == version.count("samples")
    result = ingest(registry, source, into="things", workers=1)
    assert result.added + result.unchanged == COUNT
    draft = registry.resolve("things@draft")
    assert draft.count("samples") == draft.count("assets") == draft.count("pixels") == COUNT


def test_readers_end_with_the_process_that_started_them(registry, source):
    process = started(registry, source, pause=60)
    wait_for(process, "advanced")
    readers = children_of(process.pid)
    assert readers
    kill(process)
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{reader}").exists() for reader in readers):
        assert time.monotonic() < deadline, "a reader outlives its parent"
        time.sleep(0.05)


def children_of(pid):
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(status.parent.name))
    return found


def test_a_damaged_journal_costs_time_and_nothing_else(registry, source):
    process = started(registry, source, pause=60)
    wait_for(process, "advanced")
    kill(process)
    journals = Path(registry.lake.address.removeprefix("file://")) / ".ingest"
    parts = sorted(journals.rglob("part-*"))
    assert parts
    for part in parts:
        part.write_bytes(part.read_bytes()[:-7])
    assert ingest(registry, source, into="things", workers=1).added == COUNT
    assert list(registry.lake.repository("things").fsck()) == []


def test_two_ingests_of_one_source_do_not_meet(registry, source):
    from registry.errors import ConflictError

    process = started(registry, source, pause=60)
    wait_for(process, "advanced")
    try:
        with pytest.raises(ConflictError, match="is being ingested"):
            ingest(registry, source, into="things", workers=1)
    finally:
        kill(process)
    assert json.dumps(registry.names()) == "[]"
