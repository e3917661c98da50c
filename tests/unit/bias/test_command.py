"""The commands ``eolab bias`` and ``eolab bias suggest``."""

import json

import pytest
import shapely

from registry.cli.app import run


@pytest.fixture
def fields(dataset, registry, monkeypatch):
    monkeypatch.setenv("EOLAB_LAKE", registry.lake.address)
    monkeypatch.delenv("SPARK_MASTER", raising=False)
    return dataset([
        {"id": f"s{n}", "geometry": shapely.Point(20 + n % 9, 45 + n % 5).wkb, "label": ["a"]}
        for n in range(40)
    ])


def test_a_ref_alone_is_reported(fields, capsys):
    assert run(["bias", "fields@v1"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("fields@v1: 40 samples against land (")
    assert "40 without a time" in said
    assert "counted by library" in said


def test_the_report_is_one_json_document(fields, capsys):
    assert run(["bias", "--json", "fields@v1"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["samples"] == 40
    assert {"measure", "reference", "note"} <= said["measures"][0].keys()


def test_a_plan_is_written_as_geojson(fields, tmp_path, capsys):
    out = tmp_path / "plan.geojson"
    assert run(["bias", "suggest", "fields@v1", "-n", "12", "-o", str(out)]) == 0
    assert len(json.loads(out.read_text("utf-8"))["features"]) == 12
    assert "12 places to sample next" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "hint"), [("0", "at least one"), ("-5", "at least one"), ("100000000", "at most")]
)
def test_a_plan_of_no_size_is_refused_before_anything_is_counted(
    fields, monkeypatch, capsys, count, hint
):
    def counted(*_args, **_more):
        raise AssertionError

    monkeypatch.setattr("registry.curate.bias.auditing.reference_population", counted)
    assert run(["bias", "suggest", "fields@v1", "-n", count]) == 2
    said = capsys.readouterr().err
    assert hint in said
    assert "fewer" not in said


def test_a_reference_that_is_none_is_answered_with_those_there_are(fields, capsys):
    assert run(["bias", "fields@v1", "--against", "population"]) == 3
    said = capsys.readouterr().err
    assert "population" in said
    assert "land+antarctica" in said


def test_help_says_where_the_options_of_the_report_are(capsys):
    assert run(["bias", "--help"]) == 0
    assert "eolab bias report --help" in " ".join(capsys.readouterr().out.split())


def test_a_dataset_that_is_not_there_is_said_in_a_line(fields, capsys):
    assert run(["bias", "nobody"]) == 3
    assert "nobody" in capsys.readouterr().err
