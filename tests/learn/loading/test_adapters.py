"""What PyTorch, TensorFlow and scikit-learn get, and that each learns the simulated truth."""

from itertools import islice
from types import SimpleNamespace

import numpy as np
import pytest

from registry.catalog.card.spec import AssetSpec
from registry.curate.features.computing import compute
from registry.curate.features.pixel_labels import PixelLabels, pixel_labels
from registry.errors import InvalidInputError
from registry.learn.loading import sklearn as rows
from registry.learn.loading.ahead import ahead
from registry.learn.loading.contract import of_version
from registry.learn.loading.conversion import ContractMismatchError
from registry.learn.loading.feed import feed
from tests.learn.loading.lakes import chip, lake_of, sample
from tests.learn.loading.simulated import simulated

torch = pytest.importorskip("torch")
torch.set_num_threads(1)

from registry.learn.loading.torch import loader  # noqa: E402 — needs torch


@pytest.fixture(scope="module")
def scars(tmp_path_factory):
    registry, ref = simulated(tmp_path_factory.mktemp("scars"), "burn-scars", samples=32)
    return registry, registry.resolve(ref)


@pytest.fixture(scope="module")
def ships(tmp_path_factory):
    registry, ref = simulated(tmp_path_factory.mktemp("ships"), "detection", samples=8, size=32)
    return registry, registry.resolve(ref)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, ungated):
    folder = tmp_path_factory.mktemp("scenes")
    registry, ref = simulated(folder, "classification", samples=96, published=ungated, seed=3)
    compute(registry, ref, ["spectral"])
    return registry, registry.resolve(ref)


def plain(batch):
    return {
        name: [one.tolist() for one in value] if isinstance(value, list) and name != "id"
        else value if name == "id" else value.numpy().tobytes()
        for name, value in batch.items()
    }  # fmt: skip


# ------------------------------------------------------------------------------------- PyTorch
def test_batches_have_the_keys_of_torchgeo(scars):
    _, version = scars
    batch = next(iter(loader(version, split="train", batch_size=4)))
    assert set(batch) == {"id", "image", "image_valid", "mask"}
    assert (batch["image"].shape, batch["image"].dtype) == ((4, 6, 16, 16), torch.float32)
    assert (batch["mask"].shape, batch["mask"].dtype) == ((4, 16, 16), torch.int64)
    assert batch["image_valid"].dtype == torch.bool


def test_training_samples_come_with_mean_0_and_deviation_1(scars):
    _, version = scars
    found = list(loader(version, split="train", batch_size=5, shuffle=False))
    image = torch.cat([batch["image"] for batch in found]).double()
    seen = torch.cat([batch["image_valid"] for batch in found])[:, None].expand_as(image)
    assert (image[~seen] == 0).all()
    for band in range(6):
        values = image[:, band][seen[:, band]]
        assert values.mean().item() == pytest.approx(0, abs=1e-4)
        assert values.std(correction=0).item() == pytest.approx(1, abs=1e-3)


def test_masks_are_the_truth_and_what_nobody_labelled_is_minus_1(scars):
    _, version = scars
    for batch in loader(version, batch_size=8, shuffle=False):
        for name, mask in zip(batch["id"], batch["mask"], strict=True):
            stored = version.chip(name, "mask")[0].astype(np.int64)
            assert set(np.unique(mask)) <= {-1, 0, 1}
            assert np.array_equal(mask == 1, stored == 1)


def test_boxes_are_lists_of_tensors(ships):
    _, version = ships
    batch = next(iter(loader(version, batch_size=8)))
    assert [box.shape[1:] for box in batch["bbox_xyxy"]] == [(4,)] * 8
    assert [len(box) for box in batch["bbox_xyxy"]] == [len(one) for one in batch["label"]]
    assert sum(map(len, batch["label"])) > 0


def test_a_loader_goes_on_where_another_stood(scars):
    _, version = scars
    said = {"split": "train", "batch_size": 3, "augment": ("flip", "noise"), "seed": 7}
    whole = [plain(batch) for batch in loader(version, **said)]
    for prefetch in (0, 2):
        first = loader(version, prefetch=prefetch, **said)
        batches = iter(first)
        begun = [plain(next(batches)) for _ in range(3)]
        state = first.state_dict()
        batches.close()
        second = loader(version, prefetch=prefetch, **said)
        second.load_state_dict(state)
        second.set_epoch(0)  # as Lightning does after it has loaded the state
        assert begun + [plain(batch) for batch in second] == whole
        assert second.state_dict()["epoch"] == 1


def test_epochs_differ_and_a_loader_that_is_left_early_begins_again(scars):
    _, version = scars
    found = loader(version, batch_size=4, seed=1)
    first = [batch["id"] for batch in islice(found, 2)]
    assert [batch["id"] for batch in islice(found, 2)] == first
    assert [batch["id"] for batch in found][:2] == first
    assert [batch["id"] for batch in found][:2] != first
    found.set_epoch(0)
    assert [batch["id"] for batch in found][:2] == first


def test_two_processes_see_what_one_sees(scars):
    _, version = scars
    said = {"batch_size": 4, "augment": ("flip", "rotate90", "noise"), "shuffle": False}

    def images(**ranks):
        return {
            name: image.numpy().tobytes()
            for batch in loader(version, **said, **ranks)
            for name, image in zip(batch["id"], batch["image"], strict=True)
        }

    both = images(rank=0, world=2) | images(rank=1, world=2)
    assert both == images()


def test_ranks_are_those_of_the_processes_that_train_together(scars, monkeypatch):
    _, version = scars
    for name, value in (("is_initialized", True), ("get_rank", 1), ("get_world_size", 2)):
        monkeypatch.setattr(torch.distributed, name, lambda value=value: value)
    own = [batch["id"] for batch in loader(version, batch_size=4, shuffle=False)]
    monkeypatch.undo()
    said = loader(version, batch_size=4, shuffle=False, rank=1, world=2)
    assert own == [batch["id"] for batch in said]
    assert len(own) == 4


def test_a_model_reads_its_own_bands_in_its_own_order(scars):
    _, version = scars
    wanted = of_version(version, bands=["S2", "N", "R"])
    found = loader(version, contract=wanted, batch_size=4, shuffle=False)
    all_bands = loader(version, batch_size=4, shuffle=False)
    few, whole = next(iter(found))["image"], next(iter(all_bands))["image"]
    assert torch.equal(few, whole[:, [5, 3, 2]])
    assert any("in the order SWIR_2, NIR_NARROW, RED" in one for one in found.said)
    assert found.contract == wanted


def test_a_version_that_gives_something_else_is_refused(scars, tmp_path):
    _, version = scars
    registry, ref = simulated(tmp_path, "burn-scars", samples=4, unit=None, scale=None, split=False)
    with pytest.raises(ContractMismatchError, match="nobody said what the numbers"):
        loader(registry.resolve(ref), contract=of_version(version))


def test_stored_values_are_given_where_nothing_is_to_be_normalised(scars):
    _, version = scars
    batch = next(iter(loader(version, normalise=False, batch_size=2, bands=["N"])))
    stored = version.chip(batch["id"][0], "image")[3:4].astype(np.float32)
    assert np.array_equal(batch["image"][0], stored)


def test_several_assets_keep_their_names_and_say_what_is_missing(tmp_path):
    def arrays(number):
        dem = {"dem": chip(number, bands=1, dtype=np.float32)} if number else {}
        return {"arrays": {"s2": chip(number)} | dem}

    registry, ref = lake_of(tmp_path, [sample(n, **arrays(n)) for n in range(4)])
    found = loader(registry.resolve(ref), assets=["s2", "dem"], batch_size=4, shuffle=False)
    batch = next(iter(found))
    assert {"image", "dem", "dem_valid", "image_valid"} <= set(batch)
    assert found.keys == {"s2": "image", "dem": "dem"}
    there = torch.tensor([name != "s00000" for name in batch["id"]])
    assert torch.equal(batch["dem_valid"].flatten(1).any(1), there)
    assert (batch["dem"][~there] == 0).all()


def test_series_come_with_times_and_padding_that_is_not_seen(tmp_path):
    def more(number):
        steps = 2 + number % 2
        months = {"s2": range(1, steps + 1)}
        return {"arrays": {"s2": np.stack([chip(number)] * steps)}, "months": months}

    registry, ref = lake_of(tmp_path, [sample(n, **more(n)) for n in range(2)])
    made = loader(registry.resolve(ref), frames=3, batch_size=2, shuffle=False, augment=["flip"])
    batch = next(iter(made))
    assert batch["image"].shape == (2, 3, 2, 8, 8)
    assert batch["image_valid"].flatten(2).any(2).tolist() == [[True, True, False], [True] * 3]
    assert batch["image"][0, 2].abs().sum() == 0
    assert batch["image_times"][0, 0].item() == 1577836800
    assert batch["image_times"][0, 2].isnan()


def test_an_asset_called_as_the_first_one_will_be_is_asked_for_first(tmp_path):
    more = {"arrays": {"s2": chip(1), "image": chip(1)}}
    registry, ref = lake_of(tmp_path, [sample(1, **more)])
    version = registry.resolve(ref)
    with pytest.raises(InvalidInputError, match="its key would be 'image'"):
        loader(version, assets=["s2", "image"])
    assert loader(version).keys == {"image": "image", "s2": "s2"}


def test_workers_of_a_data_loader_are_refused(scars):
    _, version = scars
    found = loader(version, batch_size=4)
    whole = torch.utils.data.DataLoader(found, batch_size=None)
    assert len(list(whole)) == len(found) == 8


def test_lightning_takes_a_loader_and_a_net_learns_where_it_burnt(scars):
    lightning = pytest.importorskip("lightning")
    _, version = scars
    torch.manual_seed(0)

    class Net(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = torch.nn.Sequential(
                torch.nn.Conv2d(6, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 1)
            )

        def training_step(self, batch):
            loss = torch.nn.functional.cross_entropy
            return loss(self.net(batch["image"]), batch["mask"], ignore_index=-1)

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), lr=0.02)

    train = loader(version, split="train", batch_size=8, augment=("flip", "rotate90"))
    net = Net()
    trainer = lightning.Trainer(
        max_epochs=25, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(net, train)
    assert train.feed.epoch == 25
    right = known = burnt = 0
    for batch in loader(version, split="test", batch_size=8, contract=train.contract):
        with torch.no_grad():
            answer = net.net(batch["image"]).argmax(1)
        labelled = batch["mask"] >= 0
        right += (answer == batch["mask"])[labelled].sum().item()
        known += labelled.sum().item()
        burnt += (batch["mask"] == 1).sum().item()
    majority = max(burnt, known - burnt) / known
    assert right / known > (1 + majority) / 2


# ------------------------------------------------------------------------------------- ahead
def test_items_made_ahead_come_in_order_and_errors_where_they_are_asked_for():
    def items():
        yield from range(5)
        raise ZeroDivisionError

    for depth in (0, 1, 3):
        found = []
        with pytest.raises(ZeroDivisionError):
            found.extend(ahead(items(), depth))
        assert found == list(range(5))


def test_a_thread_that_works_ahead_ends_when_nobody_asks_any_more():
    closed = []

    def items():
        try:
            yield from range(1000)
        finally:
            closed.append(True)

    found = ahead(items(), 2)
    assert next(found) == 0
    found.close()
    assert closed == [True]


# ---------------------------------------------------------------------------------- TensorFlow
@pytest.fixture(scope="module")
def tf():
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # whatever TensorFlow says of itself while it is imported
        return pytest.importorskip("tensorflow")


def test_tensorflow_gets_the_same_numbers_with_bands_last(tf, scars):
    from registry.learn.loading.tensorflow import dataset

    _, version = scars
    said = {"split": "train", "batch_size": 4, "seed": 5, "augment": ("flip",)}
    made = dataset(version, **said)
    assert made.element_spec["image"].shape.as_list() == [None, 16, 16, 6]
    assert made.cardinality().numpy() == 4
    both = zip(made, loader(version, **said), strict=True)
    for ours, theirs in both:
        assert [name.decode() for name in ours["id"].numpy()] == theirs["id"]
        assert np.array_equal(np.moveaxis(ours["image"].numpy(), -1, 1), theirs["image"])
        assert np.array_equal(ours["mask"].numpy(), theirs["mask"])


def test_boxes_are_ragged_in_tensorflow(tf, ships):
    from registry.learn.loading.tensorflow import dataset

    _, version = ships
    batch = next(iter(dataset(version, batch_size=8, shuffle=False)))
    other = next(iter(loader(version, batch_size=8, shuffle=False)))
    assert batch["bbox_xyxy"].row_lengths().numpy().tolist() == [len(b) for b in other["label"]]
    with pytest.raises(InvalidInputError, match="no pairs"):
        dataset(version, batch_size=8, supervised=True)


def test_keras_trains_from_a_dataset(tf, scenes):
    from registry.learn.loading.tensorflow import dataset

    registry, version = scenes
    pairs = dataset(version, split="train", batch_size=16, supervised=True, registry=registry)
    tf.keras.utils.set_random_seed(0)
    net = tf.keras.Sequential([
        tf.keras.layers.GlobalAveragePooling2D(), tf.keras.layers.Dense(8),
    ])  # fmt: skip
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(tf.keras.optimizers.Adam(0.1), loss, metrics=["accuracy"], jit_compile=False)
    history = net.fit(pairs, epochs=6, verbose=0, shuffle=False).history
    assert history["loss"][-1] < 0.6 * history["loss"][0]


# -------------------------------------------------------------------------------- scikit-learn
def test_logistic_regression_learns_the_classes_of_scenes(scenes):
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    registry, version = scenes
    X, y = rows.matrix(version, split="train", registry=registry)  # noqa: N806 — its own word
    assert (len(X), X.dtype, y.dtype) == (48, np.float64, np.int64)
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=500))
    model.fit(X, y)
    test = rows.table(version, split="test", registry=registry)
    most = np.bincount(y).max() / len(y)
    assert model.score(test.X, test.y) > most + 0.3
    assert test.classes == version.spec.classes
    assert len(test.names) == test.X.shape[1] == X.shape[1]
    labels = dict(
        zip(*version.table("samples").select(["id", "label"]).to_pydict().values(), strict=True)
    )
    assert [labels[name] for name in test.samples] == [[test.classes[n]] for n in test.y]


def test_a_matrix_of_detection_counts_objects(ships, monkeypatch):
    _, version = ships
    owners = version.table("annotations").column("sample").to_pylist()
    ids = sorted(version.table("samples").column("id").to_pylist())
    values = np.arange(2.0 * len(ids)).reshape(-1, 2)
    made = SimpleNamespace(samples=tuple(ids), names=("a.x", "a.y"), values=values)
    monkeypatch.setattr(rows, "sets_of", lambda *_: [])
    monkeypatch.setattr(rows, "get_features", lambda *_: None)
    monkeypatch.setattr(rows, "as_matrix", lambda _: made)
    found = rows.table(version, registry=SimpleNamespace())
    assert found.y.tolist() == [owners.count(name) for name in found.samples]
    assert found.y.sum() == len(owners) > 0
    assert (found.y.dtype, found.classes) == (np.int64, ())


# --------------------------------------------------------------------------------------- masks
def test_masks_of_quantities_stay_quantities(tmp_path):
    card = {"assets": {"mask": AssetSpec(role="labels", unit="t/ha", scale=0.5, offset=1.0)}}

    def more(number):
        mask = np.array([[[2, 255]]], np.uint8)
        return {"arrays": {"s2": chip(number, side=2)[:, :1], "mask": mask}, "nodata": 255.0}

    registry, ref = lake_of(tmp_path, [sample(n, **more(n)) for n in range(2)], spec=card)
    version = registry.resolve(ref)
    assert pixel_labels(version)["mask"].quantity
    batch = next(iter(feed(version, batch_size=2)))
    assert batch["mask"].dtype == np.float32
    assert np.array_equal(batch["mask"], [[[2.0, np.nan]]] * 2, equal_nan=True)


def test_values_are_classes_in_the_order_of_the_card():
    mask = PixelLabels(
        asset="m", classes=("a", "b"), values={-5: 1, 300: 0}, nodata=frozenset({7.0})
    )
    stored = np.array([[[[-5, 300, 7, 8]]]])
    for dtype in (np.int16, np.int32, np.float32, np.float64):
        assert mask.apply(stored.astype(dtype)).tolist() == [[[1, 0, -1, -1]]]
    assert "nodata 7" in mask.said


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", "<u2", ">i2", ">u2"])
def test_small_numbers_become_the_classes_that_large_ones_do(dtype):
    named = {-32768: 0, -128: 1, -5: 1, 0: 1, 7: 0, 200: 0, 32767: 1, 65535: 1, 70000: 0}
    mask = PixelLabels(
        asset="m", classes=("a", "b"), values=named, nodata=frozenset({7.0, -3.0, 0.5, 1e9})
    )
    limits = np.iinfo(dtype)
    every = np.arange(limits.min, limits.max + 1).reshape(1, 16, -1)

    found = mask.apply(every.astype(dtype))

    assert np.array_equal(found, mask.apply(every.astype(np.int64)))


def test_a_value_that_is_no_class_is_refused_by_name():
    mask = PixelLabels(asset="m", classes=("sea", "ship"))
    with pytest.raises(
        InvalidInputError, match="of sample 'b' holds 255, and there are 2"
    ) as caught:
        mask.apply(np.array([[[[0, 1]]], [[[1, 255]]]], np.uint8), ids=("a", "b"))
    assert "values: {0: sea" in caught.value.hint
    kept = PixelLabels(asset="m", classes=("sea", "ship"), nodata=frozenset({255.0}))
    assert kept.apply(np.array([[[1, 255]]], np.uint8)).tolist() == [[[1, -1]]]
