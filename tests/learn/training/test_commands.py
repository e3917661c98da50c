"""What people type: recipes, train, pretrain."""

import json

import pytest

from registry.cli.app import run
from registry.cli.commands.training import seeds_of, settings_of
from registry.errors import InvalidInputError


@pytest.fixture
def said(shared, monkeypatch, capsys):
    """Run a command on the shared lake, and return its status and what it printed."""
    monkeypatch.setenv("EOLAB_LAKE", shared.registry.lake.address)

    def made(*words):
        status = run(list(words))
        return status, capsys.readouterr()

    return made


def test_recipes_list_cost_and_what_to_reach(said):
    status, out = said("recipes")

    assert status == 0
    assert "floods-prithvi" in out.out
    assert "iou ≥ 0.9" in out.out


def test_recipes_are_a_document_too(said):
    _, out = said("recipes", "--json")

    by_name = {one["name"]: one for one in json.loads(out.out)}
    assert by_name["burn-scars-prithvi"]["baseline"] == "burn-scars-unet"
    assert by_name["eurosat"]["score"]["value"] == 0.88


def test_a_recipe_is_shown_with_every_default(said):
    import yaml

    from registry.learn.training import Recipe, named

    _, out = said("recipes", "show", "eurosat")

    assert out.out.startswith("# Ten classes")
    assert Recipe.from_document(yaml.safe_load(out.out)) == named("eurosat")


def test_training_ends_as_versions_one_a_seed(said, shared, tmp_path, recipe_of):
    path = tmp_path / "mine.yaml"
    path.write_text(recipe_of(None, steps=1).to_yaml())

    status, out = said(
        "train", str(path), "--data", shared.burns, "--seeds", "0-1", "--name", "typed",
        "--set", "data.batch_size=4", "--json",
    )  # fmt: skip

    assert status == 0, out.err
    assert out.err.splitlines()[0].startswith("epoch 1 of 2, step 1, loss ")
    assert "validation iou" in out.err
    assert "of the time waiting for data" in out.err
    models = json.loads(out.out)
    assert [one["model"] for one in models] == ["typed@v1", "typed@v2"]
    assert [one["seed"] for one in models] == [0, 1]
    assert models[0]["lineage"]["dataset"] == shared.burns


def test_what_to_do_with_a_model_is_said_by_its_name(said, shared, tmp_path, recipe_of):
    changes = {"steps": 1, "architecture.args": {"name": "vit", "width": 16, "heads": 2}}
    paths = {}
    for task in ("segmentation", "reconstruction"):
        paths[task] = tmp_path / f"{task}.yaml"
        paths[task].write_text(recipe_of(shared.burns, task=task, **changes).to_yaml())

    _, trained = said("train", str(paths["segmentation"]), "--name", "to-score")
    _, pretrained = said("pretrain", str(paths["reconstruction"]), "--name", "to-begin-with")

    assert trained.out.endswith(f"eolab evaluate to-score@v1 --on {shared.burns} --split test\n")
    assert "eolab train RECIPE --set init.model=to-begin-with@v1\n" in pretrained.out
    assert "score it" not in pretrained.out


@pytest.mark.parametrize(
    ("words", "status", "problem"),
    [
        (("train", "nothing"), 3, "there is no recipe 'nothing'"),
        (("train", "eurosat", "--set", "data.bach_size=3"), 2, "no key 'data.bach_size'"),
        (("train", "eurosat", "--seed", "1", "--seeds", "0-2"), 2, "both --seed and --seeds"),
        (("train", "eurosat", "--set", "optimiser.lr=nan"), 2, "'optimiser.lr' is 'nan'"),
        (("train", "eurosat", "--set", "optimiser.lr=.inf"), 2, "'optimiser.lr' is inf"),
        (("train", "eurosat", "--data", "nowhere@v1"), 3, "nowhere"),
        (("pretrain", "eurosat"), 2, "learns from labels"),
    ],
)
def test_what_cannot_be_run_is_said(said, words, status, problem):
    found, out = said(*words)

    assert found == status
    assert problem in out.err


@pytest.mark.parametrize(
    ("words", "status", "problem"),
    [
        (("--name", "es"), 2, "'es' is no name for a model"),
        (("--set", "init.model=nobody@v1"), 3, "there is no model 'nobody'"),
        (("--set", "init.weights=nowhere.pt"), 3, "no file of weights 'nowhere.pt'"),
        (("--set", "data.bands=[B99]"), 2, "B99"),
        (("--set", "data.splits=folds"), 3, "no split 'folds'"),
    ],
)
def test_what_cannot_end_well_does_not_begin(
    said, shared, tmp_path, recipe_of, monkeypatch, words, status, problem
):
    monkeypatch.setattr("registry.learn.training.running.fit", None)  # the long work
    path = tmp_path / "mine.yaml"
    path.write_text(recipe_of(shared.burns).to_yaml())

    found, out = said("train", str(path), *words)

    assert found == status
    assert problem in out.err


@pytest.mark.parametrize(
    ("data", "task", "problem", "hint"),
    [
        ("burns", "classification", "has no labels of samples", "take a recipe for them"),
        ("burns", "regression", "has no targets of samples", "burn-scars-unet"),
        ("burns", "detection", "has no annotated objects", "it has masks (mask)"),
        ("scenes", "segmentation", "no mask or raster", "such as eurosat"),
        ("boats", "classification", "has no labels of samples", "such as ships-fcos"),
        ("boats", "segmentation", "no mask or raster", "such as ships-fcos"),
    ],
)
def test_data_without_what_a_recipe_learns_are_refused_with_recipes_that_fit(
    shared, boats, recipe_of, data, task, problem, hint
):
    from registry.learn.training.foreseeing import foresee

    ref = boats if data == "boats" else getattr(shared, data)
    with pytest.raises(InvalidInputError) as caught:
        foresee(shared.registry, recipe_of(ref, task=task))

    assert problem in caught.value.problem
    assert hint in caught.value.hint


@pytest.fixture(scope="module")
def boats(shared, simulated):
    return simulated(shared.registry, "boats", task="detection", samples=6, size=32)


def test_a_job_is_called_by_the_recipe_that_a_file_holds(
    said, shared, tmp_path, recipe_of, monkeypatch
):
    handed = []
    monkeypatch.setattr("registry.cli.on.elsewhere", lambda _, *, name: handed.append(name))
    path = tmp_path / "job.yaml"
    path.write_text(recipe_of(shared.burns).replaced({"name": "long"}).to_yaml())

    said("train", str(path), "--on", "local")
    said("train", str(path), "--on", "local", "--name", "other")
    said("train", str(path), "--on", "local", "--name", "no")

    assert handed == ["train long", "train other"]


def test_a_job_is_printed_with_the_same_command(said):
    status, out = said("train", "floods-prithvi", "--on", "slurm", "--gpus", "4", "--print")

    assert status == 0, out.err
    assert "train floods-prithvi" in out.out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("train", "eurosat", "--name", "es"), "'es' is no name for a model"),
        (("train", "eurosat", "--set", "data.bach_size=3"), "no key 'data.bach_size'"),
        (("pretrain", "eurosat"), "learns from labels"),
    ],
)
def test_what_a_job_would_refuse_is_not_handed_over(said, words, problem):
    status, out = said(*words, "--on", "slurm", "--print")

    assert status == 2
    assert problem in out.err


@pytest.mark.parametrize("text", ["", "a", "3-", "1,1", "-1"])
def test_seeds_that_are_none_are_refused(text):
    with pytest.raises(InvalidInputError):
        seeds_of(text)


def test_values_are_read_as_yaml():
    assert settings_of(["a.b=[1, x]", "c=1e-3"], None) == {"a.b": [1, "x"], "c": "1e-3"}
    with pytest.raises(InvalidInputError, match="sets nothing"):
        settings_of(["=3"], None)
