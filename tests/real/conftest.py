"""The real data sets beside the project, read in place; without them nothing here is collected."""

from pathlib import Path

import pytest

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

collect_ignore_glob = [] if DATA.is_dir() else ["test_*.py"]


@pytest.fixture(scope="session")
def shared_data():
    return DATA


@pytest.fixture
def registry(tmp_path):
    from registry import lake
    from registry.catalog.registry import connect

    lake.init(str(tmp_path / "lake"))
    return connect(str(tmp_path / "lake"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """A registry that all tests share, which only read what others have brought into it."""
    from registry import lake
    from registry.catalog.registry import connect

    folder = tmp_path_factory.mktemp("lab") / "lake"
    lake.init(str(folder))
    return connect(str(folder))
