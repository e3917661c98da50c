from importlib.metadata import EntryPoint

import pytest

from registry.curate.features import catalogue, engines
from registry.curate.features.catalogue import BUILT_IN, FeatureSetNotFoundError, names, one
from registry.curate.features.definition import FeatureSet
from registry.curate.features.engines import engine_for
from registry.curate.features.records import Record, call_of
from registry.errors import CorruptError, InvalidInputError, UnavailableError


@pytest.fixture
def installed(monkeypatch):
    """Install a package that offers feature sets."""

    def offer(**points):
        there = [
            EntryPoint(name=n, value=v, group=catalogue.ENTRY_POINTS) for n, v in points.items()
        ]
        monkeypatch.setattr(catalogue, "entry_points", lambda **_: there)
        for known in (catalogue._address, catalogue._load):
            known.cache_clear()

    yield offer
    for known in (catalogue._address, catalogue._load):
        known.cache_clear()


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_set_of_the_lab_is_there_under_its_own_name(name):
    made = one(name)
    assert isinstance(made, FeatureSet)
    assert made.name == name
    assert made.title
    assert len(made.recipe) == 64


def test_an_installed_package_offers_its_sets(installed):
    installed(brightness=f"{catalogue.__name__}:BUILT_IN", texture2=BUILT_IN["statistics"])
    assert {"brightness", "texture2", "spectral"} <= {*names()}
    assert one("texture2") is one("statistics")


def test_what_is_no_feature_set_is_refused(installed):
    installed(brightness=f"{catalogue.__name__}:BUILT_IN")
    with pytest.raises(InvalidInputError, match="no feature set"):
        one("brightness")


@pytest.mark.parametrize("value", ["no_such_module_here:A", "registry.errors:NO_SUCH_NAME"])
def test_a_set_whose_package_is_broken_says_what_is_missing(installed, value):
    installed(broken=value)
    with pytest.raises(UnavailableError, match="'broken' is not in this installation"):
        one("broken")


def test_a_name_that_nobody_has_lists_those_there_are():
    with pytest.raises(FeatureSetNotFoundError, match="no feature set 'spektral'") as caught:
        one("spektral")
    assert "spectral" in caught.value.hint


# ------------------------------------------------------------------------------------- engines
def test_small_versions_are_the_library_s_and_a_named_cluster_is_spark_s(
    lake, publish, monkeypatch
):
    version = publish(lake)
    monkeypatch.delenv("SPARK_MASTER", raising=False)
    assert engine_for(version, "auto") == "library"
    assert engine_for(version, "spark") == "spark"
    monkeypatch.setattr(engines, "MOST_ROWS", 11)
    assert engine_for(version, "auto") == "spark"
    monkeypatch.setenv("SPARK_MASTER", "spark://127.0.0.1:7077")
    assert engine_for(version, "auto") == "spark"
    assert engine_for(version, "library") == "library"


# ------------------------------------------------------------------------- what tables say
@pytest.mark.parametrize("said", [
    {}, {"name": 3}, {"name": ["a"]}, {"name": "a", "parameters": "b"},
    {"name": "a", "definition": 5},
])  # fmt: skip
def test_a_table_that_does_not_say_its_set_is_not_taken_at_its_word(said):
    with pytest.raises(CorruptError):
        call_of(record(call=said))


@pytest.mark.parametrize("said", [
    [("eolab.features.name", "{")], [("eolab.features.name", '"a"')],
    [("eolab.features.columns", "3"), ("eolab.features.name", '"a"')],
])  # fmt: skip
def test_a_table_that_says_nonsense_of_itself_is_damaged(said):
    with pytest.raises(CorruptError):
        Record.from_properties(said)


def test_a_record_comes_back_from_the_properties_of_its_table():
    made = record(call={"name": "a", "parameters": {"k": [1]}, "definition": None})
    assert Record.from_properties([("other", "x"), *made.to_properties()]) == made
    assert Record.from_properties([("other", "x")]) is None


def record(**said):
    return Record(**{
        "name": "a", "version": 1, "title": "A", "recipe": "r", "code": "c", "parameters": {},
        "columns": ({"name": "x"},), "inputs": "i", "content_id": "d", "commit": "e",
        "engine": "library", "packages": {"numpy": "2"}, "evaluated": 3, "kept": 1, **said,
    })  # fmt: skip
