"""The process beside a job stays there whatever the disk does."""

import errno
import os

from registry.learn.compute import supervisor
from registry.learn.compute.records import put, taken


def test_a_full_disk_does_not_end_the_watch_and_the_last_note_is_written_later(
    tmp_path, monkeypatch
):
    tries = []

    def full_at_first(file, document):
        tries.append(document["state"])
        if len(tries) < 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        put(file, document)

    monkeypatch.setattr(supervisor, "put", full_at_first)
    monkeypatch.setattr(supervisor, "_AGAIN_SECONDS", 0.0)
    task = {
        "argv": ["false"], "workdir": str(tmp_path), "name": "eolab-no-such-job", "restarts": 0,
        "patience": 0,
    }  # fmt: skip
    supervisor._Watch(tmp_path, task).run()
    stands = taken(tmp_path / supervisor.STANDS)
    assert (stands["state"], stands["status"]) == ("failed", 1)
    assert tries[-1] == "failed"


def test_where_the_folder_is_gone_there_is_nothing_to_wait_for(tmp_path):
    task = {
        "argv": ["true"], "workdir": str(tmp_path), "name": "eolab-no-such-job", "restarts": 0,
        "patience": 0,
    }  # fmt: skip
    supervisor._Watch(tmp_path / "gone", task).run()
    assert not (tmp_path / "gone").exists()
