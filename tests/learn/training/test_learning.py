"""Runs of seconds that must learn the simulated truth, and chance where there is none."""

import pyarrow.parquet as pq
import pytest

from registry.learn.models import shelf
from registry.learn.models.opening import network
from registry.learn.training import train


def test_a_segmentation_learns_where_it_burnt(shared, recipe_of):
    recipe = recipe_of(
        shared.burns, epochs=20,
        **{
            "optimiser.lr": 1e-2, "data.batch_size": 3, "architecture.args.depth": 3,
            "heads.0.loss": "cross-entropy+dice",
        },
    )  # fmt: skip

    model = train(shared.registry, recipe, name="burns-learnt")

    assert model.ref == "burns-learnt@v1"
    assert model.card.metrics["iou"] > 0.6
    assert {"iou/burnt", "iou/not burnt", "accuracy", "f1", "loss"} <= {*model.card.metrics}


@pytest.fixture(scope="module")
def scenes_recipe(shared, recipe_of):
    return recipe_of(
        shared.scenes, task="classification", epochs=12,
        **{
            "architecture.args": {"name": "cnn", "width": 8, "depth": 2}, "optimiser.lr": 1e-2,
            "data.batch_size": 12, "schedule.name": "one-cycle",
        },
    )  # fmt: skip


@pytest.fixture(scope="module")
def scenes_model(shared, scenes_recipe):
    return train(shared.registry, scenes_recipe, name="scenes-learnt")


def test_a_classification_learns_what_covers_the_ground(scenes_model):
    assert scenes_model.card.metrics["accuracy"] > 0.5


def test_labels_of_others_teach_nothing_but_chance(shared, scenes_recipe):
    permuted = scenes_recipe.replaced({"data.permute_labels": True})

    model = train(shared.registry, permuted, name="scenes-permuted")

    # Eight classes, of which the most frequent has under a third of the samples; 24 samples are
    # measured, so chance alone moves the share by a tenth.
    assert model.card.metrics["accuracy"] < 0.45


def test_masks_of_others_teach_nothing_but_chance(shared, recipe_of):
    recipe = recipe_of(
        shared.burns, epochs=8,
        **{"optimiser.lr": 1e-2, "data.batch_size": 3, "data.permute_labels": True},
    )  # fmt: skip

    model = train(shared.registry, recipe, name="burns-permuted")

    assert model.card.metrics.get("iou/burnt", 0) < 0.35


def test_the_card_says_what_made_the_model(shared, scenes_recipe, scenes_model):
    card, version = scenes_model.card, shared.registry.resolve(shared.scenes)

    assert card.lineage.dataset == shared.scenes
    assert card.lineage.content_id == version.content_id
    assert card.lineage.split == "default"
    assert card.lineage.split_id == version.data_id_of("splits/default")
    assert card.recipe["data"]["threads"] == 1
    assert card.recipe == scenes_recipe.to_document()
    assert card.seed == 0
    assert not card.smoke
    assert card.size == (16, 16)
    assert card.heads[0].classes == version.spec.classes
    assert card.contract.inputs[0].bands[0].mean is not None


def test_the_domain_holds_what_was_learnt_from(scenes_model):
    domain = scenes_model.card.domain

    assert domain["threshold"] > 0
    assert domain["samples"] == 72
    assert len(domain["precision"]) == len(domain["mean"])


def test_history_and_pictures_are_kept_beside_the_weights(scenes_model):
    history = pq.read_table(scenes_model.path("history.parquet"))

    assert {*history["subset"].unique().to_pylist()} == {"train", "validate"}
    assert history["step"].to_pylist()[-1] == 12 * 6
    for picture in ("curves.png", "confusion.png", "predictions.png"):
        assert scenes_model.path(picture).read_bytes().startswith(b"\x89PNG")


def test_a_fraction_of_the_labels_is_a_slice_that_the_lineage_names(shared, recipe_of):
    from registry.query.slices import find_slice

    recipe = recipe_of(shared.burns, epochs=1, **{"data.fraction": 0.34})

    model = train(shared.registry, recipe, seed=3, name="burns-fraction")

    kept = find_slice(shared.registry, model.card.lineage.slice)
    train_ids = {
        row["sample"]
        for row in shared.registry.resolve(shared.burns).table("splits/default").to_pylist()
        if row["subset"] == "train"
    }
    assert len(kept.ids) == 7
    assert {*kept.ids} < train_ids


def test_pretraining_begins_another_recipe_and_both_are_in_its_lineage(shared, recipe_of):
    vit = {"name": "vit", "width": 16, "depth": 2, "heads": 2}
    first = recipe_of(
        shared.burns, task="reconstruction", epochs=1,
        **{"architecture.args": vit, "name": "tiny-mae", "data.ref": [shared.burns, shared.cover]},
    )  # fmt: skip
    parent = train(shared.registry, first)
    second = recipe_of(
        shared.burns, epochs=1,
        **{"architecture.args": vit, "init.model": parent.ref, "init.freeze": True},
    )  # fmt: skip

    child = train(shared.registry, second, name="burns-from-mae")

    assert parent.card.lineage.split is None
    assert child.card.lineage.parent == parent.ref
    assert child.card.lineage.pretrained_on == (shared.burns, shared.cover)
    before, after = (network(one).encoder_state() for one in (parent, child))
    assert {*before} == {*after}
    assert all(before[name].equal(after[name]) for name in before)


def test_a_mean_teacher_learns_from_samples_without_labels(shared, recipe_of):
    recipe = recipe_of(
        shared.burns, epochs=6,
        **{"semi": {"decay": 0.9}, "data.fraction": 0.4, "optimiser.lr": 1e-2,
           "data.batch_size": 3},
    )  # fmt: skip

    model = train(shared.registry, recipe, name="burns-semi")

    assert model.card.metrics["accuracy"] > 0.6
    assert not any(name.startswith("teacher") for name in _names(model))


def test_samples_without_labels_are_of_the_slice_that_was_asked_for(shared, recipe_of):
    from registry.learn.training.fractions import kept_slice
    from registry.learn.training.loop import samples_of
    from registry.learn.training.material import gather
    from registry.query.slices import find_slice

    version = shared.registry.resolve(shared.burns)
    ids = version.table("samples", ["id"])["id"].to_pylist()
    asked = kept_slice(shared.registry, version, ids, share=0.5, seed=4)
    recipe = recipe_of(
        shared.burns, **{"semi": {}, "data.slice": asked, "data.fraction": 0.5,
                         "data.batch_size": 2},
    )  # fmt: skip

    beside = gather(shared.registry, recipe, seed=0).train
    labelled, unlabelled = (
        {name for batch in loader for name in samples_of(batch)}
        for loader in (beside.labelled, beside.unlabelled)
    )

    inside = {*find_slice(shared.registry, asked).ids}
    assert labelled < unlabelled < inside  # of these some are for validation


def test_two_heads_learn_together(shared, recipe_of):
    heads = [
        {"name": "cover", "task": "segmentation", "asset": "mask"},
        {"name": "scene", "task": "classification", "weight": 0.3},
    ]
    recipe = recipe_of(shared.cover, epochs=1, heads=heads, **{"stop.monitor": "cover/iou"})

    model = train(shared.registry, recipe, name="cover-two")

    assert {"cover/iou", "scene/accuracy", "loss"} <= {*model.card.metrics}


def test_seeds_are_versions_of_one_model(shared, recipe_of):
    recipe = recipe_of(shared.burns, epochs=1, steps=1)

    refs = [train(shared.registry, recipe, seed=seed, name="burns-seeds").ref for seed in (1, 2)]

    assert refs == ["burns-seeds@v1", "burns-seeds@v2"]
    assert shelf.resolve(shared.registry, refs[1]).card.seed == 2


def _names(model):
    from registry.learn.models.weights import read

    return [*read(model.path(shelf.WEIGHTS))]


def test_any_lightning_trainer_takes_the_task_with_the_labs_loaders(shared, recipe_of):
    import lightning

    from registry.learn.models.factory import build
    from registry.learn.training.material import gather
    from registry.learn.training.tasks import Task

    recipe = recipe_of(shared.burns)
    material = gather(shared.registry, recipe, seed=0)
    built = build(recipe.architecture, contract=material.contract, heads=material.heads)
    task = Task(built, recipe=recipe, heads=material.heads, contract=material.contract, steps=3)
    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip

    trainer.fit(task, material.train, material.validate)

    assert trainer.global_step == 3
    assert "iou" in task.figures()


def test_an_encoder_stays_as_it_came_for_its_first_epochs(shared, recipe_of):
    parent = train(shared.registry, recipe_of(shared.burns, epochs=1), name="burns-before")
    recipe = recipe_of(
        shared.burns, epochs=1, **{"init.model": parent.ref, "init.freeze_epochs": 1}
    )

    child = train(shared.registry, recipe, name="burns-rested")

    before, after = (network(one).encoder_state() for one in (parent, child))
    assert any("running_mean" in name for name in before)
    assert all(before[name].equal(after[name]) for name in before)
