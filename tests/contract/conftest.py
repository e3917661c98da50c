"""Every implementation of the lake's contract, each made afresh for a test."""

import uuid

import pytest

from registry import lake
from tests.lakefs.server import chosen_server


@pytest.fixture(scope="session")
def lakefs_settings():
    """Give the variables of a real server where they are set, else of one of our own."""
    with chosen_server() as server:
        yield server.environment


@pytest.fixture
def lakefs_lake(lakefs_settings, tmp_path, monkeypatch):
    """Give an empty lake on the server, which goes with the test."""
    for name, value in lakefs_settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    made = lake.init(f"lakefs:///t{uuid.uuid4().hex[:12]}")
    yield made
    for name in made.repositories():
        made.delete(name)


@pytest.fixture(params=["local", "lakefs"])
def any_lake(request, tmp_path):
    if request.param == "local":
        return lake.init(str(tmp_path / "lake"))
    return request.getfixturevalue("lakefs_lake")


@pytest.fixture
def repo(any_lake):
    return any_lake.create("ships")


@pytest.fixture
def put(repo):
    """Commit objects by path; None removes."""

    def commit(files, branch="main", message="change", **options):
        with repo.transaction(branch, message=message, **options) as transaction:
            for path, data in files.items():
                if data is None:
                    transaction.remove(path)
                else:
                    transaction.put(path, data)
        return transaction.commit.id

    return commit


@pytest.fixture
def content(repo):
    """Give all objects of a ref by path."""

    def read(at):
        return {entry.path: repo.read(entry.path, at=at) for entry in repo.entries(at)}

    return read
