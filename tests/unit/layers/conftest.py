"""One cache for all tests of layers: what is in it is named by what it is made from."""

import pytest


@pytest.fixture(scope="session")
def layers_cache(tmp_path_factory):
    return tmp_path_factory.getbasetemp().parent / "eolab-layers"


@pytest.fixture(autouse=True)
def _cached(layers_cache, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(layers_cache))
