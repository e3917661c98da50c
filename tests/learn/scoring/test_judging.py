"""Answers are held against what a batch says, whatever the order of classes."""

from types import SimpleNamespace

import numpy as np
import pytest

from registry.errors import InvalidInputError
from registry.learn.loading.batch import Batch, Boxes
from registry.learn.loading.pixel_labels import PixelLabels
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.scoring import metrics
from registry.learn.scoring.detection import Found
from registry.learn.scoring.judging import Judge, together

BOX = np.array([[1, 1, 9, 9]], np.float32)


def test_boxes_are_matched_by_the_names_of_their_classes():
    head = Head(name="objects", task=HeadTask.DETECTION, classes=("ship", "buoy"))
    judge = Judge(head=head, classes=("ship", "buoy"), labels=("buoy", "ship"))
    truth = Boxes(corners=BOX, classes=np.array([1]))  # a ship, as the version counts
    batch = Batch(ids=("a",), arrays={}, boxes=(truth,))
    found = Found(corners=BOX, classes=np.array([0]), scores=np.array([0.9]))
    figures = metrics.figures(judge.kept(batch, (found,)))
    assert figures["ap50", "ship"][0] == pytest.approx(1.0)
    assert np.isnan(figures["ap50", "buoy"][0])


def test_a_sample_with_one_label_is_one_with_a_set_of_one():
    head = Head(name="labels", task=HeadTask.MULTILABEL, classes=("b", "a"))
    judge = Judge(head=head, classes=("b", "a"), labels=("a", "b"))
    batch = Batch(ids=("x", "y"), arrays={}, label=np.array([0, 1]))
    kept = judge.kept(batch, np.array([[0.1, 0.9], [0.8, 0.2]]))
    assert metrics.figures(kept)["exact_match", None][0] == 1
    several = Batch(ids=("x",), arrays={}, labels=np.array([[1, 1]], np.float32))
    assert judge.kept(several, np.array([[0.9, 0.2]])).columns["truth"].tolist() == [[1, 1]]


def _pixel_batch(values, there=(True, True)):
    stored = np.array(values, np.float32)[:, None]  # (sample, 1, y, x)
    valid = {"height": np.array(there)}
    return Batch(ids=("x", "y"), arrays={"height": stored}, valid=valid)


def test_quantities_of_pixels_are_physical_and_gaps_count_nowhere():
    pixels = PixelLabels(asset="height", quantity=True, scale=0.5, nodata=frozenset({-1.0}))
    head = Head(name="height", task=HeadTask.PIXEL_REGRESSION, unit="m", asset="height")
    judge = Judge(head=head, classes=(), asset="height", pixels=pixels)
    batch = _pixel_batch([[[2, 4], [-1, 6]], [[8, 8], [8, 8]]], there=(True, False))
    kept = judge.kept(batch, np.full((2, 1, 2, 2), 2.0))
    assert kept.ids == ("x",)  # the other has no raster at all
    assert kept.columns["count"].tolist() == [3]
    assert metrics.figures(kept)["mae", None][0] == pytest.approx(2 / 3)


def test_a_value_that_the_recipe_ignores_counts_nowhere():
    pixels = PixelLabels(asset="mask", classes=("land", "water", "cloud"))
    head = Head(name="cover", task=HeadTask.SEGMENTATION, classes=pixels.classes, asset="mask")
    judge = Judge(
        head=head, classes=pixels.classes, labels=pixels.classes, asset="mask", pixels=pixels,
        ignored=2,
    )  # fmt: skip
    batch = Batch(ids=("x",), arrays={"mask": np.array([[[[0, 1], [2, 2]]]], np.uint8)})
    sure = np.zeros((1, 3, 2, 2))
    sure[:, 0] = 1
    kept = judge.kept(batch, sure)
    assert metrics.confusion(kept).sum() == 2


def test_a_batch_without_the_truth_is_refused_by_name():
    head = Head(name="yield", task=HeadTask.REGRESSION)
    with pytest.raises(InvalidInputError, match="'a' come without target"):
        Judge(head=head, classes=()).kept(Batch(ids=("a",), arrays={}), np.zeros((1, 1)))


def test_samples_without_the_truth_are_refused_by_what_the_head_and_the_version_are_for():
    head = Head(name="scene", task=HeadTask.CLASSIFICATION, classes=("a", "b"))
    ships = SimpleNamespace(ref="ships@v1", spec=SimpleNamespace(task="detection"))

    with pytest.raises(InvalidInputError) as caught:
        together(ships, head, [], subset="test")

    assert caught.value.problem == (
        "head 'scene' is for classification, and no sample of test in ships@v1 has a label: "
        "it is for detection"
    )
    assert "whose samples have a label" in caught.value.hint
