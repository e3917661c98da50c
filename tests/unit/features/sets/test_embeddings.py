"""Embeddings are the same bits everywhere; a stranger's model can do no harm."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from onnx import TensorProto, helper, numpy_helper

from registry.curate.features.scene import Layer, MissingInputError, Scene
from registry.curate.features.sets.embeddings import (
    EMBEDDINGS,
    fit_components,
    parameterised,
    reduce,
)
from registry.curate.features.sets.embeddings.model_file import ModelRefusedError, read_model
from registry.curate.features.sets.embeddings.modelling import chosen, resized
from registry.curate.features.sets.embeddings.session import Limits, ModelFailedError, Session
from registry.errors import InvalidInputError, NotFoundError

RGB = ("R", "G", "B")


def scene(raw, common=RGB, **facts):
    raw = np.asarray(raw)
    layer = Layer(asset="s2", raw=raw, common=common, bands=common, **facts)
    return Scene(sample="a", layers=(layer,))


def picture(size=24, *, seed=0, times=1):
    return np.random.default_rng(seed).integers(0, 256, (times, 3, size, size), dtype=np.uint8)


def embedding(made, *args, **facts):
    return np.asarray(made.by_scene(scene(*args, **facts))["embedding"])


# ----------------------------------------------------------------------------- random convolutions
def test_the_same_picture_has_the_same_embedding_for_ever():
    ramp = (np.arange(3 * 20 * 30) * 7919 % 256).astype(np.uint8).reshape(1, 3, 20, 30)
    found = embedding(EMBEDDINGS, ramp)

    assert found.dtype == np.float32
    assert found.shape == (128,)
    # Written down once: no library's version, machine or thread may change a bit.
    assert found[[0, 1, 64, 127]].view(np.uint32).tolist() == WRITTEN_DOWN


WRITTEN_DOWN = [1049759500, 1033149877, 1032052745, 1028942848]


def test_every_second_filter_sees_no_brightness():
    from registry.curate.features.sets.embeddings.convolving import _drawn

    weights = _drawn(3, 10, 0).weights.reshape(10, 3, 9)

    assert not weights[1::2].sum(axis=2).any()
    assert weights[::2].sum(axis=2).all()


def test_responses_are_those_of_a_plain_loop():
    from registry.curate.features.sets.embeddings.convolving import _drawn

    raw = picture(5)
    drawn = _drawn(3, 4, 7)
    found = embedding(parameterised(filters=4, seed=7), raw)
    whole = np.rint(raw[0] * (1 / 255) * 512)
    expected = np.zeros(8)
    for row in range(3):
        for column in range(3):
            window = whole[:, row : row + 3, column : column + 3].reshape(-1)
            for k in range(4):
                response = drawn.weights[k] @ window + drawn.biases[k]
                expected[k] += max(0, response)
                expected[4 + k] += max(0, -response)

    np.testing.assert_array_equal(found, np.float32(expected / 9 / drawn.unit))


def test_bits_are_equal_on_repeat_and_in_threads():
    one = scene(picture(100))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(EMBEDDINGS.by_scene, [one] * 8))

    assert len({np.asarray(other["embedding"]).tobytes() for other in found}) == 1


def test_the_order_in_which_rows_are_summed_changes_no_bit(monkeypatch):
    whole = embedding(EMBEDDINGS, picture(50))
    monkeypatch.setattr("registry.curate.features.sets.embeddings.convolving._WINDOWS_AT_ONCE", 17)

    assert embedding(EMBEDDINGS, picture(50)).tobytes() == whole.tobytes()


def test_pixels_that_were_not_observed_are_in_no_window():
    plain = picture(20).astype(np.float32) / 255
    holed = np.concatenate([plain, np.full((1, 3, 6, 20), np.nan, np.float32)], axis=2)

    assert embedding(EMBEDDINGS, holed).tobytes() == embedding(EMBEDDINGS, plain).tobytes()


def test_other_seeds_and_pictures_have_other_embeddings():
    first = embedding(EMBEDDINGS, picture())

    assert not np.array_equal(first, embedding(parameterised(seed=1), picture()))
    assert not np.array_equal(first, embedding(EMBEDDINGS, picture(seed=1)))
    assert parameterised(seed=1).recipe != EMBEDDINGS.recipe == parameterised().recipe


def test_embeddings_tell_kinds_of_pictures_apart():
    rng = np.random.default_rng(1)
    noise = rng.integers(0, 256, (40, 1, 3, 16, 16), dtype=np.uint8)
    smooth = np.repeat(np.repeat(noise[..., ::4, ::4], 4, axis=-1), 4, axis=-2)
    kinds = np.array([[embedding(EMBEDDINGS, one) for one in kind] for kind in (noise, smooth)])
    known, unknown = kinds[:, :20], kinds[:, 20:]
    centres, spread = known.mean(axis=1), known.std(axis=(0, 1)) + 1e-6
    apart = np.abs((unknown[:, :, None] - centres) / spread).sum(axis=3)

    assert apart.argmin(axis=2).tolist() == [[0] * 20, [1] * 20]


@pytest.mark.parametrize("size", [1, 2])
def test_what_has_no_window_has_a_reason(size):
    with pytest.raises(MissingInputError, match="no 3 x 3 pixels"):
        embedding(EMBEDDINGS, picture(size))


def test_a_sample_without_the_bands_has_a_reason():
    with pytest.raises(MissingInputError, match="with bands N, R"):
        embedding(parameterised(bands="N R"), picture())
    with pytest.raises(MissingInputError, match="no array of role 'data'"):
        EMBEDDINGS.by_scene(Scene(sample="a"))


@pytest.mark.parametrize(
    ("common", "told"), [(("B", "G", "R"), "R G B"), (("VH", "VV", "N"), "VV VH")]
)
def test_the_bands_that_were_looked_at_are_named(common, told):
    assert EMBEDDINGS.by_scene(scene(picture(), common))["bands"] == told


@pytest.mark.parametrize(
    "wrong", [{"filters": 0}, {"filters": 5000}, {"scale": (1, 2)}, {"scale": "much"}]
)
def test_parameters_that_do_not_fit_are_refused(wrong):
    with pytest.raises(InvalidInputError):
        parameterised(**wrong)


# ------------------------------------------------------------------------------- a model's file
def model(
    path,
    *nodes,
    shape=(1, 3, "y", "x"),
    kind=TensorProto.FLOAT,
    initializer=(),
    outputs=("out",),
    properties=None,
    domain="",
    ending=lambda made: made,
):
    nodes = nodes or (
        helper.make_node("Conv", ["in", "w"], ["c"], kernel_shape=[1, 1]),
        helper.make_node("GlobalAveragePool", ["c"], ["p"]),
        helper.make_node("Flatten", ["p"], ["out"]),
    )
    weights = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]], np.float32)
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("in", kind, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(weights[:, :, None, None], "w"), *initializer],
    )
    opsets = [helper.make_opsetid("", 18)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    if properties:
        helper.set_model_props(made, properties)
    path.write_bytes(ending(made).SerializeToString())
    return path


def test_a_models_output_is_the_embedding(tmp_path):
    made = parameterised(model=str(model(tmp_path / "m.onnx")), bands="R G B", scale=2.0)
    raw = picture().astype(np.float32)
    found = embedding(made, raw)
    means = 2 * raw[0].mean(axis=(1, 2))

    np.testing.assert_allclose(found, [*means, means.sum()], rtol=1e-5)
    assert made.parameters["model_sha256"] in made.features[0].source


def test_bands_and_scale_come_from_the_models_metadata(tmp_path):
    said = {"bands": "B,G,R", "scale": "0.5", "offset": "1, 2, 3"}
    made = parameterised(model=str(model(tmp_path / "m.onnx", properties=said)))
    raw = np.ones((1, 3, 4, 4), np.float32) * np.array([10, 20, 30], np.float32)[:, None, None]

    np.testing.assert_allclose(embedding(made, raw), [16, 12, 8, 36])


def test_time_steps_and_places_are_averaged(tmp_path):
    node = helper.make_node("Identity", ["in"], ["out"])
    made = parameterised(model=str(model(tmp_path / "m.onnx", node)), scale=1)
    raw = picture(4, times=3).astype(np.float32)

    np.testing.assert_allclose(embedding(made, raw), raw.mean(axis=(0, 2, 3)), rtol=1e-6)


def test_images_are_brought_to_the_size_that_a_model_takes(tmp_path):
    node = helper.make_node("Identity", ["in"], ["out"])
    path = model(tmp_path / "m.onnx", node, shape=(1, 3, 8, 8))
    made = parameterised(model=str(path), scale=1)

    np.testing.assert_allclose(
        embedding(made, np.full((1, 3, 5, 13), 7, np.float32)), [7, 7, 7], rtol=1e-6
    )


def test_a_resized_ramp_is_a_ramp():
    ramp = np.arange(8.0)[None, None].repeat(4, axis=1)

    np.testing.assert_allclose(resized(ramp, 2, 4)[0, 0], [0.5, 2.5, 4.5, 6.5])


def test_the_recipe_is_of_the_files_bytes_not_its_path(tmp_path):
    one = parameterised(model=str(model(tmp_path / "one.onnx")))
    two = parameterised(model=str(model(tmp_path / "two.onnx")))
    other = parameterised(model=str(model(tmp_path / "x.onnx", properties={"a": "b"})))

    assert one.recipe == two.recipe != other.recipe


def test_a_model_gives_equal_bits_on_repeat_and_in_threads(tmp_path):
    made = parameterised(model=str(model(tmp_path / "m.onnx")))
    one = scene(picture(64))
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(made.by_scene, [one] * 6))

    assert len({np.asarray(other["embedding"]).tobytes() for other in found}) == 1


def outside(made):
    tensor = made.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return made


def inside_a_branch(made):
    branch = helper.make_graph([], "b", [], [], [])
    branch.initializer.append(outside(made).graph.initializer[0])
    del made.graph.initializer[:]
    made.graph.node.append(helper.make_node("If", ["in"], ["o"], then_branch=branch))
    return made


def in_an_attribute(made):
    tensor = outside(made).graph.initializer[0]
    made.graph.node.append(helper.make_node("Constant", [], ["o"], value=tensor))
    del made.graph.initializer[:]
    return made


def training(made):
    made.training_info.add()
    return made


@pytest.mark.parametrize(
    ("ending", "why"),
    [
        (outside, "keeps tensors in other files"),
        (inside_a_branch, "keeps tensors in other files"),
        (in_an_attribute, "keeps tensors in other files"),
        (training, "brings its training along"),
    ],
)
def test_files_that_reach_out_are_refused_unopened(tmp_path, ending, why):
    path = model(tmp_path / "m.onnx", ending=ending)

    with pytest.raises(ModelRefusedError, match=why):
        read_model(path)


@pytest.mark.parametrize(
    ("operator", "domain", "why"),
    [
        ("EPContext", "com.microsoft", "com.microsoft.EPContext"),
        ("Evil", "my.library", "my.library.Evil"),
        ("RandomNormalLike", "", "draws lots"),
    ],
)
def test_operators_from_elsewhere_and_chance_are_refused(tmp_path, operator, domain, why):
    node = helper.make_node(operator, ["in"], ["out"], domain=domain)
    path = model(tmp_path / "m.onnx", node, domain=domain)

    with pytest.raises(ModelRefusedError, match=why):
        read_model(path)


def test_functions_that_a_model_defines_itself_are_its_own_affair(tmp_path):
    def with_function(made):
        body = [helper.make_node("Relu", ["a"], ["b"])]
        opsets = [helper.make_opsetid("", 18)]
        made.functions.append(helper.make_function("own", "Mine", ["a"], ["b"], body, opsets))
        return made

    node = helper.make_node("Mine", ["in"], ["out"], domain="own")
    path = model(tmp_path / "m.onnx", node, domain="own", ending=with_function)

    assert embedding(parameterised(model=str(path)), picture()).shape == (3,)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 no model",
        b"\xff" * 40,
        b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
        b"\x3a\x05\x00",
        b"\x0b\x0c",
    ],
)
def test_what_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)

    with pytest.raises(ModelRefusedError):
        read_model(path)


def test_damaged_files_are_refused_or_read_and_nothing_else(tmp_path):
    whole = model(tmp_path / "m.onnx", properties={"bands": "R G B"}).read_bytes()
    rng = np.random.default_rng(6)
    path = tmp_path / "damaged.onnx"
    refused = 0
    for _ in range(300):
        octets = np.frombuffer(whole, np.uint8).copy()
        places = rng.integers(0, len(octets), rng.integers(1, 6))
        octets[places] = rng.integers(0, 256, len(places))
        path.write_bytes(octets[: rng.integers(len(octets) // 2, len(octets) + 1)].tobytes())
        try:
            read_model(path)
        except ModelRefusedError:
            refused += 1

    assert refused > 200


def test_a_graph_in_a_graph_in_a_graph_is_refused(tmp_path):
    def nest(made):
        for _ in range(20):
            outer = helper.make_graph([], "g", [], [], [])
            outer.node.append(helper.make_node("If", ["c"], ["o"], then_branch=made.graph))
            made.graph.CopyFrom(outer)
        return made

    with pytest.raises(ModelRefusedError, match="nested too deeply"):
        read_model(model(tmp_path / "m.onnx", ending=nest))


def test_too_large_a_file_is_refused_unread(tmp_path, monkeypatch):
    path = model(tmp_path / "m.onnx")
    monkeypatch.setattr("registry.curate.features.sets.embeddings.model_file.MOST_BYTES", 100)

    with pytest.raises(ModelRefusedError, match="0 at most"):
        read_model(path)


def test_a_missing_file_and_a_wrong_digest_are_said(tmp_path):
    with pytest.raises(NotFoundError, match="no model file"):
        parameterised(model=str(tmp_path / "none.onnx"))
    with pytest.raises(ModelRefusedError, match="has SHA-256"):
        parameterised(model=str(model(tmp_path / "m.onnx")), sha256="0" * 64)


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"shape": (1, 3)}, r"takes in: tensor\(float\) \(1, 3\)"),
        ({"shape": (8, 3, "y", "x")}, "takes in"),
        ({"kind": TensorProto.INT64}, r"tensor\(int64\)"),
    ],
)
def test_a_model_of_another_input_is_refused(tmp_path, facts, why):
    node = helper.make_node("Cast", ["in"], ["out"], to=TensorProto.FLOAT)

    with pytest.raises(ModelRefusedError, match=why):
        parameterised(model=str(model(tmp_path / "m.onnx", node, **facts)))


def test_an_unknown_output_and_a_wrong_number_of_bands_are_said(tmp_path):
    path = str(model(tmp_path / "m.onnx"))

    with pytest.raises(ModelRefusedError, match="no output 'logits'"):
        parameterised(model=path, output="logits")
    with pytest.raises(ModelRefusedError, match="takes 3 bands, and 2 are named"):
        parameterised(model=path, bands="R G")
    with pytest.raises(MissingInputError, match="takes 3 bands"):
        embedding(parameterised(model=path), picture()[:, :2], ("VV", "VH"))


def test_a_model_that_does_not_load_says_why(tmp_path):
    node = helper.make_node("NoSuchOperator", ["in"], ["out"])

    with pytest.raises(ModelFailedError, match="NoSuchOperator"):
        parameterised(model=str(model(tmp_path / "m.onnx", node)))


def test_a_model_that_fails_on_an_image_fails_on_that_alone(tmp_path):
    shape = numpy_helper.from_array(np.array([1, 3, 16], np.int64), "s")
    node = helper.make_node("Reshape", ["in", "s"], ["out"])
    made = parameterised(model=str(model(tmp_path / "m.onnx", node, initializer=[shape])))

    with pytest.raises(ModelFailedError, match="fails on an image"):
        embedding(made, picture(5))
    assert embedding(made, picture(4)).shape == (16,)


def endless(path):
    """A loop that counts to 2**62."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Sin", ["x"], ["y"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    constants = [
        numpy_helper.from_array(np.array(2**62, np.int64), "most"),
        numpy_helper.from_array(np.array([1], np.bool_).reshape(()), "yes"),
    ]
    node = helper.make_node("Loop", ["most", "yes", "in"], ["out"], body=body)
    return model(path, node, initializer=constants)


def test_a_model_that_never_ends_is_ended(tmp_path):
    file = read_model(endless(tmp_path / "m.onnx"))
    made = chosen(file, None, Limits(seconds=20.0))
    session = Session(file, Limits(seconds=0.5))
    began = time.monotonic()

    with pytest.raises(ModelFailedError, match=r"more than 0\.5 s"):
        session.run(np.zeros((1, 3, 4, 4), np.float32), taken=made.taken.name, wanted="out")
    assert not session.alive
    assert time.monotonic() - began < 60


def test_a_model_that_wants_all_memory_gets_none(tmp_path):
    huge = numpy_helper.from_array(np.array([1, 1 << 34], np.int64), "s")
    nodes = (
        helper.make_node("ConstantOfShape", ["s"], ["big"]),
        helper.make_node("ReduceMean", ["big"], ["m"], keepdims=0),
        helper.make_node("Add", ["in", "m"], ["out"]),
    )
    path = model(tmp_path / "m.onnx", *nodes, initializer=[huge])

    with pytest.raises(ModelFailedError):
        embedding(parameterised(model=str(path)), picture(4))


def test_a_process_that_was_killed_is_started_anew(tmp_path):
    from registry.curate.features.sets.embeddings.session import session_of

    path = model(tmp_path / "m.onnx")
    made = parameterised(model=str(path))
    first = embedding(made, picture())
    session = session_of(read_model(path), Limits())
    session.close()

    assert embedding(made, picture()).tobytes() == first.tobytes()


# ------------------------------------------------------------------------------------ components
def rows(values, missing=()):
    ids = [f"s{number:04d}" for number in range(len(values))]
    lists = [None if i in missing else one.tolist() for i, one in enumerate(values)]
    return pa.table({"sample": ids, "embedding": pa.array(lists, pa.list_(pa.float32()))})


def test_components_are_the_singular_vectors():
    values = np.random.default_rng(1).normal(size=(60, 8)) @ np.diag(np.arange(1, 9))
    table = rows(values)
    ours = fit_components(table, 3)
    single = values.astype(np.float32).astype(np.float64)
    _, lengths, axes = np.linalg.svd(single - single.mean(axis=0))
    signs = np.sign((ours.axes * axes[:3]).sum(axis=1))

    np.testing.assert_allclose(ours.axes, axes[:3] * signs[:, None], atol=1e-9)
    np.testing.assert_allclose(ours.variance, lengths[:3] ** 2 / 59, rtol=1e-9)
    np.testing.assert_allclose(ours.explained, (lengths**2 / (lengths**2).sum())[:3], rtol=1e-9)
    assert (ours.axes[np.arange(3), np.abs(ours.axes).argmax(axis=1)] > 0).all()
    reduced = np.array(reduce(table, 3).column("embedding").to_pylist())
    np.testing.assert_allclose(reduced, (single - ours.mean) @ ours.axes.T, rtol=1e-5, atol=1e-5)


def test_the_order_of_rows_changes_no_bit():
    values = np.random.default_rng(2).normal(size=(50, 6))
    table = rows(values)
    order = np.random.default_rng(3).permutation(50)
    ours, theirs = reduce(table, 2), reduce(table.take(order), 2)

    assert theirs.sort_by("sample").equals(ours)


def test_rows_without_an_embedding_stay_without():
    found = reduce(rows(np.random.default_rng(4).normal(size=(9, 5)), missing={0, 4}), 2)
    lists = found.column("embedding").to_pylist()

    assert [one is None for one in lists] == [i in {0, 4} for i in range(9)]
    assert all(len(one) == 2 for one in lists if one is not None)
    assert found.column("sample").to_pylist() == [f"s{i:04d}" for i in range(9)]


def test_another_table_is_reduced_alike():
    values = np.random.default_rng(5).normal(size=(40, 5))
    fitted = fit_components(rows(values), 2)

    assert fitted.apply(rows(values[:3])).equals(fitted.apply(rows(values)).slice(0, 3))


@pytest.mark.parametrize("count", [0, 6])
def test_more_components_than_there_can_be_are_refused(count):
    with pytest.raises(InvalidInputError, match="cannot be had"):
        reduce(rows(np.eye(5)), count)


def test_lists_of_different_lengths_are_refused():
    table = pa.table({"sample": ["a", "b"], "embedding": [[1.0], [1.0, 2.0]]})

    with pytest.raises(InvalidInputError, match="1 and 2 numbers"):
        reduce(table, 1)
    with pytest.raises(InvalidInputError, match="not 5 long"):
        fit_components(rows(np.eye(5)), 1).apply(rows(np.eye(4)))
