import hashlib
import json
import multiprocessing
import shutil
import time

import numpy as np
import pytest

from registry.curate.layers import keeping
from registry.curate.layers.keeping import kept
from registry.errors import UnavailableError


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(keeping, "_OPENED", {})
    return tmp_path / "layers"


class Making:
    def __init__(self):
        self.times = 0

    def __call__(self, folder):
        self.times += 1
        np.save(folder / "numbers.npy", np.arange(1000))
        np.save(folder / "more.npy", np.ones(3))


def forget():
    keeping._OPENED.clear()


def folder_in(cache):
    (folder,) = (one for one in cache.iterdir() if one.is_dir())
    return folder


def test_an_array_is_made_once_and_mapped_after(cache):
    make = Making()
    for _ in range(3):
        forget()
        found = kept("some", "key", make, "numbers")
        assert found.tolist() == list(range(1000))
        assert not found.flags.writeable
    assert kept("some", "key", make, "more").tolist() == [1, 1, 1]
    assert make.times == 1


def test_another_key_is_another_product(cache):
    make = Making()
    kept("some", "key", make, "numbers")
    kept("some", "other", make, "numbers")
    assert make.times == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "numbers.npy").write_bytes(b""),
        lambda folder: (folder / "numbers.npy").unlink(),
        lambda folder: (folder / "digests.json").write_text("{"),
        lambda folder: (folder / "digests.json").write_text("[]"),
        lambda folder: (folder / "digests.json").unlink(),
        shutil.rmtree,
    ],
)
def test_what_is_damaged_is_made_again(cache, damage):
    make = Making()
    kept("some", "key", make, "numbers")
    damage(folder_in(cache))
    forget()
    assert kept("some", "key", make, "numbers").tolist() == list(range(1000))
    assert make.times == 2


def test_one_flipped_bit_is_noticed(cache):
    make = Making()
    kept("some", "key", make, "numbers")
    path = folder_in(cache) / "numbers.npy"
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    forget()
    assert kept("some", "key", make, "numbers")[-1] == 999


def test_a_pickle_in_the_cache_is_not_run(cache):
    make = Making()
    kept("some", "key", make, "numbers")
    folder = folder_in(cache)
    evil = np.array([print], dtype=object)
    np.save(folder / "numbers.npy", evil, allow_pickle=True)
    digest = hashlib.sha256((folder / "numbers.npy").read_bytes()).hexdigest()
    (folder / "digests.json").write_text(json.dumps({"numbers": digest}))
    forget()
    assert kept("some", "key", make, "numbers").dtype != object


def test_a_mapped_array_outlives_the_damage_of_its_file(cache):
    make = Making()
    before = kept("some", "key", make, "numbers")
    shutil.rmtree(folder_in(cache))
    forget()
    assert (kept("some", "key", make, "numbers") == before).all()


def test_nothing_stays_of_a_making_that_fails(cache):
    def fail(folder):
        np.save(folder / "numbers.npy", np.arange(3))
        raise OSError(28, "No space left on device")

    with pytest.raises(UnavailableError, match="No space left"):
        kept("some", "key", fail, "numbers")
    assert not [one for one in cache.iterdir() if one.is_dir()]
    assert kept("some", "key", Making(), "numbers").size == 1000


def test_what_a_killed_maker_left_is_swept(cache):
    make = Making()
    kept("some", "key", make, "numbers")
    folder = folder_in(cache)
    left = cache / f".{folder.name}-abc"
    left.mkdir()
    (left / "numbers.npy").write_bytes(b"half")
    shutil.rmtree(folder)
    forget()
    kept("some", "key", make, "numbers")
    assert not left.exists()


def test_a_cache_that_is_a_file_is_refused_in_words(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(UnavailableError, match="EOLAB_CACHE"):
        kept("some", "key", Making(), "numbers")


def _never_done(folder):
    np.save(folder / "numbers.npy", np.arange(3))
    (folder.parent / "began").touch()
    time.sleep(600)


def _make_for_ever():
    kept("killed", "key", _never_done, "numbers")


def test_a_maker_that_is_killed_leaves_the_way_free(cache):
    maker = multiprocessing.get_context("spawn").Process(target=_make_for_ever)
    maker.start()
    while not (cache / "began").exists():
        assert maker.is_alive()
        time.sleep(0.01)
    maker.kill()
    maker.join()
    assert kept("killed", "key", Making(), "numbers").size == 1000
    assert [one.name for one in cache.iterdir() if one.is_dir()] == [folder_in(cache).name]


def _make_and_note(folder):
    (folder.parent / f"made-{folder.name}").touch()
    np.save(folder / "numbers.npy", np.arange(200_000))


def _open(barrier, answers):
    barrier.wait()
    answers.put(int(kept("crowd", "key", _make_and_note, "numbers").sum()))


def test_a_crowd_makes_it_once(cache):
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(4), context.Queue()
    crowd = [context.Process(target=_open, args=(barrier, answers)) for _ in range(4)]
    for one in crowd:
        one.start()
    found = {answers.get(timeout=60) for _ in crowd}
    for one in crowd:
        one.join()
    assert found == {sum(range(200_000))}
    assert len(list(cache.glob("made-*"))) == 1
