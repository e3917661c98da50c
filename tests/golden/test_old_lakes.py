"""What was published once is read for ever, as it was."""

import json
import tarfile
from pathlib import Path

import pytest

from registry.catalog import connect
from registry.query import find_slice
from tests.golden.make_lake import facts

ROOM = Path(__file__).parent
OLD = sorted(path.name.removesuffix(".tar.gz") for path in ROOM.glob("*.tar.gz"))


@pytest.fixture(params=OLD)
def old(request, tmp_path):
    with tarfile.open(ROOM / f"{request.param}.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    expected = json.loads((ROOM / f"{request.param}.json").read_text("utf-8"))
    return connect(str(tmp_path / "lake")), expected


def test_there_is_an_old_lake():
    assert OLD


def test_an_old_lake_reads_as_it_did(old):
    lab, expected = old
    slice_id = expected["slice"]

    assert facts(lab, slice_id) == expected
    assert find_slice(lab, slice_id).ids


def test_an_old_lake_is_whole(old):
    lab, _ = old

    assert list(lab.lake.repository("golden").fsck()) == []
