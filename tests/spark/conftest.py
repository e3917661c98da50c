"""One Spark session for every test that needs one."""

import shutil

import pytest

from registry.errors import UnavailableError


@pytest.fixture(scope="session")
def spark():
    pytest.importorskip("pyspark")
    if shutil.which("java") is None:
        pytest.skip("there is no java")
    from spark_jobs.session import session

    try:
        opened = session("tests")
    except UnavailableError as error:
        pytest.skip(str(error))
    yield opened
    opened.stop()
