import pyarrow as pa
import pytest

from registry.curate.features import computing
from registry.curate.features.computing import FeaturesExistError, compute
from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.evaluating import FeatureFailedError
from registry.curate.features.planning import UnmetNeedsError, VersionWithdrawnError
from registry.curate.features.records import record_at
from registry.curate.features.threads import on_threads
from registry.curate.features.verifying import FeaturesDifferError
from registry.errors import InvalidInputError
from registry.tables import store
from registry.tables.edit import update
from registry.tables.pixels import encode
from registry.tables.schemas import ANNOTATIONS, ASSETS, PIXELS, SAMPLES

from tests.unit.features.conftest import CARD, asset, chip, pixels, rows_of, sample

BY_ROW = FeatureSet(
    name="when", version=1, title="when",
    features=(Feature(name="day", meaning="d", formula="day", source="t", type=pa.int64()),),
    needs=Needs(columns=("datetime",)),
    by_row=lambda rows: pa.table({"day": pa.compute.day(rows["datetime"])}),
)  # fmt: skip


@pytest.fixture
def version(lake, publish, counted, offered):
    offered(counted.set(), BY_ROW)
    return publish(lake)


def values(lake, ref, name="counted"):
    return lake.resolve(ref).table(f"features/{name}").sort_by("sample")


def test_a_set_is_a_table_beside_the_version(lake, version):
    done = compute(lake, "toy@v1", ["counted", "when"])
    assert [(one.set, one.status, one.evaluated) for one in done.sets] == [
        ("counted", "computed", 12), ("when", "computed", 12),
    ]  # fmt: skip
    rows = values(lake, "toy@v1")
    assert rows["most"].to_pylist() == [int(chip(n).max()) for n in range(12)]
    assert values(lake, "toy@v1", "when")["day"].to_pylist() == list(range(1, 13))
    assert rows["_problem"].null_count == 12
    assert lake.resolve("toy@v1").content_id == version.content_id


def test_both_sets_come_in_one_commit(lake, version):
    head = lambda: len(list(version.repository.log("derived/v1")))  # noqa: E731
    lake.derive(version)
    before = head()
    done = compute(lake, "toy@v1", ["counted", "when"])
    assert head() == before + 1
    assert done.commit == version.repository.resolve("derived/v1")


def test_what_is_up_to_date_is_not_computed_again(lake, version, counted):
    compute(lake, "toy@v1", ["counted"])
    counted.seen.clear()
    done = compute(lake, "toy@v1", ["counted"])
    assert (done.commit, done.sets[0].status, counted.seen) == (None, "there", [])
