import os
import time

import pyarrow as pa
import pytest

from registry.curate.formats.raster import RASTERS
from registry.curate.ingest.journal import open_journal
from registry.errors import ConflictError


@pytest.fixture
def address(tmp_path):
    return f"file://{tmp_path}"


def opened(address, source="/data/set", dataset="things"):
    return open_journal(address, dataset=dataset, source=source)


def test_a_journal_lies_in_the_lakes_folder_out_of_sight(address, tmp_path):
    with opened(address) as journal:
        assert journal.folder.parent == tmp_path / ".ingest"


def test_a_record_is_found_again_and_parts_are_dropped(address):
    row = {"file": "a.tif", "stamp": "1", "part": "part-1", "sha256": bytes(32)}
    with opened(address) as journal:
        (journal.parts / "part-1.bin").write_bytes(b"x")
        assert not journal.is_new
        journal.record(pa.Table.from_pylist([row], schema=RASTERS))
        assert not journal.parts.exists()
    with opened(address) as journal:
        assert journal.recorded().to_pylist()[0] | {"part": "part-1"} == (
            dict.fromkeys(RASTERS.names) | row
        )


def test_sources_and_datasets_do_not_share_a_journal(address):
    with (
        opened(address) as one,
        opened(address, "/data/other") as two,
        opened(address, dataset="others") as three,
    ):
        assert len({one.folder, two.folder, three.folder}) == 3


def test_a_journal_is_held_by_one_alone(address):
    with opened(address), pytest.raises(ConflictError, match="by another process"), opened(address):
        pass
    with opened(address):
        pass


def test_a_damaged_record_is_no_record(address):
    with opened(address) as journal:
        (journal.folder / "record.arrow").write_bytes(b"nonsense")
        assert len(journal.recorded()) == 0


def test_journals_that_nobody_came_back_to_are_forgotten(address):
    with opened(address) as journal:
        old = journal.folder
    long_ago = time.time() - 30 * 24 * 3600
    os.utime(old, (long_ago, long_ago))
    with opened(address, "/data/other"):
        assert not old.exists()


def test_other_lakes_keep_journals_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with opened("lakefs://host/repository") as journal:
        assert journal.folder.parent == tmp_path / "cache" / "eolab" / "ingest"
