"""Every figure is what the libraries that people know would say."""

import math

import numpy as np
import pytest
import torch

from registry.learn.loading.batch import Boxes
from registry.learn.models.architecture import HeadTask
from registry.learn.scoring import (
    calibration,
    classification,
    detection,
    metrics,
    multilabel,
    regression,
    segmentation,
)
from registry.learn.scoring.statistics import Statistics, joined

CLASSES = ("water", "field", "forest", "town", "never")


def _softmax(values):
    raised = np.exp(values - values.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def _ids(count):
    return tuple(f"s{one:03}" for one in range(count))


def _value(kept, name, of_class=None):
    return metrics.figures(kept)[name, of_class][0]


@pytest.fixture(scope="module")
def classified():
    random = np.random.default_rng(3)
    truth = random.integers(0, 4, 200)
    logits = random.normal(size=(200, 5))
    logits[:, 4] -= 9  # nobody says it, nobody is it
    logits[np.arange(200), truth] += 1
    return truth, _softmax(logits)


def test_classification_agrees_with_scikit_learn(classified):
    from sklearn.metrics import (
        accuracy_score,
        balanced_accuracy_score,
        precision_recall_fscore_support,
        top_k_accuracy_score,
    )

    truth, sure = classified
    kept = classification.statistics(_ids(200), CLASSES, truth, sure)
    said = sure.argmax(1)
    assert _value(kept, "accuracy") == accuracy_score(truth, said)
    assert _value(kept, "balanced_accuracy") == pytest.approx(balanced_accuracy_score(truth, said))
    each = precision_recall_fscore_support(truth, said, labels=range(4), zero_division=0)
    for name, oracle in zip(("precision", "recall", "f1"), each, strict=False):
        mine = [_value(kept, name, one) for one in CLASSES[:4]]
        np.testing.assert_allclose(mine, oracle)
        assert math.isnan(_value(kept, name, "never"))
    macro = precision_recall_fscore_support(truth, said, average="macro", zero_division=0)
    for name, oracle in zip(("precision", "recall", "f1"), macro, strict=False):
        assert _value(kept, f"macro_{name}") == pytest.approx(oracle)
    top = top_k_accuracy_score(truth, sure, k=3, labels=range(5))
    assert _value(kept, "top3_accuracy") == top
    assert ("top5_accuracy", None) not in metrics.figures(kept)


def test_calibration_agrees_with_torchmetrics_and_scikit_learn(classified):
    from sklearn.metrics import brier_score_loss
    from torchmetrics.functional.classification import multiclass_calibration_error

    truth, sure = classified
    kept = classification.statistics(_ids(200), CLASSES, truth, sure)
    oracle = multiclass_calibration_error(
        torch.from_numpy(sure), torch.from_numpy(truth), num_classes=5, n_bins=15
    )
    assert _value(kept, "ece") == pytest.approx(oracle.item(), abs=2e-6)
    brier = sum(brier_score_loss(truth == one, sure[:, one]) for one in range(5))
    assert _value(kept, "brier") == pytest.approx(brier)
    curve = calibration.reliability(kept)
    assert sum(row["count"] for row in curve) == 200
    assert all(row["low"] < row["confidence"] <= row["high"] for row in curve)


def test_samples_without_a_class_are_left_out(classified):
    truth, sure = classified
    masked = np.where(np.arange(200) % 2, truth, -1)
    kept = classification.statistics(_ids(200), CLASSES, masked, sure)
    assert len(kept) == 100
    alone = classification.statistics(_ids(100), CLASSES, truth[1::2], sure[1::2])
    assert _value(kept, "macro_f1") == _value(alone, "macro_f1")


def test_several_labels_agree_with_scikit_learn():
    from sklearn.metrics import average_precision_score, f1_score

    random = np.random.default_rng(5)
    truth = random.random((120, 4)) < [0.5, 0.2, 0.1, 0.0]
    sure = np.clip(0.4 * truth + 0.7 * random.random((120, 4)), 0, 1).round(2)  # with ties
    kept = multilabel.statistics(_ids(120), CLASSES[:4], truth, sure)
    probability = sure.astype(np.float32)
    precisions = [average_precision_score(truth[:, one], probability[:, one]) for one in range(3)]
    for one, oracle in zip(CLASSES, precisions, strict=False):
        assert _value(kept, "average_precision", one) == pytest.approx(oracle)
    assert math.isnan(_value(kept, "average_precision", "town"))
    assert _value(kept, "map") == pytest.approx(np.mean(precisions))
    says = probability >= 0.5
    micro = f1_score(truth, says, average="micro")
    assert _value(kept, "micro_f1") == pytest.approx(micro)
    assert _value(kept, "exact_match") == (truth == says).all(1).mean()
    assert _value(kept, "brier") == pytest.approx(((sure - truth) ** 2).mean())


def test_segmentation_pools_pixels_as_torchmetrics_does():
    from torchmetrics.functional.classification import (
        multiclass_accuracy,
        multiclass_f1_score,
        multiclass_jaccard_index,
    )

    random = np.random.default_rng(7)
    truth = random.integers(-1, 4, (6, 9, 11))
    sure = _softmax(random.normal(size=(6, 4, 9, 11)))
    kept = segmentation.statistics(_ids(6), CLASSES[:4], truth, sure)
    said, true = torch.from_numpy(sure.argmax(1)), torch.from_numpy(truth)
    options = {"num_classes": 4, "ignore_index": -1}
    iou = multiclass_jaccard_index(said, true, average="none", **options).numpy()
    np.testing.assert_allclose([_value(kept, "iou", one) for one in CLASSES[:4]], iou, rtol=1e-6)
    assert _value(kept, "miou") == pytest.approx(iou.mean(), rel=1e-6)
    micro = multiclass_accuracy(said, true, average="micro", **options).item()
    assert _value(kept, "accuracy") == pytest.approx(micro, rel=1e-6)
    macro = multiclass_accuracy(said, true, average="macro", **options).item()
    assert _value(kept, "balanced_accuracy") == pytest.approx(macro, rel=1e-6)
    dice = multiclass_f1_score(said, true, average="none", **options).numpy()
    np.testing.assert_allclose([_value(kept, "f1", one) for one in CLASSES[:4]], dice, rtol=1e-6)
    assert metrics.confusion(kept).sum() == (truth >= 0).sum()


def test_pooled_iou_is_not_the_mean_of_samples():
    truth = np.zeros((2, 1, 10), np.int64)
    truth[0, 0, :1] = truth[1, 0, :9] = 1
    said = np.zeros((2, 2, 1, 10))
    said[:, 0] = 1.0
    said[1, :, 0, :9] = [[0.0] * 9, [1.0] * 9]  # the large one is found, the small one is not
    kept = segmentation.statistics(_ids(2), ("land", "water"), truth, said)
    assert _value(kept, "iou", "water") == 0.9


def test_quantities_agree_with_scikit_learn():
    from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

    random = np.random.default_rng(11)
    truth = random.normal(1e6, 3, (8, 5, 5))
    truth[0, :2] = np.nan
    said = truth + random.normal(0.5, 1, truth.shape)
    kept = regression.statistics(_ids(8), truth, said, task=HeadTask.PIXEL_REGRESSION)
    known = np.isfinite(truth)
    true, guess = truth[known], said[known]
    assert _value(kept, "rmse") == pytest.approx(mean_squared_error(true, guess) ** 0.5)
    assert _value(kept, "mae") == pytest.approx(mean_absolute_error(true, guess))
    assert _value(kept, "bias") == pytest.approx((guess - true).mean())
    assert _value(kept, "r2") == pytest.approx(r2_score(true, guess), rel=1e-6)


def test_equal_truths_leave_no_r2():
    kept = regression.statistics(_ids(3), np.ones(3), np.array([1.0, 2.0, 3.0]))
    assert math.isnan(_value(kept, "r2"))
    assert _value(kept, "mae") == 1


def _scenes(random, samples, classes):
    truths, found = [], []
    for _ in range(samples):
        count = random.integers(0, 6)
        corners = random.uniform(0, 80, (count, 2))
        boxes = np.hstack([corners, corners + random.uniform(6, 30, (count, 2))])
        kinds = random.integers(0, classes, count)
        noise = np.vstack([boxes, boxes, random.uniform(0, 90, (2, 4))])
        noise += random.normal(0, 1.5, noise.shape)
        noise[:, 2:] = np.maximum(noise[:, 2:], noise[:, :2] + 1)
        labels = np.concatenate([kinds, kinds, random.integers(0, classes, 2)])
        scores = random.random(len(noise)).round(2).astype(np.float32)
        truths.append(Boxes(corners=boxes.astype(np.float32), classes=kinds))
        found.append(
            detection.Found(corners=noise.astype(np.float32), classes=labels, scores=scores)
        )
    return truths, found


def test_detection_agrees_with_cocos_own_code():
    from torchmetrics.detection import MeanAveragePrecision

    truths, found = _scenes(np.random.default_rng(13), samples=25, classes=3)
    kept = detection.statistics(_ids(25), CLASSES[:3], truths, found)
    oracle = MeanAveragePrecision(class_metrics=True)
    oracle.update(
        [
            {
                "boxes": torch.from_numpy(one.corners),
                "scores": torch.from_numpy(one.scores),
                "labels": torch.from_numpy(one.classes),
            }
            for one in found
        ],
        [
            {"boxes": torch.from_numpy(one.corners), "labels": torch.from_numpy(one.classes)}
            for one in truths
        ],
    )
    said = oracle.compute()
    assert _value(kept, "ap50") == pytest.approx(said["map_50"].item(), abs=1e-6)
    assert _value(kept, "ap50_95") == pytest.approx(said["map"].item(), abs=1e-6)
    mine = [_value(kept, "ap50_95", one) for one in CLASSES[:3]]
    np.testing.assert_allclose(mine, said["map_per_class"].numpy(), atol=1e-6)


def test_one_object_is_found_once():
    boxes = np.array([[0, 0, 10, 10]], np.float32)
    truth = [Boxes(corners=boxes, classes=np.zeros(1, np.int64))]
    twice = detection.Found(
        corners=np.vstack([boxes, boxes]),
        classes=np.zeros(2, np.int64),
        scores=np.array([0.9, 0.8]),
    )
    kept = detection.statistics(("a",), ("ship",), truth, [twice])
    assert kept.lists["hit"][:, 0].tolist() == [1, 0]
    assert _value(kept, "ap50") == pytest.approx(1.0)


def test_no_box_and_no_object_leave_no_precision():
    none = Boxes(corners=np.zeros((0, 4), np.float32), classes=np.zeros(0, np.int64))
    empty = detection.Found(
        corners=np.zeros((0, 4)), classes=np.zeros(0, np.int64), scores=np.zeros(0)
    )
    kept = detection.statistics(("a",), ("ship",), [none], [empty])
    assert math.isnan(_value(kept, "ap50"))
    missed = Boxes(corners=np.ones((1, 4), np.float32), classes=np.zeros(1, np.int64))
    assert _value(detection.statistics(("a",), ("ship",), [missed], [empty]), "ap50") == 0


def _of_every_task():
    random = np.random.default_rng(17)
    truths, found = _scenes(random, samples=9, classes=2)
    pixels, sure = random.integers(-1, 2, (9, 4, 4)), _softmax(random.normal(size=(9, 2, 4, 4)))
    labels = random.integers(0, 2, 9)
    two = CLASSES[:2]
    yield classification.statistics(_ids(9), two, labels, _softmax(random.normal(size=(9, 2))))
    yield multilabel.statistics(_ids(9), two, random.random((9, 2)) < 0.5, random.random((9, 2)))
    yield segmentation.statistics(_ids(9), two, pixels, sure)
    yield segmentation.statistics(_ids(9), two, pixels, sure, task=HeadTask.CHANGE)
    yield detection.statistics(_ids(9), two, truths, found)
    yield regression.statistics(_ids(9), random.normal(size=9), random.normal(size=9))
    yield regression.statistics(_ids(9), sure[:, 0], sure[:, 1], task=HeadTask.PIXEL_REGRESSION)


@pytest.mark.parametrize("kept", [*_of_every_task()], ids=lambda kept: str(kept.task))
def test_figures_follow_from_what_is_kept_as_a_table(kept: Statistics):
    again = Statistics.from_table(kept.to_table())
    mine, theirs = metrics.figures(kept), metrics.figures(again)
    assert mine.keys() == theirs.keys()
    for key in mine:
        np.testing.assert_array_equal(mine[key], theirs[key])


@pytest.mark.parametrize("kept", [*_of_every_task()], ids=lambda kept: str(kept.task))
def test_batches_change_no_bit(kept: Statistics):
    places = np.arange(9)
    parts = joined([kept.take(places[:4]), kept.take(places[4:])])
    for key, values in metrics.figures(kept).items():
        np.testing.assert_array_equal(values, metrics.figures(parts)[key])


@pytest.mark.parametrize("kept", [*_of_every_task()], ids=lambda kept: str(kept.task))
def test_a_weight_of_two_is_a_sample_twice(kept: Statistics):
    twice = np.array([2.0, 0, 1, 1, 0, 3, 1, 1, 0])
    again = [place for place, times in enumerate(twice) for _ in range(int(times))]
    copies = [kept.take(np.array([place])) for place in again]
    renamed = [
        Statistics(
            task=one.task, classes=one.classes, ids=(str(number),), columns=one.columns,
            lists=one.lists,
        )
        for number, one in enumerate(copies)
    ]  # fmt: skip
    whole = metrics.figures(joined(renamed))
    for key, values in metrics.figures(kept, twice[None, :]).items():
        np.testing.assert_allclose(values, whole[key], atol=0.02 if "ap" in key[0] else 1e-9)


@pytest.mark.parametrize("kept", [*_of_every_task()], ids=lambda kept: str(kept.task))
def test_every_figure_is_a_metric_that_is_defined(kept: Statistics):
    names = {name for name, _ in metrics.figures(kept)}
    defined = {one.name for one in metrics.metrics_of(kept.task)}
    assert names <= defined
    assert defined - names <= {"top3_accuracy", "top5_accuracy"}  # of more than two classes
    assert metrics.headline(kept.task) in names
    assert metrics.metrics_of(kept.task)[0].name == metrics.headline(kept.task)
