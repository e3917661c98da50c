import json

import pytest

from registry import lake
from registry.errors import InvalidInputError, NotFoundError


def test_a_folder_that_is_no_lake_is_told_how_to_become_one(tmp_path):
    with pytest.raises(NotFoundError, match="eolab init"):
        lake.connect(str(tmp_path))
    with pytest.raises(NotFoundError, match="eolab init"):
        lake.connect(str(tmp_path / "missing"))


def test_a_folder_that_holds_something_else_is_not_made_a_lake(tmp_path):
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(InvalidInputError, match="no lake"):
        lake.init(str(tmp_path))


def test_a_path_and_a_file_address_are_the_same_lake(tmp_path):
    home = tmp_path / "a lake"
    lake.init(home.as_uri()).create("ships")
    assert lake.connect(str(home)).repositories() == ["ships"]
    assert lake.connect(home.as_uri()).address == home.as_uri()


@pytest.mark.parametrize("address", ["https://host", "s3://b", "file://host/x"])
def test_other_addresses_say_what_is_supported(address):
    for opened in (lake.connect, lake.init):
        with pytest.raises(InvalidInputError, match="file:///"):
            opened(address)


def test_the_default_is_the_environments_then_the_current_folders(tmp_path, monkeypatch):
    monkeypatch.delenv("EOLAB_LAKE", raising=False)
    monkeypatch.chdir(tmp_path)
    assert lake.init().address == (tmp_path / ".eolab" / "lake").as_uri()
    monkeypatch.setenv("EOLAB_LAKE", str(tmp_path / "other"))
    lake.init().create("ships")
    monkeypatch.chdir("/")
    assert lake.connect().repositories() == ["ships"]


def test_a_lake_of_a_newer_format_is_refused(tmp_path):
    lake.init(str(tmp_path))
    (tmp_path / "lake.json").write_text(json.dumps({"format": "eolab-lake", "version": 99}))
    with pytest.raises(InvalidInputError, match="99"):
        lake.connect(str(tmp_path))


@pytest.mark.parametrize("address", ["lakefs:/x", "lakefs:x", "lakefs+http:/127.0.0.1:8000"])
def test_an_address_of_a_server_written_wrongly_is_no_folder(address):
    with pytest.raises(InvalidInputError, match="no address of a lakeFS server"):
        lake.connect(address)
