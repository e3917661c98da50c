"""Figures of the validation: what processes measure is joined to what one would measure."""

from itertools import pairwise

import lightning
import pytest
import torch

from registry.learn.models.architecture import Head, HeadTask
from registry.learn.models.factory import build
from registry.learn.training.loop import _validated
from registry.learn.training.losses import loss_of
from registry.learn.training.material import gather
from registry.learn.training.measures import measure_of
from registry.learn.training.position import Learner
from registry.learn.training.recipe import HeadRecipe
from registry.learn.training.tasks import Task


def measured(task, answer, truth, **head):
    measure = measure_of(Head(name="one", task=task, **head), HeadRecipe(task=task))
    measure.update(answer, truth)
    return measure


ANSWERS = {
    HeadTask.CLASSIFICATION: (torch.eye(2), torch.tensor([0, 1]), {"classes": ("a", "b")}),
    HeadTask.MULTILABEL: (9 * torch.eye(2) - 4, torch.eye(2), {"classes": ("a", "b")}),
    HeadTask.REGRESSION: (torch.tensor([[1.0], [2.0]]), torch.tensor([1.0, 2.0]), {}),
}


@pytest.mark.parametrize("task", ANSWERS)
def test_a_process_among_several_measures_by_itself(task, monkeypatch):
    answer, truth, head = ANSWERS[task]
    alone = measured(task, answer, truth, **head).compute()
    measure = measured(task, answer, truth, **head)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)

    assert measure.compute() == alone


def boxes(*corners, scores=None):
    found = {
        "boxes": torch.tensor(corners, dtype=torch.float32).reshape(-1, 4),
        "labels": torch.zeros(len(corners), dtype=torch.int64),
    }
    return found if scores is None else {**found, "scores": torch.tensor(scores)}


def test_boxes_are_measured_as_scores_are_later():
    ship, other, sea = (0, 0, 4, 4), (8, 8, 12, 12), (20, 20, 30, 30)
    truth = [boxes(ship), boxes(other), boxes()]
    found = [boxes(ship, scores=[0.9]), boxes(sea, scores=[0.8]), boxes(scores=[])]

    figures = measured(HeadTask.DETECTION, found, truth, classes=("ship",)).compute()

    assert figures == {"ap50": pytest.approx(51 / 101)}  # right up to a recall of one half


def test_no_box_anywhere_is_no_error():
    measure = measured(HeadTask.DETECTION, [boxes(scores=[])], [boxes()], classes=("ship",))

    assert measure.compute() == {"ap50": 0.0}


def test_each_sample_counts_alike_in_the_loss_however_batches_fall(shared, recipe_of):
    heads = [
        {"name": "scene", "task": "classification"},
        {"name": "again", "task": "classification", "weight": 0.3},
    ]
    recipe = recipe_of(shared.scenes, heads=heads, **{"data.batch_size": 24})
    material = gather(shared.registry, recipe, seed=0)
    torch.manual_seed(0)
    network = build(recipe.architecture, contract=material.contract, heads=material.heads)
    task = Task(network, recipe=recipe, heads=material.heads, contract=material.contract, steps=1)
    fabric = lightning.Fabric(accelerator="cpu", devices=1)
    parts = Learner(task=task, model=task, optimiser=None, schedule=None, fabric=fabric)
    (batch,) = material.validate

    def loss(*ends):
        cut = [
            {key: value[begin:end] for key, value in batch.items()} for begin, end in pairwise(ends)
        ]
        return _validated(parts, cut, 0)[0]["loss"]

    assert loss(0, 23, 24) == pytest.approx(loss(0, 24), rel=1e-5)
    assert loss(0, 24) == pytest.approx(task.losses(batch, 0)["loss"].item(), rel=1e-5)


def test_a_batch_of_which_nothing_is_known_says_nothing_of_the_loss(shared, recipe_of):
    recipe = recipe_of(shared.burns, **{"data.batch_size": 6})
    material = gather(shared.registry, recipe, seed=0)
    network = build(recipe.architecture, contract=material.contract, heads=material.heads)
    task = Task(network, recipe=recipe, heads=material.heads, contract=material.contract, steps=1)
    task.eval()
    (batch,) = material.validate
    nothing = batch | {
        "image": torch.full_like(batch["image"], torch.nan),
        "mask": torch.full_like(batch["mask"], recipe.heads[0].ignore),
    }

    def loss(*batches):
        task.on_validation_epoch_start()
        with torch.no_grad():
            for number, one in enumerate(batches):
                task.validation_step(one, number)
        return task.loss_seen()

    assert loss(batch, nothing) == loss(batch)
    assert loss(nothing) is None


@pytest.mark.parametrize("by", ["cross-entropy", "focal"])
def test_a_batch_of_classes_that_count_nothing_costs_nothing(by):
    task = HeadTask.CLASSIFICATION
    answer = torch.ones(3, 2, requires_grad=True)

    loss = loss_of(
        Head(name="one", task=task, classes=("a", "b")), HeadRecipe(task=task, loss=by), answer,
        torch.zeros(3), weights=torch.tensor([0.0, 1.0]),
    )  # fmt: skip
    loss.backward()

    assert loss.item() == 0
    assert not answer.grad.any()


def test_processes_that_share_a_validation_measure_what_one_measures(shared, recipe_of):
    recipe = recipe_of(shared.burns, **{"data.batch_size": 4})  # six samples: 2, 2, 2 and none

    def measured_by(rank, world):
        material = gather(shared.registry, recipe, seed=0, rank=rank, world=world)
        torch.manual_seed(0)
        network = build(recipe.architecture, contract=material.contract, heads=material.heads)
        task = Task(
            network, recipe=recipe, heads=material.heads, contract=material.contract, steps=1
        )
        task.eval()
        task.on_validation_epoch_start()
        with torch.no_grad():
            for number, batch in enumerate(material.validate):
                task.validation_step(batch, number)
        assert len(list(material.held)) == 2  # whole batches, for whoever draws them
        return task, len(material.validate)

    alone, batches = measured_by(0, 1)
    parts = [measured_by(rank, 4) for rank in range(4)]
    assert batches == 2
    assert [count for _, count in parts] == [1, 1, 1, 1]
    first = parts[0][0]
    first.measured_by([(task.measures, task.losses_seen) for task, _ in parts])

    head = first.heads[0].name
    assert first.measures[head].confusion().equal(alone.measures[head].confusion())
    assert first.figures() == pytest.approx(alone.figures())
    assert first.loss_seen() == pytest.approx(alone.loss_seen(), rel=1e-5)


QUANTITIES = (torch.tensor([[1.0], [3.0], [2.0]]), torch.tensor([1.0, 2.0, 5.0]))
PRESENCES = (torch.tensor([[2.0, -1.0], [-3.0, 1.0], [1.0, 1.0]]),
             torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))  # fmt: skip


@pytest.mark.parametrize(
    ("task", "answer", "truth"),
    [
        (HeadTask.REGRESSION, *QUANTITIES),
        (HeadTask.MULTILABEL, *PRESENCES),
        (
            HeadTask.DETECTION,
            [
                boxes((0, 0, 4, 4), scores=[0.9]),
                boxes(scores=[]),
                boxes((0, 0, 4, 4), scores=[0.4]),
            ],
            [boxes((0, 0, 4, 4)), boxes((1, 1, 5, 5)), boxes((9, 9, 12, 12))],
        ),
    ],
)
def test_measures_that_are_joined_are_those_of_all(task, answer, truth):
    whole, one, other = (
        measured(task, answer[part], truth[part], classes=("a", "b"))
        for part in (slice(None), slice(1), slice(1, None))
    )

    one.join(other)

    assert one.compute() == pytest.approx(whole.compute())
