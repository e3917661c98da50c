"""Features on Spark are those of the library, bit by bit, and what goes wrong is said."""

import re
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from registry.curate.features.evaluating import FeatureFailedError
from registry.curate.features.threads import on_threads
from registry.errors import UnavailableError
from registry.progress import SILENT
from registry.tables.schemas import SAMPLES
from spark_jobs import features
from spark_jobs.features import spark_runner, tables_of, transform
from spark_jobs.running import error_of
from tests.spark.conftest import FACTS, fill, work_on

pytestmark = pytest.mark.spark


class Watched:
    def __init__(self):
        self.done = 0

    def stage(self, what, *, total, unit):
        pass

    def advance(self, count=1):
        self.done += count


def by_library(work, out):
    on_threads(work, out / "library", SILENT, threads=2)
    return pq.read_table(out / "library").sort_by("sample")


def by_spark(spark, work, out, progress=SILENT):
    spark_runner(spark)(work, out / "spark", progress)
    return pq.read_table(out / "spark").sort_by("sample")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    fill(folder, 20, assets=("s1", "s2"))
    return folder


def test_spark_and_the_library_give_equal_values_to_the_last_bit(spark, root, tmp_path):
    progress = Watched()
    ours = by_spark(spark, work_on(root), tmp_path, progress)
    assert ours.equals(by_library(work_on(root), tmp_path))
    assert ours.schema.equals(work_on(root).schema)
    assert ours["spectral"].combine_chunks().field("ndvi_mean").null_count == 0
    assert (ours.num_rows, progress.done) == (20, 20)


def test_only_the_samples_that_are_asked_for_are_computed(spark, root, tmp_path):
    asked = tmp_path / "ids.parquet"
    pq.write_table(pa.table({"id": ["s004", "s017"]}), asked)
    work = work_on(root, samples=str(asked))
    ours = by_spark(spark, work, tmp_path)
    assert ours["sample"].to_pylist() == ["s004", "s017"]
    assert ours.equals(by_library(work, tmp_path))


def test_pixels_that_spark_reads_give_the_same_values(spark, root, tmp_path):
    both = (replace(FACTS, name="s1"), FACTS)
    for assets in ((FACTS,), both):
        work = work_on(root, assets=assets)
        tables, _ = tables_of(spark, work)
        pixels = spark.read.format("delta").load(str(root / "pixels"))
        values = transform(replace(tables, pixels=pixels), work, tasks=3).toArrow()
        again = values.cast(work.schema).sort_by("sample")
        assert again.equals(by_library(work, tmp_path))


def test_no_byte_of_pixels_is_shuffled(spark, root):
    work = work_on(root, annotations=False)
    tables, _ = tables_of(spark, work)
    plan = transform(tables, work, tasks=3)._jdf.queryExecution()
    assert not re.search(r"\bdata#", plan.executedPlan().toString())
    pixels = spark.read.format("delta").load(str(root / "pixels"))
    plan = transform(replace(tables, pixels=pixels), work, tasks=3)
    moved = [
        line
        for line in plan._jdf.queryExecution().executedPlan().toString().splitlines()
        if "Exchange hash" in line or "Exchange Round" in line
    ]
    assert moved == []


def test_a_version_without_samples_or_pixels_is_no_fault(spark, tmp_path):
    from registry.tables import store

    store.append(tmp_path / "none", SAMPLES, SAMPLES.empty())
    assert by_spark(spark, work_on(tmp_path / "none"), tmp_path / "a").num_rows == 0
    store.append(tmp_path / "bare", SAMPLES, pa.table({"id": ["x", "y"]}))
    work = work_on(tmp_path / "bare")
    bare = by_spark(spark, work, tmp_path / "b")
    assert bare.equals(by_library(work, tmp_path / "b"))
    assert [len(one) for one in bare["failures"].to_pylist()] == [1, 1]


def test_a_sample_that_cannot_be_computed_is_reported_and_the_others_are_there(spark, tmp_path):
    fill(tmp_path / "toy", 8, broken=(5,))
    work = work_on(tmp_path / "toy")
    ours = by_spark(spark, work, tmp_path)
    assert ours.equals(by_library(work, tmp_path))
    failed = [row["sample"] for row in ours.to_pylist() if row["failures"]]
    assert failed == ["s005"]


def test_a_sample_that_cannot_be_computed_stops_the_job_if_asked(spark, tmp_path):
    fill(tmp_path / "toy", 8, broken=(5,))
    with pytest.raises(FeatureFailedError, match=r"fails on sample 's005'.*\n  hint: leave such"):
        by_spark(spark, work_on(tmp_path / "toy", on_error="stop"), tmp_path)
    assert not list((tmp_path / "spark").glob("*.parquet"))


def test_a_full_disk_is_told(spark, root, tmp_path):
    (tmp_path / "spark").mkdir()
    (tmp_path / "spark" / "part-0.parquet").symlink_to("/dev/full")
    with pytest.raises(UnavailableError, match=r"cannot be kept in .*No space left"):
        by_spark(spark, work_on(root), tmp_path)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("java.io.IOException: No space left on device", "there is no room"),
        ("ModuleNotFoundError: No module named 'registry'", "no lab in their Python"),
        ('Cannot run program "/x/python": error=2', "no Python at that path"),
        ("java.lang.OutOfMemoryError: Java heap space", "too little memory"),
        ("Job aborted due to stage failure: who knows", "Spark's work failed: Job aborted"),
    ],
)
def test_what_often_goes_wrong_is_told_in_plain_words(said, problem):
    assert problem in error_of(f"An error occurred\n{said}\n\tat x.y.z").problem


def test_keys_of_an_object_store_go_to_no_worker(root):
    work = work_on(root)
    secret = replace(work, root=replace(work.root, storage_options={"KEY": "s3cr3t"}))
    assert "s3cr3t" in secret.to_json()
    assert "s3cr3t" not in features._without_keys(secret).to_json()
