"""What cannot be learnt from is said before anything starts, or names the sample."""

from dataclasses import replace

import pyarrow as pa
import pytest
import torch

from registry.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    RegistryError,
    RejectedError,
)
from registry.learn.loading.conversion import ContractMismatchError
from registry.learn.loading.fitting import RaggedBatchError
from registry.learn.models import weights
from registry.learn.training import fit, train
from registry.learn.training.errors import DeviceLostError
from registry.learn.training.material import gather
from registry.learn.training.recipe import Smoke
from registry.learn.training.simulated import spec_of, write
from registry.tables import store
from registry.tables.schemas import PIXELS


@pytest.fixture
def run(shared, tmp_path):
    def made(recipe, **arguments):
        return fit(shared.registry, recipe, seed=0, workdir=tmp_path / "work", **arguments)

    return made


def test_a_recipe_without_data_says_how_to_name_them(run, recipe_of):
    with pytest.raises(InvalidInputError, match="--data"):
        run(recipe_of(None))


def test_a_dataset_that_is_not_there_is_named(shared, recipe_of):
    with pytest.raises(NotFoundError, match="nowhere"):
        train(shared.registry, recipe_of("nowhere@v1"))


@pytest.mark.parametrize(
    ("subsets", "said"),
    [(("train",), "no sample to validate on"), (("validate", "test"), "'train' .*has no sample")],
)
def test_an_empty_subset_is_said_at_once(shared, simulated, recipe_of, run, subsets, said):
    name = "-".join(["only", *subsets])
    ref = simulated(shared.registry, name, subsets=subsets, task="burn-scars", samples=6, size=16)

    with pytest.raises(InvalidInputError, match=said):
        run(recipe_of(ref))


def test_a_class_that_no_training_sample_has_is_named(shared, recipe_of, run):
    recipe = recipe_of(shared.scenes, task="classification")
    strict = recipe.replaced({
        "heads.0.classes": [*shared.registry.resolve(shared.scenes).spec.classes, "Volcano"],
        "data.absent_classes": "stop",
    })  # fmt: skip

    with pytest.raises(RejectedError, match="Volcano"):
        run(strict)


def test_a_version_without_masks_cannot_be_segmented(shared, recipe_of, run):
    with pytest.raises(InvalidInputError, match="no mask or raster for segmentation"):
        run(recipe_of(shared.scenes))


def test_a_band_that_is_not_there_is_named_with_those_that_are(shared, recipe_of, run):
    with pytest.raises(InvalidInputError, match="no band 'THERMAL'"):
        run(recipe_of(shared.burns, **{"data.bands": ["RED", "THERMAL"]}))


def test_versions_of_other_bands_do_not_mix(shared, simulated, recipe_of, run):
    pictures = simulated(
        shared.registry, "pictures", task="classification", layout="rgb", samples=8, size=16
    )
    recipe = recipe_of(
        [shared.burns, pictures], task="reconstruction",
        **{"architecture.args": {"name": "vit", "width": 16, "depth": 2, "heads": 2}},
    )  # fmt: skip

    with pytest.raises(ContractMismatchError):
        run(recipe)


def test_weights_that_read_other_bands_are_refused(shared, recipe_of, run):
    parent = train(
        shared.registry,
        recipe_of(shared.burns, steps=1, **{"data.bands": ["RED", "GREEN", "BLUE"]}),
        name="burns-colours",
    )

    for bands in (["BLUE", "GREEN", "RED"], None):
        with pytest.raises(ContractMismatchError, match=r"burns-colours@v1 reads bands RED"):
            run(recipe_of(shared.burns, **{"init.model": parent.ref, "data.bands": bands}))


def test_weights_that_fit_by_accident_are_refused(shared, recipe_of, run, tmp_path):
    weights.write({"bias": torch.zeros(8)}, tmp_path / "theirs.safetensors")
    recipe = recipe_of(shared.burns, **{"init.weights": str(tmp_path / "theirs.safetensors")})

    with pytest.raises(InvalidInputError, match=r"encoder, theirs\.safetensors has 0"):
        run(recipe)


def test_a_device_whose_memory_is_too_small_says_what_to_do(shared, recipe_of, run, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    monkeypatch.setattr("registry.learn.training.tasks.Task.losses", full)
    with pytest.raises(DeviceLostError, match=r"smaller data\.batch_size"):
        run(recipe_of(shared.burns))


def test_a_device_that_is_lost_says_that_the_run_goes_on(shared, recipe_of, run, monkeypatch):
    def lost(*_):
        raise torch.AcceleratorError("CUDA error: device-side assert triggered")

    monkeypatch.setattr("registry.learn.training.tasks.Task.losses", lost)
    with pytest.raises(DeviceLostError, match="goes on from its last checkpoint"):
        run(recipe_of(shared.burns))


def test_the_same_run_does_not_go_on_twice(shared, recipe_of, tmp_path):
    import fcntl

    with (tmp_path / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="another process runs"):
            train(shared.registry, recipe_of(shared.burns), workdir=tmp_path)


def test_processes_that_cannot_share_a_batch_are_told(shared, recipe_of):
    with pytest.raises(InvalidInputError, match="4 processes cannot share batches of 6"):
        gather(shared.registry, recipe_of(shared.burns), seed=0, rank=0, world=4)


def test_a_figure_that_is_not_measured_cannot_be_watched(shared, recipe_of, run):
    with pytest.raises(InvalidInputError, match="no figure 'dice'"):
        run(recipe_of(shared.burns, epochs=1, steps=1, **{"stop.monitor": "dice"}))


def test_freezing_what_learnt_nothing_is_refused(shared, recipe_of, run):
    with pytest.raises(InvalidInputError, match="learnt nothing"):
        run(recipe_of(shared.burns, **{"init.freeze": True}))


def _damaged(shared, ungated, asset):
    """Return a version of whose training samples one has noise in place of packed pixels."""
    said = Smoke(task="burn-scars", samples=8, size=16)
    spec = replace(spec_of(said), name=f"damaged-{asset}")

    def lay(root):
        write(root, said, subsets=("train", "validate"))
        rows = store.read(root, "pixels").to_pylist()
        assets = store.read(root, "assets").to_pylist()
        broken = next(row["pixels"] for row in assets if row["asset"] == asset)
        for row in rows:
            if row["sha256"] == broken:
                row["data"] = b"\x00" * len(row["data"])
        store.overwrite(root, PIXELS, pa.Table.from_pylist(rows, PIXELS.arrow))

    version = ungated(shared.registry, shared.registry.create(spec), lay)
    return f"{version.dataset}@{version.tag}"


@pytest.fixture(scope="module")
def damaged(shared, ungated):
    return _damaged(shared, ungated, "image")


def test_a_mask_that_stands_in_for_a_broken_one_is_counted_once(shared, ungated, recipe_of):
    ref = _damaged(shared, ungated, "mask")
    recipe = recipe_of(ref, **{"data.batch_size": 2, "data.on_error": "skip"})

    (spread,) = gather(shared.registry, recipe, seed=0).spreads.values()

    assert spread.counts.sum() == 3 * 16 * 16  # of four, one cannot be read


def test_a_chip_that_cannot_be_read_is_named(damaged, recipe_of, run):
    with pytest.raises(RegistryError, match=r"\w+_0000_\d+"):
        run(recipe_of(damaged, **{"data.batch_size": 2}))


def test_a_chip_that_cannot_be_read_is_skipped_if_asked(damaged, recipe_of, run):
    recipe = recipe_of(damaged, epochs=1, **{"data.batch_size": 2, "data.on_error": "skip"})

    assert run(recipe).fitted.steps == 2


def test_a_sample_that_stands_in_for_a_broken_one_is_measured_once():
    from registry.learn.training.mixing import Once

    batches = [
        {"id": ["a", "b"], "image": torch.tensor([1, 2])},
        {"id": ["a", "c"], "image": torch.tensor([1, 3])},
        {"id": ["c"], "image": torch.tensor([3])},
    ]

    measured = [(one["id"], one["image"].tolist()) for one in Once(batches)]

    assert measured == [(["a", "b"], [1, 2]), (["c"], [3])]


def test_processes_that_share_permuted_labels_permute_them_alike(shared, recipe_of):
    recipe = recipe_of(shared.scenes, task="classification", **{"data.permute_labels": True})

    def labels(rank, world):
        train = gather(shared.registry, recipe, seed=0, rank=rank, world=world).train
        train.set_epoch(0)
        pairs = [zip(one["id"], one["label"].tolist(), strict=True) for one in train]
        return {name: label for pair in pairs for name, label in pair}

    assert labels(0, 2) | labels(1, 2) == labels(0, 1)


def test_classes_in_another_order_than_the_cards_are_refused(shared, recipe_of, run):
    for task, ref in (("segmentation", shared.burns), ("classification", shared.scenes)):
        classes = shared.registry.resolve(ref).spec.classes

        with pytest.raises(InvalidInputError, match="numbers its classes"):
            run(recipe_of(ref, task=task, **{"heads.0.classes": [*reversed(classes)]}))


def test_samples_of_several_sizes_are_learnt_from_where_they_are_cut(shared, recipe_of, run):
    said, large = (Smoke(task="burn-scars", samples=4, size=size) for size in (16, 24))
    draft = shared.registry.create(replace(spec_of(said), name="ragged"))
    with draft.edit("two sizes") as root:
        write(root, said, subsets=("train", "validate"))
        write(root, large, seed=9, subsets=("train", "validate"))
    recipe = recipe_of(f"ragged@{draft.branch}", epochs=1, **{"data.batch_size": 2})

    with pytest.raises(RaggedBatchError):
        run(recipe)
    assert run(recipe.replaced({"data.crop": [16, 16]})).fitted.steps == 2
