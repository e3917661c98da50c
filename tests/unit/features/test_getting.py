import numpy as np
import pyarrow as pa
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier

from registry.curate.features.catalogue import BUILT_IN, one
from registry.curate.features.computing import compute
from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.getting import FeaturesMissingError, features
from registry.curate.features.matrix import matrix, write_npz
from registry.errors import InvalidInputError
from registry.query import slice as cut


def mixed(scene):
    number = int(scene.sample[1:])
    return {
        "share": number / 12,
        "vector": [float(number), 2.0][: 1 + number % 2],
        "zone": None if number == 3 else "AB"[number % 2],
        "big": number > 5,
    }


MIXED = FeatureSet(
    name="mixed", version=1, title="m", needs=Needs(), by_scene=mixed,
    features=tuple(
        Feature(name=name, meaning="m", formula="f", source="t", type=kind)
        for name, kind in {
            "share": pa.float64(), "vector": pa.list_(pa.float32()), "zone": pa.string(),
            "big": pa.bool_(),
        }.items()
    ),
)  # fmt: skip


@pytest.fixture
def version(lake, publish, counted, offered):
    offered(counted.set(), MIXED)
    publish(lake)
    compute(lake, "toy@v1", ["counted", "mixed", "statistics"])
    return lake.resolve("toy@v1")


def test_sets_are_joined_by_sample_in_the_order_of_the_samples(version, toy):
    rows = features(version, ["mixed", "counted"])
    along = version.table("samples", columns=["id", "hilbert"])
    order = along.sort_by([("hilbert", "ascending"), ("id", "ascending")])["id"].to_pylist()
    assert rows["sample"].to_pylist() == order
    assert rows.column_names == [
        "sample", "mixed.share", "mixed.vector", "mixed.zone", "mixed.big", "counted.mean",
        "counted.most",
    ]  # fmt: skip
    assert rows["counted.most"].to_pylist() == [int(toy.chip(int(id_[1:])).max()) for id_ in order]
    assert rows.schema.field("mixed.vector").type == pa.list_(pa.float32())


def test_a_slice_gives_its_samples_alone(lake, version):
    chosen = cut(lake, "SELECT id FROM \"toy@v1\".samples WHERE label = ['ship']")
    rows = features(version, ["counted"], slice=chosen)
    assert sorted(rows["sample"].to_pylist()) == [f"s{n:02}" for n in range(1, 12, 2)]


def test_a_slice_of_other_content_is_refused(lake, version, publish):
    publish(lake, lambda root: (root / "NOTES.md").write_text("more", "utf-8"))
    chosen = cut(lake, 'SELECT id FROM "toy@v2".samples')
    with pytest.raises(InvalidInputError, match=r"was cut from toy@v2, not from toy@v1"):
        features(version, ["counted"], slice=chosen)


def test_columns_labels_and_split_come_along_as_asked(version):
    rows = features(
        version, ["counted", "mixed"], columns=["counted.mean", "mixed"], beside=["label"],
        split="default",
    )  # fmt: skip
    assert rows.column_names[:4] == ["sample", "label", "subset", "counted.mean"]
    assert "counted.most" not in rows.column_names
    assert rows["subset"].to_pylist().count("train") == 8


@pytest.mark.parametrize(("asked", "problem"), [
    ({"columns": ["counted.means"]}, "there is no feature counted.means"),
    ({"beside": ["lable"]}, "samples have no column lable"),
])  # fmt: skip
def test_what_is_not_there_is_named(version, asked, problem):
    with pytest.raises(InvalidInputError, match=problem):
        features(version, ["counted"], **asked)


def test_features_that_nobody_computed_come_with_the_command_that_does(version):
    with pytest.raises(FeaturesMissingError) as caught:
        features(version, ["spectral"])
    assert caught.value.hint == "compute them: eolab features compute toy@v1 --set spectral"


def test_statistics_are_no_features_of_samples(version):
    with pytest.raises(InvalidInputError, match="a row of 'statistics' is no sample"):
        features(version, ["statistics"])


# --------------------------------------------------------------------------------- as numbers
def test_lists_texts_and_truths_become_columns_of_numbers(version):
    found = matrix(features(version, ["mixed"]).sort_by("sample"))
    assert found.names == (
        "mixed.share", "mixed.vector[0]", "mixed.vector[1]", "mixed.zone=A", "mixed.zone=B",
        "mixed.big",
    )  # fmt: skip
    assert found.samples[3] == "s03"
    np.testing.assert_equal(found.values[3], [3 / 12, 3.0, 2.0, 0.0, 0.0, 0.0])
    np.testing.assert_equal(found.values[8], [8 / 12, 8.0, np.nan, 1.0, 0.0, 1.0])


def test_times_are_seconds_and_null_is_nan():
    rows = pa.table({
        "sample": ["a", "b"], "when": pa.array([1_500_000, None], pa.timestamp("us", "UTC")),
    })  # fmt: skip
    np.testing.assert_equal(matrix(rows).values, [[1.5], [np.nan]])


def test_dates_are_seconds_like_times():
    rows = pa.table({"sample": ["a", "b"], "when": pa.array([2, None], pa.date32())})
    np.testing.assert_equal(matrix(rows).values, [[172_800.0], [np.nan]])


def test_a_list_of_texts_is_a_column_a_text_that_occurs():
    rows = pa.table({
        "sample": ["a", "b", "c"],
        "names": pa.array([["x:2", "x:1"], ["x:1", None], None], pa.list_(pa.string())),
    })  # fmt: skip
    found = matrix(rows)
    assert found.names == ("names=x:1", "names=x:2")
    np.testing.assert_equal(found.values, [[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])


def test_a_list_of_many_texts_is_left_out():
    many = [f"x:{number}" for number in range(300)]
    found = matrix(pa.table({"sample": ["a"], "names": [many], "n": [1]}))
    assert found.names == ("n",)


def _value_of(kind):
    if pa.types.is_list(kind):
        return [_value_of(kind.value_type)]
    if pa.types.is_boolean(kind):
        return True
    return "image:13" if pa.types.is_string(kind) else 1


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_set_of_the_lab_goes_into_a_matrix(name):
    columns = [field for field in one(name).columns if field.name != "sample"]
    rows = pa.table({
        "sample": ["a", "b"],
        **{field.name: pa.array([_value_of(field.type), None], field.type) for field in columns},
    })
    assert matrix(rows).values.shape == (2, len(columns))


def test_bytes_are_no_numbers():
    with pytest.raises(InvalidInputError, match="'a' holds binary"):
        matrix(pa.table({"sample": ["x"], "a": [b"1"]}))


def test_scikit_learn_learns_from_what_is_got(version, tmp_path):
    rows = features(version, ["mixed", "counted"], beside=["label"], split="default")
    write_npz(rows, ["mixed", "counted"], tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as got:
        train = got["subset"] == "train"
        inputs, wanted = got["X"], got["label"]
        assert sorted(set(wanted)) == ["sea", "ship"]
    model = HistGradientBoostingClassifier(min_samples_leaf=1, random_state=0)
    model.fit(inputs[train], wanted[train])
    nothing = DummyClassifier().fit(inputs[train], wanted[train])
    assert model.score(inputs[~train], wanted[~train]) == 1.0
    assert nothing.score(inputs[~train], wanted[~train]) < 1.0
