import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.evaluating import FeatureFailedError, evaluate
from registry.curate.features.threads import on_threads
from registry.curate.features.work import ANNOTATION, ARRAY, AssetFacts, Call, Work
from registry.errors import InvalidInputError
from registry.lake.records import Location
from registry.progress import SILENT
from registry.tables.pixels import encode

S2 = AssetFacts(name="s2", bands=("B04", "B08"), common=("R", "N"), scale=(0.0001,))
MASK = AssetFacts(name="mask", role="labels", values={1: "ship"})
NOWHERE = Location(uri="/nowhere")


def work_on(*names, **changes):
    said = {"root": NOWHERE, "calls": tuple(Call(name=n) for n in names), "assets": (S2,)}
    return Work(**said | {"arrays": True} | changes)


def stored(array, asset="s2", **changes):
    packed = encode(np.asarray(array))
    return {
        "asset": asset, "shape": list(packed.shape), "dtype": packed.dtype, "crs": None,
        "transform": None, "times": [], "nodata": None, "tags": None, "codec": packed.codec,
        "data": packed.data,
    } | changes  # fmt: skip


def rows(*arrays, **columns):
    named = {"id": pa.array([f"s{n}" for n in range(len(arrays))], pa.string())}
    named["arrays"] = pa.array([list(one) for one in arrays], pa.list_(ARRAY))
    return pa.RecordBatch.from_pydict(named | columns)


def by_scene(function, *features, **said):
    names = features or ("a",)
    return FeatureSet(
        name="own", version=1, title="own", by_scene=function,
        features=tuple(
            Feature(name=n, meaning="m", formula="f", source="t") if isinstance(n, str) else n
            for n in names
        ),
        **{"needs": Needs(arrays=True)} | said,
    )  # fmt: skip


def by_row(function, **said):
    return FeatureSet(
        name="own", version=1, title="own", by_row=function,
        features=(Feature(name="a", meaning="m", formula="f", source="t"),),
        **{"needs": Needs(columns=("target",))} | said,
    )  # fmt: skip


def problems(found):
    return [[one["problem"] for one in row] for row in found.column("failures").to_pylist()]


def values(found, feature="a"):
    return [None if row is None else row[feature] for row in found.column("own").to_pylist()]


# -------------------------------------------------------------------------------- work as text
def test_work_comes_back_from_its_text_as_it_was():
    work = Work(
        root=Location(uri="/data", storage_options={"a": "b"}),
        calls=(Call(name="spectral"), Call(name="mine", parameters={"k": 1})),
        assets=(MASK, S2), columns=("datetime",), arrays=True, on_error="stop",
    )  # fmt: skip
    assert Work.from_json(work.to_json()) == work


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"root": {}}', '{"calls": 3}'])
def test_what_is_no_work_is_refused(text):
    with pytest.raises(InvalidInputError, match="no description of work"):
        Work.from_json(text)


# ------------------------------------------------------------------------------------- scenes
def test_each_sample_gets_the_values_of_its_own_pixels(
    lake, publish, counted, offered, tmp_path, toy
):
    version = publish(lake)
    offered(counted.set())
    on_threads(work_on("counted", root=version.root), tmp_path / "out", SILENT)
    found = pq.read_table(tmp_path / "out").sort_by("sample")
    assert found["sample"].to_pylist() == [f"s{n:02}" for n in range(12)]
    most = [row["most"] for row in found["counted"].to_pylist()]
    assert most == [int(toy.chip(n).max()) for n in range(12)]


def test_a_set_sees_the_roles_columns_and_annotations_that_it_needs_and_nothing_else(offered):
    seen = []
    offered(by_scene(
        lambda scene: seen.append(scene) or {}, needs=Needs(arrays=True, columns=("target",))
    ))  # fmt: skip
    drawn = [{"id": "a", "category": "c", "geometry": b"", "frame": "crs", "score": None}]
    batch = rows(
        [stored([[[1]], [[2]]]), stored([[[1]]], "mask")],
        target=pa.array([2.0]), group=pa.array(["g"]),
        annotations=pa.array([drawn], pa.list_(ANNOTATION)),
    )  # fmt: skip
    evaluate(batch, work_on("own", assets=(MASK, S2), columns=("group", "target")))
    (scene,) = seen
    assert [layer.asset for layer in scene.layers] == ["s2"]
    assert (dict(scene.row), scene.shapes) == ({"target": 2.0}, ())


def test_stored_values_become_physical_ones_with_time_first(offered):
    seen = []
    offered(by_scene(lambda scene: seen.append(scene.layer("N")) or {}))
    raw = np.arange(2 * 2 * 3 * 2, dtype=np.int16).reshape(2, 2, 3, 2)
    evaluate(rows([stored(raw, nodata=0.0)]), work_on("own"))
    assert seen[0].raw.shape == (2, 2, 3, 2)
    assert seen[0].band("N")[1].tolist() == (raw[1, 1] * np.float32(0.0001)).tolist()
    assert math.isnan(seen[0].band("R")[0, 0, 0])


def test_mixed_shapes_stand_side_by_side(offered):
    offered(by_scene(lambda scene: {"a": float(scene.layer().raw.size)}))
    shapes = [(2, 3, 4), (2, 1, 1), (5, 2, 8, 3)]
    batch = rows(*([stored(np.ones(shape, np.uint8))] for shape in shapes))
    assert values(evaluate(batch, work_on("own"))) == [24.0, 2.0, 240.0]


def test_other_band_counts_lose_the_names_rather_than_get_wrong_ones(offered):
    seen = []
    offered(by_scene(lambda scene: seen.append(scene.layers[0]) or {}))
    evaluate(rows([stored(np.ones((3, 2, 2), np.uint8))]), work_on("own"))
    assert (seen[0].bands, seen[0].common) == ((), ())


def test_nan_becomes_null(offered):
    offered(by_scene(lambda _: {"a": np.float64("nan")}))
    assert values(evaluate(rows([stored([[[1.0]]])]), work_on("own"))) == [None]


# ----------------------------------------------------------------------------------- bad input
def test_a_sample_without_pixels_gets_null_and_its_reason(offered):
    offered(by_scene(lambda _: {"a": 1.0}))
    by_reference = stored([[[1]]], codec=None, data=None)
    found = evaluate(rows([], [by_reference], [stored([[[1]], [[1]]])]), work_on("own"))
    assert values(found) == [None, None, 1.0]
    assert problems(found) == [
        ["it has no array of role 'data'"], ["the pixels of s2 are kept by reference"], [],
    ]  # fmt: skip


def test_a_sample_without_a_band_gets_null_even_where_failures_stop_the_work(offered):
    offered(by_scene(lambda _: {"a": 1.0}, needs=Needs(arrays=True, bands=("VV",))))
    found = evaluate(rows([stored([[[1]], [[1]]])]), work_on("own", on_error="stop"))
    assert values(found) == [None]
    assert "with bands VV" in problems(found)[0][0]


def test_damaged_pixels_are_a_failure_of_their_sample_alone(offered):
    offered(by_scene(lambda _: {"a": 1.0}))
    good = stored([[[1]], [[1]]])
    found = evaluate(rows([good | {"data": b"\0" * 40}], [good]), work_on("own"))
    assert values(found) == [None, 1.0]
    assert len(problems(found)[0]) == 1


@pytest.mark.parametrize("given_back", [{"b": 1.0}, {"a": "text"}, {"a": [1.0]}, 3, None])
def test_a_function_that_gives_no_values_of_its_set_fails_on_that_sample(offered, given_back):
    def function(scene):
        return given_back if scene.sample == "s1" else {"a": 1.0}

    offered(by_scene(function))
    chips = [[stored([[[n]], [[n]]])] for n in range(3)]
    found = evaluate(rows(*chips), work_on("own"))
    assert values(found) == [1.0, None, 1.0]
    assert [len(row) for row in problems(found)] == [0, 1, 0]


def test_no_rows_are_no_values(offered):
    offered(by_scene(lambda _: {"a": 1.0}))
    assert evaluate(rows(), work_on("own")).num_rows == 0


# ------------------------------------------------------------------------------ rows at once
def upset(table):
    if any(value == 3 for value in table["target"].to_pylist()):
        raise RuntimeError("three")
    return pa.table({"a": table["target"]})


@given(st.lists(st.sampled_from([1.0, 2.0, 3.0, None]), max_size=20))
def test_of_rows_at_once_exactly_those_fail_on_which_the_function_raises(targets):
    from registry.curate.features import work as module

    made = by_row(upset)
    work = work_on("own", arrays=False, columns=("target",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_resolved", lambda *_: made)
        found = evaluate(rows(*([] for _ in targets), target=pa.array(targets, pa.float64())), work)
    assert values(found) == [None if value == 3 else value for value in targets] or [
        None if row is None else row["a"] for row in found.column("own").to_pylist()
    ] == [None if value == 3 else value for value in targets]
    wanted = {3.0: ["RuntimeError: three"], None: ["its target is unknown"]}
    assert problems(found) == [wanted.get(value, []) for value in targets]


def test_a_row_that_raises_is_named_where_failures_stop_the_work(offered):
    offered(by_row(upset))
    batch = rows([], [], target=pa.array([1.0, 3.0]))
    with pytest.raises(FeatureFailedError, match="on sample 's1': RuntimeError: three"):
        evaluate(batch, work_on("own", arrays=False, columns=("target",), on_error="stop"))


def test_a_function_that_loses_rows_fails(offered):
    offered(by_row(lambda table: table.slice(1)))
    found = evaluate(
        rows([], target=pa.array([1.0])), work_on("own", arrays=False, columns=("target",))
    )
    assert problems(found) == [["ValueError: it gives 0 rows for 1"]]
