import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.spatial import distance as scipy_distance

from registry.curate.features.computing import compute
from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.drift import distance, divergence, drift, smirnov, stability
from registry.errors import InvalidInputError


@pytest.fixture
def samples():
    random = np.random.default_rng(5)
    return np.sort(random.normal(0, 1, 400)), np.sort(random.normal(0.4, 1.3, 300))


def test_figures_are_scipy_s(samples):
    was, is_ = samples
    assert smirnov(was, is_) == pytest.approx(stats.ks_2samp(was, is_).statistic)
    assert distance(was, is_) == pytest.approx(stats.wasserstein_distance(was, is_))
    p, q = np.array([0.2, 0.5, 0.3, 0.0]), np.array([0.1, 0.4, 0.2, 0.3])
    assert divergence(p, q) == pytest.approx(scipy_distance.jensenshannon(p, q, 2) ** 2)


def test_what_did_not_move_is_stable_and_what_moved_is_not(samples):
    was, is_ = samples
    assert stability(was, was)[0] == 0.0
    assert stability(was, is_ + 3)[0] > 1
    assert stability(np.ones(50), np.ones(60))[0] < 0.001


LABELLED = FeatureSet(
    name="moving", version=1, title="m", needs=Needs(columns=("target", "label")),
    features=(
        Feature(name="height", meaning="h", formula="f", source="t"),
        Feature(name="kind", meaning="k", formula="f", source="t", type=pa.string()),
        Feature(name="still", meaning="s", formula="f", source="t"),
    ),
    by_row=lambda rows: pa.table({
        "height": rows["target"],
        "kind": pa.array([labels[0] for labels in rows["label"].to_pylist()]),
        "still": pa.array([float(id_[1:]) for id_ in rows["id"].to_pylist()]),
    }),
)  # fmt: skip


@pytest.fixture
def versions(lake, publish, offered, toy):
    from registry.tables import store
    from registry.tables.edit import update
    from registry.tables.schemas import SAMPLES

    offered(LABELLED)
    many = [toy.sample(n) for n in range(100)]
    publish(lake, lambda root: store.append(root, SAMPLES, toy.rows(SAMPLES, many)))

    def move(root):
        update(root, "samples", set={"target": "target + 200", "label": "['ice']"}, where="true")

    publish(lake, move)
    return lambda: (lake.resolve("toy@v1"), lake.resolve("toy@v2"))


def test_each_feature_that_moved_is_flagged_and_no_other(lake, versions):
    for ref in ("toy@v1", "toy@v2"):
        compute(lake, ref, ["moving"])
    rows = {row["feature"]: row for row in drift(*versions(), "moving").to_pylist()}
    assert {name: row["flag"] for name, row in rows.items()} == {
        "height": "strong", "kind": "strong", "still": "none",
    }  # fmt: skip
    assert (rows["height"]["ks"], rows["kind"]["js"]) == (1.0, 1.0)
    assert rows["height"]["shift"] == pytest.approx(200 / np.std(np.arange(100)))
    assert (rows["still"]["psi"], rows["still"]["wasserstein"]) == (0.0, 0.0)


def test_tables_of_different_recipes_are_not_compared(lake, versions, offered):
    from dataclasses import replace

    compute(lake, "toy@v1", ["moving"])
    offered(replace(LABELLED, version=2))
    compute(lake, "toy@v2", ["moving"])
    with pytest.raises(InvalidInputError, match="different recipes"):
        drift(*versions(), "moving")


def test_chance_alone_is_rarely_flagged():
    random = np.random.default_rng(8)
    from registry.curate.features.drift import _of_numbers

    flags = [
        _of_numbers("a", random.normal(size=60), random.normal(size=50))["flag"] for _ in range(200)
    ]
    assert flags.count("none") >= 196
