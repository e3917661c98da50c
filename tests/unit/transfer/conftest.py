"""Two lakes with a dataset in the one."""

import pytest

from registry import lake


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def home(tmp_path):
    return lake.init(str(tmp_path / "home"))


@pytest.fixture
def away(tmp_path):
    return lake.init(str(tmp_path / "away"))


@pytest.fixture
def put():
    """Commit objects by path; None removes."""

    def commit(repository, files, branch="main", message="change", **options):
        with repository.transaction(branch, message=message, **options) as transaction:
            for path, data in files.items():
                if data is None:
                    transaction.remove(path)
                else:
                    transaction.put(path, data)
        return transaction.commit.id

    return commit


@pytest.fixture
def ships(home, put):
    """A dataset with two versions, a merge, and what belongs to its versions."""
    repository = home.create("ships")
    put(repository, {"README.md": b"ships", "a": b"1"}, message="first")
    repository.create_tag("v1", at="main", message="first release")
    repository.create_branch("anna/fix", at="main")
    put(repository, {"b": b"from a branch"}, "anna/fix", "fix", author="Anna <anna@example.org>")
    put(repository, {"c": b"2", "a": None}, message="more", metadata={"verdict": "passed"})
    repository.merge("anna/fix", into="main", message="bring the fix in")
    repository.create_tag("v2", at="main", message="second release\n\nwith a fix")
    for branch, files in {
        "derived/v1": {"slices/one.parquet": b"ids"},
        "source/port": {"as-it-came": b"raw"},
        "tombstones": {"v1.json": b"{}"},
        "draft/anna": {"mine": b"not yet"},
    }.items():
        repository.create_branch(branch, at="v1")
        put(repository, files, branch, f"begin {branch}")
    repository.protect("main")
    return repository
