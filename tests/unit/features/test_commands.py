import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from registry.cli.app import run
from registry.curate.features import engines
from registry.curate.features.computing import FeaturesExistError, compute
from registry.errors import UnavailableError
from registry.tables import store
from registry.tables.schemas import features_schema


@pytest.fixture
def eolab(lake, publish, counted, offered, monkeypatch, capsysbinary):
    monkeypatch.setenv("EOLAB_LAKE", lake.lake.address)
    monkeypatch.delenv("SPARK_MASTER", raising=False)
    counted.fails_on = frozenset({"s02"})
    offered(counted.set())
    publish(lake)

    def called(*arguments, status=0):
        assert run([*arguments, "--json"]) == status
        return json.loads(capsysbinary.readouterr().out)

    return called


def test_a_set_is_computed_found_and_left_alone_the_second_time(eolab):
    done = eolab("features", "compute", "toy@v1", "--set", "counted")
    assert (done["engine"], done["sets"][0]["status"], done["sets"][0]["failed"]) == (
        "library", "computed", 1,
    )  # fmt: skip
    again = eolab("features", "compute", "toy", "-s", "counted")
    assert (again["sets"][0]["status"], again["commit"]) == ("there", None)


def test_the_summary_says_how_many_samples_have_no_values(eolab, capsysbinary):
    for said in ("computed for 12 samples, 1 without values", "is there already, 1 without values"):
        assert run(["features", "compute", "toy@v1", "--set", "counted"]) == 0
        assert said in capsysbinary.readouterr().out.decode()


def test_the_list_says_what_a_version_has_and_can_have(eolab):
    eolab("features", "compute", "toy@v1", "--set", "statistics")
    states = {row["name"]: row["state"] for row in eolab("features", "list", "toy@v1")}
    assert states["statistics"] == "computed"
    assert states["bands"] == "can be computed"
    assert states["terrain"] == "no asset has bands E"


def test_a_table_that_no_set_made_is_listed_and_left_alone(eolab, lake, tmp_path):
    schema = features_schema("weights", [pa.field("weight", pa.float64())])
    with lake.derive(lake.resolve("toy@v1")).edit("from elsewhere") as root:
        store.append(root, schema, pa.table({"sample": ["a"], "weight": [1.0]}, schema.arrow))
    (row,) = [one for one in eolab("features", "list", "toy@v1") if one["name"] == "weights"]
    assert (row["version"], row["features"], row["state"]) == (None, 1, "there")
    (tmp_path / "w.yaml").write_text("name: weights\ncolumns: {half: target / 2}", "utf-8")
    with pytest.raises(FeaturesExistError, match="that no set made"):
        compute(lake, "toy@v1", [str(tmp_path / "w.yaml")])


def test_titles_and_reasons_give_no_orders_to_a_terminal(eolab, lake, tmp_path, capsysbinary):
    file = tmp_path / "red.yaml"
    file.write_text(
        'name: red\ntitle: "a\\e[31mred"\ncolumns: {half: "cast(label[1] || chr(27) as double)"}',
        "utf-8",
    )
    compute(lake, "toy@v1", [str(file)])
    assert run(["features", "list", "toy@v1"]) == 0
    assert run(["features", "compute", "toy@v1", "--set", str(file)]) == 0
    said = capsysbinary.readouterr().out
    assert b"red" in said
    assert b"without values" in said
    assert b"\x1b" not in said


def test_a_set_shows_its_formulas(eolab):
    shown = eolab("features", "show", "counted")
    assert [one["formula"] for one in shown["features"]] == ["mean(b0)", "max"]


@pytest.mark.parametrize("name", ["x.parquet", "x.csv", "x.arrow", "x.npz"])
def test_features_are_got_as_a_file(eolab, tmp_path, name):
    eolab("features", "compute", "toy@v1", "--set", "counted")
    said = eolab(
        "features", "get", "toy@v1", "-s", "counted", "--with", "target", "-o", str(tmp_path / name)
    )
    assert said["rows"] == 12
    if name == "x.parquet":
        assert pq.read_table(tmp_path / name).column_names == [
            "sample", "target", "counted.mean", "counted.most",
        ]  # fmt: skip
    if name == "x.npz":
        with np.load(tmp_path / name) as got:
            assert (got["X"].shape, got["target"].dtype) == ((12, 2), np.float64)


def test_a_file_of_unknown_kind_is_refused(eolab, tmp_path):
    eolab("features", "compute", "toy@v1", "--set", "counted")
    said = eolab("features", "get", "toy@v1", "-s", "counted", "-o", "x.txt", status=2)
    assert said["error"]["problem"] == "'x.txt' ends with .txt"


MINE = "name: mine\nversion: 1\ncolumns:\n  half: {sql: target / 2}\n"


def test_all_that_is_there_is_got_and_of_it_what_has_a_row_a_sample(eolab, tmp_path):
    missed = eolab("features", "get", "toy@v1", "--set", "all", status=3)
    assert missed["error"]["problem"] == "toy@v1 has no features of samples yet"
    (tmp_path / "mine.yaml").write_text(MINE, "utf-8")
    typed = ["-s", "counted", "-s", "statistics", "-s", str(tmp_path / "mine.yaml")]
    eolab("features", "compute", "toy@v1", *typed)
    out = tmp_path / "x.npz"
    eolab("features", "get", "toy@v1", "--set", "all", "-o", str(out))
    with np.load(out) as got:
        assert [*got["names"]] == ["counted.mean", "counted.most", "mine.half"]


def test_whoever_gets_features_of_a_withdrawn_version_is_told(eolab, lake, capsysbinary):
    eolab("features", "compute", "toy@v1", "--set", "counted")
    lake.withdraw("toy@v1", "the labels\x1b were wrong")
    assert run(["features", "get", "toy@v1", "--set", "counted", "--json"]) == 0
    got = capsysbinary.readouterr()
    assert len(json.loads(got.out)) == 12
    assert b"note: toy@v1 was withdrawn: the labels" in got.err
    assert b"\x1b" not in got.err


def test_a_set_is_got_by_the_file_that_it_was_computed_from_and_by_no_other(eolab, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(MINE, "utf-8")
    missed = eolab("features", "get", "toy@v1", "-s", str(file), status=3)
    assert missed["error"]["hint"].endswith(f"eolab features compute toy@v1 --set {file}")
    eolab("features", "compute", "toy@v1", "-s", str(file))
    for said in (str(file), "toy@v1/mine", "mine"):
        assert eolab("features", "get", "toy@v1", "-s", said)[0].keys() == {"sample", "mine.half"}
    file.write_text(MINE.replace("/ 2", "/ 3"), "utf-8")
    other = eolab("features", "get", "toy@v1", "-s", str(file), status=3)
    assert "come from another definition" in other["error"]["problem"]


def test_one_sample_is_looked_up(eolab, toy):
    eolab("features", "compute", "toy@v1", "--set", "counted")
    found = eolab("features", "lookup", "toy@v1", "s05", "--set", "counted")
    assert found["most"] == int(toy.chip(5).max())
    missed = eolab("features", "lookup", "toy@v1", "x", "-s", "counted", status=3)
    assert missed["error"]["code"] == "sample-not-found"


def test_points_get_features_without_a_version(eolab, tmp_path):
    (tmp_path / "points.csv").write_text("lon,lat\n24.95,60.2\n", "utf-8")
    rows = eolab("features", "at", "--points", str(tmp_path / "points.csv"), "--set", "climate")
    assert rows[0]["country"] == "Finland"


@pytest.mark.parametrize("said", ["size=3", "counted.=3", "counted.size", ".size=3"])
def test_a_parameter_without_its_set_is_refused(eolab, said):
    found = eolab("features", "compute", "toy@v1", "-s", "counted", "--parameter", said, status=2)
    assert "parameter" in found["error"]["problem"]


def test_a_set_that_takes_no_parameters_says_so(eolab):
    found = eolab(
        "features", "compute", "toy@v1", "-s", "counted", "--parameter", "counted.a=1", status=2
    )
    assert found["error"]["problem"] == "feature set 'counted' takes no parameters, but a came"


def test_a_set_that_nobody_knows_lists_those_there_are(eolab):
    found = eolab("features", "compute", "toy@v1", "--set", "spektral", status=3)
    assert "spectral" in found["error"]["hint"]


def test_settings_of_spark_go_to_the_job(eolab, monkeypatch):
    asked = {}

    def launch(job, arguments, *, progress, settings):
        asked.update(job=job, sets=len(arguments["sets"]), settings=settings)
        raise UnavailableError("there is no Spark here", hint="")

    monkeypatch.setattr(engines, "launch", launch)
    typed = ["-s", "counted", "--engine", "spark", "--spark-setting", "spark.executor.memory=8g"]
    found = eolab("features", "compute", "toy@v1", *typed, status=7)
    assert found["error"]["problem"] == "there is no Spark here"
    assert asked == {
        "job": "features", "sets": 1, "settings": {"spark.executor.memory": "8g"},
    }  # fmt: skip


def test_what_is_no_setting_of_spark_is_said(eolab):
    typed = ["-s", "counted", "--spark-setting", "memory=8g"]
    found = eolab("features", "compute", "toy@v1", *typed, status=2)
    assert found["error"]["problem"] == "'memory=8g' is no setting of Spark"
