"""Features that a Spark job computes are kept like the library's, whoever else is at work."""

import pytest

from registry.curate import jobs
from registry.curate.features.computing import compute
from registry.curate.features.threads import on_threads
from registry.errors import RegistryError
from registry.tables import store
from spark_jobs.features import spark_runner
from tests.spark.conftest import fill

pytestmark = pytest.mark.spark


@pytest.fixture
def toy(published):
    """Return a lake with ``toy@v1`` in it."""
    registry, publish = published
    publish(lambda root: fill(root, 12))
    return registry


def table(registry):
    found = store.read(registry.resolve("toy@v1").derived, "features/spectral")
    return found.sort_by("sample")


def on_spark(registry, spark, before=lambda: None):
    def run(work, out, progress):
        before()
        spark_runner(spark)(work, out, progress)

    return compute(registry, "toy@v1", ["spectral"], run=run, engine_name="spark")


def test_a_job_keeps_what_it_computes_and_the_library_computes_the_same(toy, monkeypatch):
    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    asked = {"lake": str(toy.lake.address), "ref": "toy@v1", "sets": ["spectral"]}
    done = jobs.launch("features", asked)
    assert (done["engine"], done["sets"][0]["status"]) == ("spark", "computed")
    first = table(toy)
    assert first.num_rows == 12
    again = compute(toy, "toy@v1", ["spectral"], run=on_threads, again=True)
    assert again.sets[0].status == "equal"
    assert table(toy).equals(first)


def test_a_job_that_is_overtaken_finds_the_same_values_there(toy, spark):
    done = on_spark(toy, spark, lambda: compute(toy, "toy@v1", ["spectral"]))
    assert (done.sets[0].status, done.commit) == ("there", None)
    assert table(toy).num_rows == 12


def test_a_version_that_is_withdrawn_meanwhile_gets_no_features(toy, spark):
    with pytest.raises(RegistryError, match="withdrawn"):
        on_spark(toy, spark, lambda: toy.withdraw("toy@v1", "wrong labels"))
    assert toy.resolve("toy@v1").derived is None


def test_a_job_on_what_is_not_there_says_so(toy, monkeypatch):
    from registry.errors import NotFoundError

    monkeypatch.setenv("SPARK_MASTER", "local[2]")
    asked = {"lake": str(toy.lake.address), "ref": "toy@v9", "sets": ["spectral"]}
    with pytest.raises(NotFoundError, match="v9"):
        jobs.launch("features", asked)


def test_zones_that_spark_computes_are_those_of_the_library(toy, spark):
    done = compute(toy, "toy@v1", ["zones"], run=spark_runner(spark), engine_name="spark")
    assert done.sets[0].status == "computed"
    rows = toy.resolve("toy@v1").table("features/zones")
    assert rows.num_rows > 0
    again = compute(toy, "toy@v1", ["zones"], run=on_threads, again=True)
    assert again.sets[0].status == "equal"
