"""Croissant documents, read by Croissant's own library."""

import json
import shutil
import warnings

import pytest

from registry.catalog import Registry
from registry.curate.formats.croissant import croissant
from registry.curate.ingest import SourceOptions, ingest
from registry.curate.ingest.simulator import write_folder
from registry.curate.publishing import publish
from registry.lake import init


@pytest.fixture(scope="module")
def version(tmp_path_factory):
    home = tmp_path_factory.mktemp("croissant")
    write_folder("detection", home / "scenes", samples=4, seed=0, size=64)
    registry = Registry(lake=init(str(home / "lake")))
    options = SourceOptions.of(licence="CC0-1.0", provider="Ada")
    ingest(registry, str(home / "scenes"), into="boats", options=options)
    return publish(registry, "boats", message="first")


@pytest.fixture
def read(version, tmp_path):
    """Return what Croissant's library makes of a version's files beside their document."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlcroissant

        folder = shutil.copytree(version.root.path, tmp_path / "boats")
        document = folder / "croissant.json"
        document.write_text(json.dumps(croissant(version)), encoding="utf-8")
        yield mlcroissant.Dataset(document)


def test_croissant_finds_no_error(read):
    assert not read.metadata.issues.errors


@pytest.mark.parametrize("table", ["samples", "assets", "annotations", "pixels"])
def test_its_records_are_the_rows(read, version, table):
    rows = version.table(table, columns=["id"] if table in {"samples", "annotations"} else None)

    records = list(read.records(table))

    assert len(records) == rows.num_rows
    if "id" in rows.column_names:
        assert {one[f"{table}/id"].decode() for one in records} == set(rows["id"].to_pylist())


def test_it_says_where_and_when(version):
    said = croissant(version)

    south, west, north, east = map(float, said["spatialCoverage"]["geo"]["box"].split())
    assert -90 <= south < north <= 90
    assert -180 <= west < east <= 180
    assert "/" in said["temporalCoverage"]


def test_what_is_known_of_biases_is_in_it(version):
    said = croissant(version, {"geocr:spatialBias": "Europe alone."})

    assert said["geocr:spatialBias"] == "Europe alone."


def test_columns_that_are_structures_are_left_out(version):
    [samples] = [one for one in croissant(version)["recordSet"] if one["name"] == "samples"]

    names = [field["name"] for field in samples["field"]]

    assert "geometry" in names
    assert "bbox" not in names
