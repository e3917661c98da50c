"""Every implementation of the lake's contract, each made afresh for a test."""

import pytest

from registry import lake


@pytest.fixture(params=["local"])
def any_lake(request, tmp_path):
    return lake.init(str(tmp_path / "lake"))


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
