import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import registry.learn.inference.blending as blending_module
from registry.errors import InvalidInputError
from registry.learn.inference.blending import sweep
from registry.learn.inference.windows import AnswerError, Plan


def swept(scene, net, *, window, overlap, channels, batch_size=3):
    plan = Plan(height=scene.height, width=scene.width, window=window, overlap=overlap)
    strips = list(sweep(scene, net, plan, channels=channels, batch_size=batch_size))
    assert [one.top for one in strips] == list(plan.rows)
    values = {head: np.concatenate([s.values[head] for s in strips], 1) for head in channels}
    return values, np.concatenate([one.observed for one in strips])


def pixelwise(arrays):
    image = arrays["image"].astype(np.float32)
    return {"a": np.stack([np.sin(image[:, 0]), image[:, 1] / 7, image.sum(1) ** 0.3], 1)}


sizes = st.tuples(st.integers(1, 70), st.integers(1, 70))
windows = st.integers(1, 40).flatmap(lambda w: st.tuples(st.just(w), st.integers(0, w - 1)))


@given(shape=sizes, cut=windows, batch=st.integers(1, 5))
@settings(max_examples=60)
def test_answers_pixel_by_pixel_give_the_same_bits_whatever_the_windows(
    held, coordinates, shape, cut, batch
):
    scene = held(coordinates(*shape))
    values, observed = swept(
        scene, pixelwise, window=cut[0], overlap=cut[1], channels={"a": 3}, batch_size=batch
    )
    whole = pixelwise({"image": scene.array[None]})["a"][0]
    assert values["a"].tobytes() == whole.tobytes()
    assert observed.shape == shape
    assert observed.all()


@given(shape=sizes, cut=windows)
@settings(max_examples=30)
def test_a_network_that_always_says_the_same_leaves_no_seam(held, coordinates, shape, cut):
    def net(arrays):
        return {"a": np.full((len(arrays["image"]), 1), 0.3, np.float32)}

    scene = held(coordinates(*shape))
    values, _ = swept(scene, net, window=cut[0], overlap=cut[1], channels={"a": 1})
    assert (values["a"] == np.float32(0.3)).all()


def test_windows_that_disagree_pass_into_each_other_without_a_step(held, coordinates):
    asked = iter(range(100))

    def net(arrays):
        return {"a": np.array([[float(next(asked) % 2)] for _ in arrays["image"]], np.float32)}

    values, _ = swept(
        held(coordinates(64, 176)), net, window=64, overlap=32, channels={"a": 1}, batch_size=2
    )
    row = values["a"][0, 10]
    assert row.min() == 0
    assert row.max() > 0.99
    assert np.abs(np.diff(row)).max() < 0.06


def test_answers_that_are_the_input_itself_are_blended_before_it_is_read_over(
    held, coordinates, monkeypatch
):
    put = blending_module._Canvas.put

    def late(*said):
        time.sleep(0.002)  # so that reading is ahead as far as it can be
        put(*said)

    monkeypatch.setattr(blending_module._Canvas, "put", late)
    scene = held(coordinates(50, 300).astype(np.float32))
    values, _ = swept(
        scene, lambda arrays: {"a": arrays["image"]}, window=16, overlap=4,
        channels={"a": len(scene.array)}, batch_size=2,
    )  # fmt: skip
    assert np.array_equal(values["a"], scene.array)


def test_strips_are_the_readers_to_write_over(held, coordinates):
    scene = held(coordinates(70, 50))
    plan = Plan(height=70, width=50, window=32, overlap=8)
    read = []
    for strip in sweep(scene, pixelwise, plan, channels={"a": 3}, batch_size=2):
        read.append(strip.values["a"].copy())
        strip.values["a"][...] = np.nan
        strip.observed[...] = False
    whole = pixelwise({"image": scene.array[None]})["a"][0]
    assert np.array_equal(np.concatenate(read, 1), whole)


def test_what_nobody_observed_is_said_to_be_so_and_costs_no_answer(held, coordinates):
    seen = np.ones((64, 200), bool)
    seen[:, 60:150] = False
    asked = []

    def net(arrays):
        asked.append(len(arrays["image"]))
        return pixelwise(arrays)

    scene = held(coordinates(64, 200), observed=seen)
    values, observed = swept(scene, net, window=32, overlap=0, channels={"a": 3}, batch_size=4)
    assert (observed == seen).all()
    assert sum(asked) == 2 * (2 + 3)
    whole = pixelwise({"image": scene.array[None]})["a"][0]
    assert (values["a"][:, seen] == whole[:, seen]).all()


def test_a_scene_without_any_observation_asks_nothing(held, coordinates):
    scene = held(coordinates(40, 40), observed=np.zeros((40, 40), bool))
    values, observed = swept(scene, None, window=32, overlap=8, channels={"a": 2})
    assert not observed.any()
    assert not values["a"].any()


def test_time_steps_are_cut_alike(held, coordinates):
    series = np.stack([coordinates(50, 50), coordinates(50, 50) + 1])

    def net(arrays):
        assert arrays["image"].shape[1:] == (2, 3, 32, 32)
        return {"a": (arrays["image"][:, 1, :1] - arrays["image"][:, 0, :1]).astype(np.float32)}

    values, _ = swept(held(series), net, window=32, overlap=4, channels={"a": 1})
    assert (values["a"] == 1).all()


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({}, "gives no 'a', only nothing"),
        ({"a": np.zeros((1, 2, 16, 16), np.float32)}, "answers in shape (1, 2, 16, 16)"),
        (
            {"a": np.full((1, 2, 32, 32), np.nan, np.float32)},
            "no number in the window at row 0, column 0",
        ),
    ],
)
def test_answers_that_make_no_map_are_refused(held, coordinates, answer, problem):
    scene = held(coordinates(32, 32))
    with pytest.raises(AnswerError) as caught:
        swept(scene, lambda _: answer, window=32, overlap=0, channels={"a": 2})
    assert problem in caught.value.problem


def test_windows_overlap_by_less_than_they_are_wide():
    with pytest.raises(InvalidInputError, match="cannot overlap by 32"):
        Plan(height=10, width=10, window=32, overlap=32)


def test_an_error_while_reading_reaches_the_caller(held, coordinates):
    scene = held(coordinates(32, 32))
    scene.read = lambda _: (_ for _ in ()).throw(OSError("gone"))
    with pytest.raises(OSError, match="gone"):
        swept(scene, pixelwise, window=16, overlap=0, channels={"a": 3})
