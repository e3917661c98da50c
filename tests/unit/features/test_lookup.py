import threading

import pytest

from registry.curate.features import lookup as module
from registry.curate.features.computing import compute
from registry.curate.features.getting import FeaturesMissingError
from registry.curate.features.lookup import SampleNotFoundError, lookup


@pytest.fixture
def version(lake, publish, counted, offered, monkeypatch):
    monkeypatch.setattr(module, "_BLOCK_ROWS", 5)
    counted.fails_on = frozenset({"s02"})
    offered(counted.set())
    publish(lake)
    compute(lake, "toy@v1", ["counted"])
    return lake.resolve("toy@v1")


@pytest.fixture
def cached(tmp_path):
    return lambda: [one for one in (tmp_path / "cache/features").iterdir() if one.name[0] != "."]


def test_every_sample_is_found_with_its_own_values(version, toy):
    asked = lookup(version, "counted")
    for n in (0, 4, 5, 11):
        assert asked.get(f"s{n:02}")["most"] == int(toy.chip(n).max())


def test_a_sample_without_values_says_why(version):
    assert "ZeroDivisionError" in lookup(version, "counted").get("s02")["_problem"]
    assert "_problem" not in lookup(version, "counted").get("s01")


@pytest.mark.parametrize("sample", ["", "a", "s0", "s020", "s12", "z", "\U0001f6a2"])
def test_a_stranger_is_not_found(version, sample):
    with pytest.raises(SampleNotFoundError):
        lookup(version, "counted").get(sample)


def test_features_that_nobody_computed_are_missed(version):
    with pytest.raises(FeaturesMissingError):
        lookup(version, "spectral")


@pytest.mark.parametrize("file", ["rows.arrow", "blocks.arrow"])
@pytest.mark.parametrize("damage", ["cut", "flip", "gone"])
def test_a_damaged_cache_is_made_again(version, cached, toy, file, damage):
    lookup(version, "counted").get("s01")
    (folder,) = cached()
    path = folder / file
    data = bytearray(path.read_bytes())
    if damage == "gone":
        path.unlink()
    else:
        for at in range(len(data) // 4, len(data) // 2):
            data[at] ^= 0xFF
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else data)
    for n in range(12):
        if n != 2:
            assert lookup(version, "counted").get(f"s{n:02}")["most"] == int(toy.chip(n).max())


def test_makers_at_once_make_one_cache(version, cached, toy):
    found = []

    def ask(n):
        found.append(lookup(version, "counted").get(f"s{n:02}")["most"] == int(toy.chip(n).max()))

    threads = [threading.Thread(target=ask, args=(n,)) for n in (1, 4, 5, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, len(cached())) == ([True] * 4, 1)


def test_old_caches_are_dropped(version, cached, monkeypatch):
    monkeypatch.setattr(module, "_KEPT", 2)
    lookup(version, "counted").get("s01")
    for name in ("old-1", "old-2"):
        (cached()[0].parent / name).mkdir()
    (folder,) = [one for one in cached() if one.name.startswith("counted")]
    module._forget_old(folder)
    assert len(cached()) == 2
    assert folder in cached()
