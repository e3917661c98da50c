"""A recipe says everything, in keys that are all checked."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from registry.errors import InvalidInputError, NotFoundError
from registry.learn.training.recipe import (
    AUGMENTATIONS,
    Recipe,
    head_of_file,
    named,
    shipped,
    shipped_path,
)

SMALL = {
    "name": "small",
    "heads": [{"task": "segmentation"}],
    "architecture": {"factory": "lab", "args": {"name": "unet"}},
}


def small(**changes):
    return Recipe.from_document(SMALL).replaced(changes)


def test_every_default_is_written_out_and_read_back():
    recipe = small()

    assert Recipe.from_document(yaml.safe_load(recipe.to_yaml())) == recipe
    assert recipe.to_document()["data"]["batch_size"] == 32


@given(
    batch=st.integers(1, 4096), lr=st.floats(1e-8, 10), epochs=st.integers(1, 10_000),
    loss=st.sampled_from(["auto", "cross-entropy", "focal", "dice", "cross-entropy+dice"]),
    seeds=st.lists(st.integers(0, 99), min_size=1, max_size=5, unique=True),
)  # fmt: skip
def test_a_recipe_survives_yaml(batch, lr, epochs, loss, seeds):
    recipe = small(**{
        "data.batch_size": batch, "optimiser.lr": lr, "epochs": epochs, "heads.0.loss": loss,
        "seeds": seeds,
    })  # fmt: skip

    again = Recipe.from_document(yaml.safe_load(recipe.to_yaml()))
    assert again == recipe
    assert again.id == recipe.id


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("data.bach_size", 8, "did you mean 'batch_size'"),
        ("optimizer", {}, "did you mean 'optimiser'"),
        ("data.batch_size", "many", "give a whole number"),
        ("data.batch_size", True, "give a whole number"),
        ("data.batch_size", 0, "of at least 1"),
        ("data.fraction", 0, "above 0"),
        ("optimiser.lr", -1, "above 0"),
        ("heads.0.loss", "bce", "choose of cross-entropy"),
        ("heads.0.task", "segmantation", "give one of"),
        ("heads.1.task", "change", "eolab recipes show"),
        ("heads", [], "add one"),
        ("data.augment", ["flop"], "there are flip"),
        ("data.crop", [32], r"a list of 2, such as \[32, 32\]"),
        ("data.crop", 96, r"give a list, such as \[96, 96\]"),
        ("data.assets", "s2", r"give a list, such as \['s2'\]"),
        ("data.bands", 1, r"give a list, such as \['1'\]"),
        ("data.bands", [1, 2, 9], r"'data\.bands\.0' is 1 .*\n.*a text, in quotes: '1'"),
        ("precision", "8", "one of 32, bf16, 16"),
        ("name.first", 1, "name a key"),
        ("optimiser.lr", "nan", r"'optimiser\.lr' is 'nan'.*\n.*a finite number"),
        ("optimiser.weight_decay", float("nan"), "is nan in the recipe"),
        ("schedule.floor", ".inf", "give a number"),
        ("semi", {"weight": float("inf")}, r"'semi\.weight' is inf"),
        ("heads.0.class_weights", [1.0, float("nan")], r"'heads\.0\.class_weights\.1' is nan"),
        ("architecture.args.dropout", float("nan"), r"'architecture\.args\.dropout' is nan"),
        ("architecture.args", {"sizes": [1, float("-inf")]}, r"args\.sizes\.1' is -inf"),
        ("optimiser.lr", 10**400, "is too large in the recipe"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(path, value, said):
    with pytest.raises(InvalidInputError, match=said):
        small(**{path: value})


def test_two_heads_of_one_name_are_refused():
    with pytest.raises(InvalidInputError, match="two heads of one name"):
        small(heads=[{"task": "segmentation"}, {"task": "segmentation"}])


def test_what_is_learnt_alone_has_no_heads_beside_it():
    with pytest.raises(InvalidInputError, match="detection is learnt alone"):
        small(heads=[{"task": "detection"}, {"task": "classification"}])


def test_a_file_that_is_not_there_is_said_to_be_missing():
    with pytest.raises(NotFoundError, match=r"there is no file './nothere\.yaml'"):
        named("./nothere.yaml")


def test_a_misspelt_recipe_names_its_neighbours():
    with pytest.raises(NotFoundError, match="burn-scars-unet"):
        named("burnscars-unet")


def test_a_recipe_like_none_is_told_where_they_are_listed():
    with pytest.raises(NotFoundError) as caught:
        named("zzz")

    assert caught.value.hint == "list them: eolab recipes. A file's name ends in .yaml"


def test_a_path_out_of_the_folder_is_no_recipe():
    assert shipped_path("../recipe") is None


def test_a_file_that_is_no_mapping_is_refused(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("- a\n- b\n")

    with pytest.raises(InvalidInputError, match="no mapping"):
        named(str(path))


def test_yaml_that_would_run_code_is_refused(tmp_path):
    path, canary = tmp_path / "mine.yaml", tmp_path / "canary"
    path.write_text(f"name: !!python/object/apply:os.mkdir ['{canary}']\n")

    with pytest.raises(InvalidInputError, match="no YAML"):
        named(str(path))
    assert not canary.exists()


def test_augmentations_are_those_of_the_loader():
    from registry.learn.loading.augment import AUGMENTATIONS as OF_THE_LOADER

    assert AUGMENTATIONS == OF_THE_LOADER


@pytest.mark.parametrize("name", shipped())
def test_a_recipe_that_ships_says_paper_command_cost_and_what_to_reach(name):
    recipe = named(name)

    assert recipe.name == name
    assert head_of_file(shipped_path(name))
    for said in (recipe.title, recipe.task, recipe.paper, recipe.cost, recipe.data.ref):
        assert said
    assert recipe.command.startswith(f"eolab {'pretrain' if recipe.pretrains else 'train'} {name}")
    if recipe.score is not None:
        assert recipe.score.source


def test_each_foundation_model_has_its_plain_baseline():
    foundation = [name for name in shipped() if named(name).architecture.factory == "terratorch"]

    assert len(foundation) == 5
    for name in foundation:
        baseline = named(named(name).baseline)
        assert baseline.architecture.factory != "terratorch"
        assert baseline.data.ref == named(name).data.ref
        assert [head.task for head in baseline.heads] == [head.task for head in named(name).heads]
