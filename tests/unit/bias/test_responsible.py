"""What an audit found, in Croissant's terms."""

import json
import warnings

import pytest

from registry.catalog import Registry
from registry.curate.bias.auditing import audit
from registry.curate.bias.responsible import responsible
from registry.curate.formats.croissant import croissant
from registry.curate.ingest import SourceOptions, ingest
from registry.curate.ingest.simulator import write_folder
from registry.curate.publishing import publish
from registry.lake import init


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    home = tmp_path_factory.mktemp("responsible")
    write_folder("burn-scars", home / "scenes", samples=12, seed=1, size=32, places=["gippsland"])
    made = Registry(lake=init(str(home / "lake")))
    options = SourceOptions.of(licence="CC0-1.0", provider="Ada")
    ingest(made, str(home / "scenes"), into="burns", options=options)
    publish(made, "burns", message="first")
    return made


def test_a_version_that_nobody_audited_says_nothing(registry):
    assert responsible(registry.resolve("burns@v1")) == {}


def test_what_stands_out_is_said_with_its_reference(registry):
    audit(registry, "burns@v1", keep=True)

    said = responsible(registry.resolve("burns@v1"))

    assert said["geocr:spatialBias"].startswith("Compared with land")
    assert "Oceania" in said["geocr:spatialBias"]
    assert "12 of 12 samples" in " ".join(said["rai:dataBiases"])
    assert said["geocr:samplingStrategy"].startswith("Nobody stated how samples were chosen. ")


def test_croissant_finds_no_error_in_it(registry, tmp_path):
    audit(registry, "burns@v1", keep=True)
    version = registry.resolve("burns@v1")
    document = tmp_path / "croissant.json"
    document.write_text(json.dumps(croissant(version, responsible(version))), encoding="utf-8")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant

        read = mlcroissant.Dataset(document)

    assert not read.metadata.issues.errors
    assert "Oceania" in " ".join(read.metadata.data_biases)
