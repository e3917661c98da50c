"""A smoke run goes through all of a recipe, and its model claims nothing."""

import json

import pytest

from registry.learn.models import shelf
from registry.learn.training import named, shipped, train
from registry.learn.training.simulated import spec_of

# One of each layout and head; the others differ by names alone, and are run by command.
RUN = (
    "burn-scars-prithvi", "change", "crops-unet", "eurosat", "fusion", "height", "mae-hls",
    "multi-task", "semi-supervised", "ships-fcos",
)  # fmt: skip


@pytest.mark.parametrize("name", RUN)
def test_a_recipe_runs_on_simulated_samples_and_claims_nothing(shared, name):
    model = train(shared.registry, name, smoke=True)

    assert model.ref == f"{name}-smoke@v1"
    card = json.loads(model.path(shelf.CARD).read_bytes())
    assert card["smoke"] is True
    assert card["metrics"] == {}
    assert card["domain"] == {}
    assert "confusion.png" not in model.files
    assert model.card.lineage.dataset.startswith("simulated-")
    assert model.card.lineage.parent is None
    assert [str(head.task) for head in model.card.heads] == [
        str(head.task) for head in named(name).heads
    ]


@pytest.mark.parametrize("name", shipped())
def test_every_recipe_names_a_simulation_with_what_its_heads_learn_from(name):
    recipe = named(name)

    spec = spec_of(recipe.smoke)

    for head in recipe.heads:
        if head.asset is not None:
            assert spec.assets[head.asset].role == "labels"
    data = [asset for asset, one in spec.assets.items() if one.role == "data"]
    assert {*(recipe.data.assets or data)} <= {*data}


def test_a_smoke_run_leaves_nothing_but_its_model(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    before = shared.registry.names()

    train(shared.registry, "eurosat", smoke=True, name="smoke-again")

    assert shared.registry.names() == before
    assert not list((tmp_path / "cache" / "training").glob("*"))
