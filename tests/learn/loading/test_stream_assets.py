"""Several assets, series, crops and labels in one batch."""

import numpy as np
import pytest
import shapely

from registry.catalog.card.spec import AssetSpec
from registry.catalog.version import Version
from registry.errors import InvalidInputError, NotFoundError
from registry.learn.loading.feed import feed
from registry.learn.loading.fitting import RaggedBatchError
from registry.learn.loading.stream import stream
from tests.learn.loading.lakes import chip, lake_of, sample
from tests.learn.loading.simulated import simulated

UP = [10.0, 0.0, 400_000.0, 0.0, -10.0, 600_000.0]


def _fused(number, *, radar=True):
    arrays = {"mask": np.full((1, 8, 8), number % 3, np.uint8), "s2": chip(number)}
    if radar:
        arrays["s1"] = chip(number, bands=1, side=4, dtype=np.float32)
    return sample(number, arrays=arrays)


def test_assets_lie_side_by_side_and_lacking_ones_are_zeros(tmp_path):
    registry, ref = lake_of(
        tmp_path / "lake",
        [_fused(number, radar=number % 3 > 0) for number in range(12)],
        spec={
            "task": "segmentation",
            "assets": {"mask": AssetSpec(role="labels", values={0: "no", 1: "yes", 2: "so"})},
        },
    )
    found = stream(ref, registry=registry, batch_size=5)
    assert found.assets == ("s1", "s2", "mask")  # data first
    assert found.classes == ("no", "yes", "so")
    for _ in range(2):  # buffers are used again
        for batch in found:
            for at, name in enumerate(batch.ids):
                number = int(name[1:])
                assert batch.valid["s1"][at] == (number % 3 > 0)
                wanted = chip(number, bands=1, side=4, dtype=np.float32) * batch.valid["s1"][at]
                assert (batch.arrays["s1"][at] == wanted).all()
                assert (batch.arrays["s2"][at] == chip(number)).all()
                assert (batch.arrays["mask"][at] == number % 3).all()
            assert batch.valid["s2"].all()
            assert not batch.times


def test_assets_come_in_the_order_asked_for_and_no_others(tmp_path):
    registry, ref = lake_of(tmp_path / "lake", [_fused(number) for number in range(3)])
    found = stream(ref, registry=registry, assets=["mask", "s2"])
    assert tuple(next(iter(found)).arrays) == ("mask", "s2")


def test_samples_without_any_of_the_assets_are_left_out_and_that_is_said(tmp_path):
    samples = [_fused(number, radar=number > 1) for number in range(6)]
    registry, ref = lake_of(tmp_path / "lake", samples)
    found = stream(ref, registry=registry, assets=["s1"])
    assert len(found.ids) == 4
    said = f"2 samples of {ref} have none of s1 and are left out: s00000, s00001"
    assert found.warnings == found.left_out == (said,)


def _gaps(number):
    """Return a sample that lacks its image, its radar, both or none, by what its number leaves."""
    found = _fused(number)
    for at, name in enumerate(("s2", "s1")):
        if number >> at & 1:
            del found["arrays"][name]
    return found


def test_a_mask_does_not_come_without_any_image(tmp_path):
    registry, ref = lake_of(
        tmp_path / "lake", [_gaps(number) for number in range(8)],
        splits={"mine": {f"s{number:05d}": "train" for number in range(8)}},
    )  # fmt: skip
    found = stream(ref, registry=registry, split="train", assets=["s2", "mask"])
    assert sorted(found.ids.to_pylist()) == ["s00000", "s00002", "s00004", "s00006"]
    (said,) = found.left_out
    assert said == (
        f"4 samples of train of splits/mine in {ref} have none of s2 and are left out: "
        "s00001, s00003, s00005, …"
    )
    whole = stream(ref, registry=registry)  # those that lack one of two images stay
    assert sorted(whole.ids.to_pylist()) == [f"s{number:05d}" for number in (0, 1, 2, 4, 5, 6)]
    assert not stream(ref, registry=registry, assets=["mask"]).warnings
    needed = stream(ref, registry=registry, assets=["mask"], need=["s1"])
    assert sorted(needed.ids.to_pylist()) == ["s00000", "s00001", "s00004", "s00005"]


def test_who_is_left_out_changes_what_a_stream_is(tmp_path):
    registry, ref = lake_of(tmp_path / "lake", [_gaps(number) for number in range(8)])
    told = {"registry": registry, "batch_size": 2}
    some = stream(ref, assets=["s2", "mask"], **told)
    kept = stream(ref, assets=["s2", "mask"], ids=some.ids.to_pylist(), **told)
    assert [one.ids for one in some] == [one.ids for one in kept]
    with pytest.raises(InvalidInputError, match="stream with samples="):
        stream(ref, assets=["mask"], **told).resume(some.state())


def test_a_subset_without_any_image_is_refused_by_name(tmp_path):
    registry, ref = lake_of(
        tmp_path / "lake", [_fused(0), _gaps(1), _fused(2)],
        splits={"mine": {"s00000": "train", "s00001": "test", "s00002": "train"}},
    )  # fmt: skip
    where = f"no sample of test of splits/mine in {ref} has"
    with pytest.raises(InvalidInputError, match=f"{where} any of dem, s2") as caught:
        stream(ref, registry=registry, split="test", assets=["mask"], need=["dem", "s2"])
    assert "data.assets" in caught.value.hint
    with pytest.raises(NotFoundError, match=f"{where} an asset 's2'") as caught:
        stream(ref, registry=registry, split="test", assets=["s2", "mask"])
    assert "there are mask, s1; " in caught.value.hint
    assert "data.assets" in caught.value.hint


def _series(number, steps):
    arrays = np.stack([chip(10 * number + step) for step in range(steps)])
    return sample(
        number, arrays={"s2": arrays}, months={"s2": range(1, steps + 1)}, target=float(number)
    )


def test_series_are_thinned_and_padded_with_their_times(tmp_path):
    registry, ref = lake_of(
        tmp_path / "lake",
        [_series(0, 2), _series(1, 3), _series(2, 6)],
        spec={"task": "regression"},
    )
    found = stream(ref, registry=registry, frames=3, shuffle=False)
    (batch,) = found
    assert batch.arrays["s2"].shape == (3, 3, 2, 8, 8)
    assert batch.valid["s2"].tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert (batch.arrays["s2"][0, 2] == 0).all()
    for at, step, frame in [(0, 1, 1), (1, 2, 2), (2, 2, 1), (2, 4, 2)]:
        assert (batch.arrays["s2"][at, frame] == chip(10 * at + step)).all()
        assert batch.times["s2"][at, frame] == np.datetime64(f"2020-0{step + 1}-01")
    assert np.isnat(batch.times["s2"][0, 2])
    assert batch.target.tolist() == [0, 1, 2]


def test_series_of_several_lengths_ask_for_frames(tmp_path):
    registry, ref = lake_of(tmp_path / "lake", [_series(0, 2), _series(1, 3)])
    with pytest.raises(
        RaggedBatchError, match=r"differ in time steps: 's00000'.*'s00001'"
    ) as caught:
        stream(ref, registry=registry)
    assert "frames=3" in caught.value.hint


def _mixed(number):
    side = 8 if number % 2 else 12
    return sample(
        number,
        arrays={"s2": chip(number, side=side), "dem": chip(number, bands=1, side=side // 2)},
        nodata=0.0,
    )


def test_shapes_that_differ_are_refused_with_the_remedy(tmp_path):
    registry, ref = lake_of(tmp_path / "lake", [_mixed(number) for number in range(4)])
    with pytest.raises(RaggedBatchError) as caught:
        stream(ref, registry=registry, assets=["s2"])
    assert caught.value.problem == (
        "arrays of asset 's2' differ in pixels: 's00001' is (2, 8, 8) of uint16, "
        "'s00000' is (2, 12, 12) of uint16"
    )
    assert caught.value.hint == (
        "cut them alike, such as crop=(8, 8); on the command line --set data.crop=[8,8] of a "
        "training, --crop 8 elsewhere"
    )


@pytest.mark.parametrize("shuffle", [True, False])
def test_crops_cut_all_assets_at_the_same_place(tmp_path, shuffle):
    registry, ref = lake_of(tmp_path / "lake", [_mixed(number) for number in range(10)])
    found = stream(ref, registry=registry, assets=["s2", "dem"], crop=(6, 4), shuffle=shuffle)
    begins = set()
    for _ in range(3):
        (batch,) = found
        assert batch.arrays["s2"].shape == (10, 2, 6, 4)
        assert batch.arrays["dem"].shape == (10, 1, 3, 2)
        for at, name in enumerate(batch.ids):
            number = int(name[1:])
            side = 8 if number % 2 else 12
            first = int(batch.arrays["s2"][at, 0, 0, 0]) - 1 - 200 * number
            y, x = divmod(first, side)
            whole = chip(number, side=side)
            assert (batch.arrays["s2"][at] == whole[:, y : y + 6, x : x + 4]).all()
            half = chip(number, bands=1, side=side // 2)
            assert (
                batch.arrays["dem"][at] == half[:, y // 2 : y // 2 + 3, x // 2 : x // 2 + 2]
            ).all()
            begins.add((number, y, x))
            if not shuffle:
                assert (y, x) == ((side - 6) // 2 // 2 * 2, (side - 4) // 2)
    assert len(begins) == 10 if not shuffle else len(begins) > 12


def test_crops_are_the_same_whatever_the_ranks(tmp_path):
    registry, ref = lake_of(tmp_path / "lake", [_mixed(number) for number in range(8)])
    told = {"registry": registry, "assets": ["s2"], "crop": (4, 4), "seed": 4}
    alone = _by_id(stream(ref, **told))
    shared = _by_id(stream(ref, rank=0, world=2, **told)) | _by_id(
        stream(ref, rank=1, world=2, **told)
    )
    assert alone.keys() == shared.keys()
    assert all((alone[name] == shared[name]).all() for name in alone)


def _by_id(found):
    return {
        name: array.copy()
        for batch in found
        for name, array in zip(batch.ids, batch.arrays["s2"], strict=True)
    }


@pytest.mark.parametrize("shuffle", [True, False])
def test_no_crop_shows_nothing_but_nodata(tmp_path, shuffle):
    samples = []
    for number in range(20):
        array = np.zeros((2, 16, 16), np.uint16)
        array[:, number % 16, (5 * number) % 16] = 7
        samples.append(sample(number, arrays={"s2": array}, nodata=0.0))
    registry, ref = lake_of(tmp_path / "lake", samples)
    for batch in stream(ref, registry=registry, crop=(3, 3), shuffle=shuffle):
        assert (batch.arrays["s2"] == 7).any(axis=(1, 2, 3)).all()


def test_a_crop_that_a_coarser_asset_cannot_follow_is_refused(tmp_path):
    registry, ref = lake_of(tmp_path / "lake", [_mixed(number) for number in range(2)])
    with pytest.raises(InvalidInputError, match="pixels of asset 'dem'") as caught:
        stream(ref, registry=registry, assets=["s2", "dem"], crop=(5, 5))
    assert caught.value.hint == "use multiples of 2"


def test_assets_by_reference_are_left_out_or_refused_by_name(tmp_path):
    samples = [sample(0), sample(1, arrays={"s2": chip(1), "far": None})]
    registry, ref = lake_of(tmp_path / "lake", samples)
    found = stream(ref, registry=registry)
    assert found.assets == ("s2",)
    assert found.warnings == ("assets by reference are left out: far",)
    with pytest.raises(InvalidInputError, match="'far' of sample 's00001' is kept by reference"):
        stream(ref, registry=registry, assets=["far"])


def _box(number, name, shape, **more):
    return {
        "id": f"a{number}", "sample": name, "geometry": shapely.to_wkb(shape), "frame": "pixel",
        "category": "ship",
    } | more  # fmt: skip


def test_outlines_become_boxes_in_pixels(tmp_path):
    ground = shapely.box(400_020, 599_950, 400_060, 599_990)
    registry, ref = lake_of(
        tmp_path / "lake",
        [sample(number, transform=UP) for number in range(3)],
        spec={"task": "detection", "classes": ("boat", "ship", "buoy")},
        annotations=[
            _box(1, "s00000", shapely.Polygon([(1, 2), (5, 2), (3, 6.5)])),
            _box(2, "s00000", ground, frame="crs", category="boat"),
            _box(3, "s00000", shapely.box(0, 0, 4, 4), status="rejected"),
            _box(4, "s00001", shapely.box(-3, 6, 3, 20)),
            _box(5, "s00001", shapely.box(50, 60, 55, 65)),
            _box(6, "s00001", shapely.box(1, 1, 2, 2), category="whale"),
            _box(7, "s00001", shapely.box(1, 1, 2, 2), iscrowd=True),
        ],
    )
    found = stream(ref, registry=registry, shuffle=False)
    (batch,) = found
    one, two, three = batch.boxes
    assert one.corners.tolist() == [[1, 2, 5, 6.5], [2, 1, 6, 5]]
    assert one.classes.tolist() == [1, 0]
    assert two.corners.tolist() == [[0, 6, 3, 8]]
    assert three.corners.shape == (0, 4)
    assert found.missing_classes == ("buoy",)
    assert found.warnings == (
        f"no sample of {ref} has class buoy",
        "objects of no class of the card are left out: whale",
        "1 objects without a box on the pixels of their sample are left out",
    )
    (cropped,) = stream(ref, registry=registry, shuffle=False, crop=(4, 4))  # begins at 2, 2
    assert cropped.boxes[0].corners.tolist() == [[0, 0, 3, 4], [0, 0, 4, 3]]
    assert not len(cropped.boxes[1].corners)


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        ([["a"], ["b"], []], {"label": [0, 1, -1]}),
        ([["a"], ["a", "b"], []], {"labels": [[1, 0], [1, 1], [0, 0]]}),
    ],
)
def test_labels_are_one_number_or_one_column_a_class(tmp_path, labels, wanted):
    registry, ref = lake_of(
        tmp_path / "lake",
        [sample(number, label=label) for number, label in enumerate(labels)],
        spec={"task": "classification"},
    )
    (batch,) = stream(ref, registry=registry, shuffle=False)
    for name in ("label", "labels"):
        found = getattr(batch, name)
        assert (None if found is None else found.tolist()) == wanted.get(name)


def test_classes_are_those_of_the_version_and_missing_ones_are_said(tmp_path):
    registry, ref = lake_of(
        tmp_path / "lake",
        [sample(number, label="abc"[number], target=0.5) for number in range(3)],
        splits={"mine": {"s00000": "train", "s00001": "train", "s00002": "test"}},
    )
    found = stream(ref, registry=registry, split="train", shuffle=False, labels=("label", "target"))
    assert found.classes == ("a", "b", "c")
    assert found.missing_classes == ("c",)
    assert found.warnings == (f"no sample of train of splits/mine in {ref} has class c",)
    (batch,) = found
    assert batch.label.tolist() == [0, 1]
    assert batch.target.tolist() == [0.5, 0.5]


def test_folds_are_held_out_one_by_one(tmp_path):
    registry, ref = lake_of(
        tmp_path / "lake",
        [sample(number) for number in range(6)],
        splits={"folds": {f"s{number:05d}": ("train", number % 3) for number in range(6)}},
    )
    for fold in range(3):
        told = {"registry": registry, "fold": fold}
        held = stream(ref, split="test", **told).ids.to_pylist()
        assert held == [f"s{fold:05d}", f"s{fold + 3:05d}"]
        assert not set(held) & set(stream(ref, split="train", **told).ids.to_pylist())


def test_several_splits_ask_which(tmp_path):
    registry, ref = lake_of(
        tmp_path / "lake",
        [sample(0)],
        splits={"mine": {"s00000": "train"}, "yours": {"s00000": "train"}},
    )
    with pytest.raises(InvalidInputError, match="has the splits mine, yours, and none is called"):
        stream(ref, registry=registry, split="train")
    assert len(stream(ref, registry=registry, split="train", splits="yours")) == 1


def test_a_stream_says_what_its_numbers_mean_by_its_training_samples(tmp_path):
    registry, ref = simulated(tmp_path / "lake", "segmentation", samples=8)
    held, trained = (stream(ref, registry=registry, split=one) for one in ("test", "train"))
    assert held.assets == ("image", "mask")
    assert [one.asset for one in held.contract.inputs] == ["image"]
    assert held.contract == trained.contract
    assert held.contract.inputs[0].bands[0].mean is not None


def test_presences_of_classes_stay_beside_the_one_class_of_a_sample(tmp_path):
    registry, ref = lake_of(
        tmp_path / "lake",
        [sample(number, label=label) for number, label in enumerate([["a"], ["b"]])],
        spec={"task": "classification"},
    )
    (batch,) = feed(
        ref, registry=registry, shuffle=False, labels=("label", "labels"), normalise=False
    )
    assert batch["label"].tolist() == [0, 1]
    assert batch["labels"].tolist() == [[1, 0], [0, 1]]


def test_segmentation_without_a_mask_is_said_with_what_to_do(tmp_path):
    outline = {"geometry": shapely.to_wkb(shapely.box(1, 1, 4, 4)), "frame": "pixel"}
    registry, ref = lake_of(
        tmp_path / "lake", [sample(n) for n in range(3)],
        annotations=[outline | {"id": "1", "sample": "s00000", "category": "boat"}],
        spec={"task": "segmentation", "classes": ("boat",)},
    )  # fmt: skip
    (said,) = stream(ref, registry=registry).warnings
    assert said == (
        "the card says segmentation, and no asset is a mask: the polygons are given as boxes with "
        'labels="boxes", or set the card\'s task: eolab card toy --set task=detection'
    )
    assert not stream(ref, registry=registry, labels="boxes").warnings
    assert not stream(ref, registry=registry, labels=None).warnings
    (batch,) = stream(ref, registry=registry, labels="boxes", shuffle=False)
    assert batch.boxes[0].corners.tolist() == [[1, 1, 4, 4]]


def test_segmentation_with_nothing_to_learn_from_is_said(tmp_path):
    registry, ref = lake_of(
        tmp_path / "lake", [sample(n) for n in range(3)], spec={"task": "segmentation"}
    )
    (said,) = stream(ref, registry=registry).warnings
    assert "no asset is a mask: nothing is given to learn from" in said
    assert "eolab card toy --set 'assets.NAME={role: labels}'" in said


def test_an_asset_is_a_mask_if_whoever_reads_masks_takes_it_for_one(tmp_path):
    spec = {"task": "segmentation", "assets": {"s2": AssetSpec(role="mask-raster")}}
    registry, ref = lake_of(tmp_path / "lake", [sample(n) for n in range(3)], spec=spec)
    (said,) = stream(ref, registry=registry).warnings
    assert "no asset is a mask" in said


def test_that_there_are_masks_is_seen_in_the_rows_that_were_read_anyway(tmp_path, monkeypatch):
    registry, ref = simulated(tmp_path / "lake", "segmentation", samples=8)
    scanned = []
    scan = Version.scan

    def counted(version, table, *arguments, **more):
        scanned.append(table)
        return scan(version, table, *arguments, **more)

    monkeypatch.setattr(Version, "scan", counted)
    assert not stream(ref, registry=registry, split="train").warnings
    assert scanned.count("assets") == 1


def test_a_subset_without_masks_is_no_reason_to_declare_one(tmp_path):
    masked = {"s2": chip(0), "mask": chip(0, bands=1)[0] % 2}
    registry, ref = lake_of(
        tmp_path / "lake",
        [sample(0, arrays=masked), sample(1)],
        spec={"task": "segmentation"},
        splits={"default": {"s00000": "train", "s00001": "test"}},
    )
    assert not stream(ref, registry=registry, split="test").warnings
