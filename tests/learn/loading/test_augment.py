"""Arrays carry their own coordinates as values, so no symmetry hides a mistake."""

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.learn.loading.augment import AUGMENTATIONS, Augmentation
from registry.learn.loading.batch import Batch, Boxes

MOVES = ("flip", "rotate90", "crop:4", "crop:4x2")


def coordinates(samples, height, width, *, step=1, dtype=np.float32):
    """Return row, column and sample of each pixel, in pixels of the finest grid."""
    rows, columns = np.mgrid[0:height, 0:width] * step
    planes = [np.stack([rows, columns, np.full_like(rows, number)]) for number in range(samples)]
    return np.stack(planes).astype(dtype)


def batch(samples=3, height=8, width=8, *, epoch=0, ids=None, **arrays):
    made = {"image": coordinates(samples, height, width)} | arrays
    names = ids or tuple(f"s{number}" for number in range(samples))
    return Batch(ids=names, arrays=made, epoch=epoch)


def moves(least=1):
    return st.lists(st.sampled_from(MOVES), min_size=least, unique=True).filter(
        lambda names: sum(one.startswith("crop") for one in names) < 2
    )


@given(names=moves(), seed=st.integers(0, 9), epoch=st.integers(0, 3))
def test_masks_series_and_boxes_go_where_the_image_goes(names, seed, epoch):
    image = coordinates(3, 8, 8)
    mask = image[:, 0].astype(np.int64) * 100 + image[:, 1].astype(np.int64)
    series = np.stack([image, image + 1000], axis=1)
    boxes = tuple(
        Boxes(corners=np.array([[2, 3, 5, 7]], np.float32), classes=np.array([1])) for _ in image
    )
    given_ = Batch(
        ids=("a", "b", "c"), arrays={"image": image, "mask": mask, "series": series}, boxes=boxes,
        epoch=epoch,
    )  # fmt: skip
    found = Augmentation(tuple(names), seed)(given_)
    moved = found.arrays["image"]
    assert np.array_equal(found.arrays["mask"], moved[:, 0] * 100 + moved[:, 1])
    assert np.array_equal(found.arrays["series"][:, 0], moved)
    assert np.array_equal(found.arrays["series"][:, 1], moved + 1000)
    assert (moved[:, 2] == np.arange(3)[:, None, None]).all()
    for number, one in enumerate(found.boxes):
        rows, columns = moved[number, 0], moved[number, 1]
        inside = (rows >= 3) & (rows < 7) & (columns >= 2) & (columns < 5)
        covered = np.zeros_like(inside)
        for x1, y1, x2, y2 in one.corners.astype(int):
            covered[y1:y2, x1:x2] = True
        if len(one.corners):
            assert np.array_equal(covered, inside)
        else:  # less than half of it is left
            assert inside.sum() <= 6


@given(names=moves(), seed=st.integers(0, 99))
def test_every_pixel_is_one_of_the_sample_and_none_comes_twice(names, seed):
    found = Augmentation(tuple(names), seed)(batch()).arrays["image"]
    for one in found:
        places = one[0] * 8 + one[1]
        assert len(np.unique(places)) == places.size
        # neighbours are neighbours on the ground
        assert np.abs(np.diff(one[:2], axis=-1)).sum(axis=0).max() == 1


@given(seed=st.integers(0, 20), height=st.sampled_from([4, 8]))
def test_images_that_are_not_square_keep_their_shape(seed, height):
    found = Augmentation(("flip", "rotate90"), seed)(batch(height=height, width=6))
    assert found.arrays["image"].shape == (3, 3, height, 6)


@given(
    seed=st.integers(0, 50), names=st.sampled_from([("crop:4",), ("crop:4", "rotate90", "flip")])
)
def test_arrays_of_coarser_pixels_are_cut_at_the_same_places(seed, names):
    coarse = coordinates(3, 4, 4, step=2)
    found = Augmentation(names, seed)(batch(coarse=coarse))
    fine, coarse = found.arrays["image"][:, :2], found.arrays["coarse"][:, :2]
    assert coarse.shape[-2:] == (2, 2)
    corners = fine.reshape(3, 2, 2, 2, 2, 2).min(axis=(3, 5))
    assert np.array_equal(corners, coarse)


def test_every_corner_and_turn_comes_up():
    corners, turns = set(), set()
    for seed in range(300):
        one = Augmentation(("flip", "rotate90", "crop:6"), seed)(batch(1)).arrays["image"][0, :2]
        corners.add(tuple(one.reshape(2, -1).min(axis=1).astype(int)))
        turns.add(
            tuple((one[:, 0, 1] - one[:, 0, 0]).astype(int))
            + tuple((one[:, 1, 0] - one[:, 0, 0]).astype(int))
        )
    assert corners == {(row, column) for row in range(3) for column in range(3)}
    assert len(turns) == 8


# -------------------------------------------------------------------------------------- chance
def test_it_is_the_same_for_a_sample_in_whatever_batch_it_comes():
    augment = Augmentation(("flip", "rotate90", "crop:4", "jitter", "noise"), seed=3)
    whole = augment(batch(3, epoch=2)).arrays["image"]
    alone = Batch(ids=("s1",), arrays={"image": coordinates(3, 8, 8)[1:2]}, epoch=2, step=7)
    assert np.array_equal(augment(alone).arrays["image"][0], whole[1])


def test_it_is_another_for_another_seed_epoch_sample_or_time_it_comes():
    names = ("noise",)
    image = np.ones((2, 1, 4, 4), np.float32)

    def noise(seed=0, epoch=0, ids=("a", "b")):
        one = Batch(ids=ids, arrays={"image": image}, epoch=epoch)
        return Augmentation(names, seed)(one).arrays["image"]

    plain = noise()
    assert np.array_equal(plain, noise())
    for other in (noise(seed=1), noise(epoch=1), noise(ids=("c", "d"))):
        assert not np.array_equal(plain, other)
    twice = noise(ids=("a", "a"))
    assert np.array_equal(twice[0], plain[0])
    assert not np.array_equal(twice[0], twice[1])


def test_one_augmentation_does_not_change_the_chance_of_another():
    turned = Augmentation(("rotate90",), seed=1)(batch()).arrays["image"]
    both = Augmentation(("rotate90", "drop-bands"), seed=1)(batch()).arrays["image"]
    kept = both.reshape(3, 3, -1).any(axis=2)
    assert np.array_equal(both[kept], turned[kept])


ALL = tuple("crop:4" if name == "crop" else name for name in AUGMENTATIONS)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("flip",), "9cb1ac513b2e49cf"),
        (("rotate90",), "aad4feffdc900503"),
        (("crop:4",), "995056548a4e190c"),
        (("jitter",), "16480b088a39e46b"),
        (("noise",), "ce849dca37e5c238"),
        (("drop-bands",), "bfb3f6da19ec2a47"),
        (("drop-modality",), "c621e4b3d2378477"),
        (ALL, "c804cfa2ca540ef2"),
    ],
)
def test_what_is_drawn_is_what_it_was_when_models_were_trained_with_it(names, said):
    ids = ("a", "b", "b", "c", "d", "e")
    radar = coordinates(6, 8, 8)[:, :1] + 1
    found = Augmentation(names, seed=5)(batch(6, epoch=3, ids=ids, s1=radar))
    values = found.arrays["image"].tobytes() + found.arrays["s1"].tobytes()
    assert hashlib.sha256(values).hexdigest()[:16] == said


def test_each_chance_of_a_sample_begins_once(monkeypatch):
    begun = []
    plain = np.random.default_rng

    def counted(seed):
        begun.append(seed)
        return plain(seed)

    monkeypatch.setattr(np.random, "default_rng", counted)
    Augmentation(ALL, seed=1)(batch(3))
    assert len(begun) == len(set(begun)) == 3 * len(AUGMENTATIONS)


def test_what_it_is_given_stays_as_it_is():
    given_ = batch()
    before = given_.arrays["image"].copy()
    Augmentation((*AUGMENTATIONS[:2], "crop:4", *AUGMENTATIONS[3:]), seed=1)(given_)
    assert np.array_equal(given_.arrays["image"], before)


# ------------------------------------------------------------------------------ what was seen
@given(row=st.integers(0, 15), column=st.integers(0, 15), seed=st.integers(0, 30))
def test_a_crop_always_sees_something_where_there_is_anything_to_see(row, column, seed):
    seen = np.zeros((1, 16, 16), np.bool_)
    seen[0, row, column] = True
    given_ = batch(1, 16, 16, image_valid=seen)
    found = Augmentation(("crop:3",), seed)(given_, inputs=("image",))
    assert found.arrays["image_valid"].any()
    at = np.argwhere(found.arrays["image_valid"][0])[0]
    assert found.arrays["image"][0, :2, at[0], at[1]].tolist() == [row, column]


def test_crops_without_anything_to_see_are_drawn_all_the_same():
    seen = np.zeros((3, 8, 8), np.bool_)
    found = Augmentation(("crop:4",), 1)(batch(image_valid=seen))
    assert found.arrays["image"].shape == (3, 3, 4, 4)


def test_what_was_not_observed_stays_0():
    image = np.ones((1, 2, 4, 4), np.float32)
    image[:, :, 1, 2] = 0
    found = Augmentation(("jitter", "noise"), 1)(Batch(ids=("a",), arrays={"image": image}))
    assert np.array_equal(found.arrays["image"] == 0, image == 0)


def test_a_band_stays_at_least_when_bands_are_dropped():
    image = np.ones((64, 3, 2, 2), np.float32)
    ids = tuple(map(str, range(64)))
    found = Augmentation(("drop-bands",), 1)(Batch(ids=ids, arrays={"image": image}))
    there = found.arrays["image"].reshape(64, 3, -1).any(axis=2)
    assert there.any(axis=1).all()
    assert 0 < (~there).sum() < 64


def test_a_modality_that_is_dropped_is_said_and_one_always_stays():
    arrays = {"s1": np.ones((64, 1, 2, 2), np.float32), "s2": np.ones((64, 2, 2, 2), np.float32)}
    valid = {"s1": np.ones(64, np.bool_), "s2": np.ones(64, np.bool_)}
    valid["s2"][:8] = False
    given_ = Batch(ids=tuple(map(str, range(64))), arrays=arrays, valid=valid)
    found = Augmentation(("drop-modality",), 2)(given_)
    there = {name: found.arrays[name].reshape(64, -1).any(axis=1) for name in arrays}
    assert np.array_equal(there["s1"], found.valid["s1"])
    assert np.array_equal(there["s2"][8:], found.valid["s2"][8:])
    assert there["s1"][:8].all()
    assert (there["s1"] | there["s2"]).all()
    assert 0 < (~there["s1"]).sum() < 32


# --------------------------------------------------------------------------------------- doors
@pytest.mark.parametrize(
    "name", ["flop", "crop", "crop:", "crop:0", "crop:4x", "crop:2x2x2", "flip:3"]
)
def test_names_that_mean_nothing_are_refused(name):
    with pytest.raises(ValueError, match=r"no augmentation|a crop of"):
        Augmentation((name,))


def test_numbers_as_they_are_stored_are_not_shaken():
    stored = Batch(ids=("a",), arrays={"s2": np.ones((1, 1, 2, 2), np.uint16)})
    with pytest.raises(ValueError, match="uint16, as it is stored"):
        Augmentation(("noise",))(stored, inputs=("s2",))
    assert Augmentation(("flip",))(stored).arrays["s2"].dtype == np.uint16


def test_crops_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="larger than the images"):
        Augmentation(("crop:9",))(batch())
    with pytest.raises(ValueError, match="cannot be cut from both"):
        Augmentation(("crop:3",))(batch(coarse=coordinates(3, 4, 4)))
