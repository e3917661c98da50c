"""What is learned of a published version, started and seen in Dagster."""

from dataclasses import replace

import pytest
import yaml

from assets.learning import POOL, WhereConfig, resources
from registry.errors import InvalidInputError
from registry.learn.compute.contract import State
from registry.learn.compute.records import Records

TINY = {
    "name": "tiny",
    "task": "segmentation",
    "heads": [{"task": "segmentation"}],
    "architecture": {"factory": "lab", "args": {"name": "unet", "width": 4, "depth": 2}},
    "data": {"ref": "parcels", "batch_size": 4, "threads": 1, "absent_classes": "allow"},
    "epochs": 1,
}


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_JOBS", str(tmp_path / "jobs"))
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "compute.yaml").write_text("desk: {kind: local}\n", "utf-8")
    monkeypatch.setenv("EOLAB_COMPUTE", str(tmp_path / "compute.yaml"))


@pytest.fixture
def parcels(ungated, lake):
    """A published dataset with a split, as somebody else may have made it."""
    from registry.learn.training.recipe import Smoke
    from registry.learn.training.simulated import spec_of, write

    said = Smoke(task="burn-scars", samples=16, size=16)
    subsets = ("train", "train", "validate", "test")
    draft = lake.open().create(replace(spec_of(said, seed=1), name="parcels"))
    ungated(lake.open(), draft, lambda root: write(root, said, seed=1, subsets=subsets))


@pytest.fixture
def recipe(tmp_path):
    file = tmp_path / "tiny.yaml"
    file.write_text(yaml.safe_dump(TINY), "utf-8")
    return str(file)


def shown(result, asset):
    [event] = result.asset_materializations_for_node(asset)
    return event.metadata


def test_a_model_and_its_scores_are_made_as_jobs_and_shown(
    parcels, materialise, lake, recipe, tmp_path
):
    done = materialise(
        "parcels",
        selection=["trained_model", "evaluation"],
        trained_model={"recipe": recipe, "on": "desk"},
        evaluation={"options": ["--resamples", "50"]},
    )

    assert done.success
    said = shown(done, "trained_model")
    assert said["model"].value == "tiny@v1"
    assert said["curves"].value.startswith("![curves.png](data:image/png;base64,")
    assert said["confusion"].value.startswith("![confusion.png](data:image/png;base64,")
    scores = shown(done, "evaluation")
    assert scores["model"].value == "tiny@v1"
    assert "| iou |" in scores["scores"].value
    jobs = Records(tmp_path / "jobs").all()
    assert [(job.executor, job.state) for job in jobs] == [
        ("local", State.SUCCEEDED), ("desk", State.SUCCEEDED),
    ]  # fmt: skip


def test_a_job_that_fails_fails_the_run_with_its_last_lines(parcels, materialise, capfd):
    failed = materialise(
        "parcels", selection=["trained_model"], trained_model={"recipe": "no-such-recipe"}
    )

    assert not failed.success
    assert "no-such-recipe" in "".join(capfd.readouterr())


def test_what_learns_shares_one_pool_and_says_where_it_runs():
    from assets.definitions import everything

    learning = {
        asset.key.to_user_string(): asset
        for asset in everything()
        if asset.key.to_user_string() in {"trained_model", "evaluation", "floor", "predictions"}
    }

    assert len(learning) == 4
    assert all(asset.op.pool == POOL for asset in learning.values())
    assert WhereConfig().on == "local"
    for asset in learning.values():
        fields = asset.op.config_schema.config_type.fields
        assert {"on", "gpus", "nodes", "processes", "minutes"} <= set(fields)


def test_the_tag_gpu_asks_for_processors():
    assert resources({"gpu": "2"}, WhereConfig()).gpus == 2
    assert resources({"gpu": "2"}, WhereConfig(gpus=4)).gpus == 4
    assert resources({}, WhereConfig()).gpus == 0
    with pytest.raises(InvalidInputError, match="gpu='a100'"):
        resources({"gpu": "a100"}, WhereConfig())


def test_only_training_is_shared_by_several_processes():
    assert resources({"gpu": "2"}, WhereConfig()).processes_per_node == 2
    assert resources({"gpu": "2"}, WhereConfig(), shares=False).processes_per_node == 1


def test_a_split_is_made_beside_the_version_with_what_leaks(parcels, materialise, lake):
    config = {"name": "half", "shares": "train=0.5,test=0.5"}
    done = materialise("parcels", selection=["split"], split=config)
    said = shown(done, "split")
    assert (said["train"].value, said["test"].value) == (8, 8)
    assert "leaks of parcels" in said["leaks"].value
    assert "splits/half" in lake.newest("parcels").tables()
