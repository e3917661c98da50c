import pytest

from registry import lake
from registry.catalog import Registry, Spec


@pytest.fixture
def registry(tmp_path, monkeypatch) -> Registry:
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    return Registry(lake=lake.init(str(tmp_path / "lake")))


@pytest.fixture
def ships(registry):
    """A dataset with a card and nothing else."""
    registry.create(Spec(name="ships", licence="MIT", authors=("Ada Lovelace",)))
    return registry


def commit_file(draft, path, text, message="write"):
    with draft.edit(message) as root:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return draft.head


@pytest.fixture
def write():
    return commit_file
