"""The real data sets beside the project, read in place."""

import pytest


@pytest.fixture(scope="session")
def shared_data(project):
    folder = project.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("there are no real data sets beside the project")
    return folder


@pytest.fixture
def registry(tmp_path):
    from registry import lake
    from registry.catalog.registry import connect

    lake.init(str(tmp_path / "lake"))
    return connect(str(tmp_path / "lake"))
