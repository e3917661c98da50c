"""Streams: what batches hold, whatever the threads, and where they go on."""

import atexit
import gc
import json
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import registry as lab
from registry.errors import ConflictError, InvalidInputError, NotFoundError
from registry.learn.loading.buffers import Ring
from registry.learn.loading.ending import _open
from registry.learn.loading.running import Run
from registry.learn.loading.stream import stream
from tests.learn.loading.lakes import SIDE, chip, lake_of, sample

COUNT = 50


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    subsets = {
        f"s{number:05d}": "Training" if number < 40 else "val" if number < 45 else "test:far"
        for number in range(COUNT)
    }
    return lake_of(
        tmp_path_factory.mktemp("lake"),
        [sample(number, label="ab"[number % 2]) for number in range(COUNT)],
        spec={"task": "classification"},
        splits={"official": subsets},
        batch=20,
    )


def _numbers(batches):
    return [int(name[1:]) for batch in batches for name in batch.ids]


def test_every_sample_comes_once_an_epoch_with_its_own_pixels_and_label(lake):
    registry, ref = lake
    found = stream(ref, registry=registry, batch_size=8, seed=3)
    seen = []
    for batch in found:
        assert batch.arrays["s2"].shape == (len(batch), 2, SIDE, SIDE)
        assert batch.arrays["s2"].dtype == np.uint16
        for name, array, label in zip(batch.ids, batch.arrays["s2"], batch.label, strict=True):
            assert (array == chip(int(name[1:]))).all()
            assert found.classes[label] == "ab"[int(name[1:]) % 2]
        seen += batch.ids
    assert sorted(seen) == sorted(found.ids.to_pylist())
    assert len(found) == 7


def test_the_door_of_the_package_is_the_stream(lake):
    registry, ref = lake
    assert len(lab.stream(ref, registry=registry, split="train", batch_size=16)) == 3


@pytest.mark.parametrize("threads", range(9))
def test_batches_are_the_same_for_any_number_of_threads(lake, threads):
    registry, ref = lake
    one = stream(ref, registry=registry, batch_size=7, seed=1, threads=0)
    other = stream(ref, registry=registry, batch_size=7, seed=1, threads=threads)
    for _ in range(2):
        for a, b in zip(one, other, strict=True):
            assert (a.ids, a.step, a.epoch) == (b.ids, b.step, b.epoch)
            assert (a.arrays["s2"] == b.arrays["s2"]).all()


def test_epochs_and_seeds_differ_and_come_back(lake):
    registry, ref = lake
    found = stream(ref, registry=registry, seed=1)
    first, second = _numbers(found), _numbers(found)
    assert first != second
    found.set_epoch(0)
    assert _numbers(found) == first
    assert _numbers(stream(ref, registry=registry, seed=2)) != first
    assert _numbers(stream(ref, registry=registry, seed=1, epoch=1)) == second


def test_without_shuffling_samples_come_as_they_lie_on_disk(lake):
    registry, ref = lake
    found = stream(ref, registry=registry, shuffle=False)
    assert _numbers(found) == list(range(COUNT))
    assert _numbers(found) == list(range(COUNT))


@pytest.mark.parametrize(
    ("word", "count"), [("train", 40), ("validate", 5), ("validation", 5), ("test:far", 5)]
)
def test_subsets_are_found_by_any_word_for_them(lake, word, count):
    registry, ref = lake
    found = stream(ref, registry=registry, split=word)
    assert len(found.ids) == count
    assert found.subset == (word, "official")


def test_an_empty_subset_is_refused_with_those_that_there_are(lake):
    registry, ref = lake
    with pytest.raises(
        InvalidInputError, match=r"'test' of splits/official .* no sample"
    ) as caught:
        stream(ref, registry=registry, split="test")
    assert caught.value.hint == "it has test:far (5), train (40), validate (5)"


def test_a_stream_goes_on_where_another_stood(lake):
    registry, ref = lake
    whole = [batch.ids for batch in stream(ref, registry=registry, batch_size=4, seed=5)]
    first = stream(ref, registry=registry, batch_size=4, seed=5)
    for batch in first:
        if batch.step == 5:
            break
    state = json.loads(json.dumps(first.state()))
    second = stream(ref, registry=registry, batch_size=4, seed=5)
    second.resume(state)
    assert [batch.ids for batch in second] == whole[6:]
    assert second.bytes_read < first.places["s2"].stored.length.sum() * 8 / len(whole)
    assert next(iter(second)).epoch == 1


def test_a_state_after_the_last_batch_leads_to_the_next_epoch(lake):
    registry, ref = lake
    found = stream(ref, registry=registry)
    last = [found.state() for _ in found][-1]
    assert last["step"] == len(found)
    other = stream(ref, registry=registry)
    other.resume(last)
    assert next(iter(other)).epoch == 1


@pytest.mark.parametrize("other", [{"seed": 9}, {"batch_size": 5}, {"split": "train"}])
def test_a_state_of_another_stream_is_refused(lake, other):
    registry, ref = lake
    state = stream(ref, registry=registry).state()
    with pytest.raises(InvalidInputError, match="the state is of a stream with"):
        stream(ref, registry=registry, **other).resume(state)


def test_ranks_share_the_samples_in_equally_many_batches(lake):
    registry, ref = lake
    for world in (1, 2, 3, 7):
        ranks = [
            stream(ref, registry=registry, batch_size=4, rank=rank, world=world, seed=2)
            for rank in range(world)
        ]
        found = [_numbers(one) for one in ranks]
        assert len({len(one) for one in found}) == len({len(one) for one in ranks}) == 1
        assert sorted({number for one in found for number in one}) == list(range(COUNT))
        assert sum(map(len, found)) < COUNT + world


def test_a_rank_goes_on_from_what_another_kept(lake):
    registry, ref = lake
    told = {"registry": registry, "batch_size": 4, "world": 2, "seed": 2}
    first, second = (stream(ref, rank=rank, **told) for rank in (0, 1))
    whole = [batch.ids for batch in stream(ref, rank=1, **told)]
    batches = iter(first)
    for _ in range(3):
        next(batches)
    second.resume(first.state())  # all ranks stand at the same step; one writes the checkpoint
    assert [batch.ids for batch in second] == whole[3:]


def test_a_batch_stays_as_it_is_until_the_second_next(lake):
    registry, ref = lake
    batches = iter(stream(ref, registry=registry, batch_size=3))
    held = next(batches)
    before = held.arrays["s2"].copy()
    next(batches)
    assert (held.arrays["s2"] == before).all()


def test_copies_are_the_readers_own(lake):
    registry, ref = lake
    kept = list(stream(ref, registry=registry, batch_size=3, copy=True))
    for batch in kept:
        for name, array in zip(batch.ids, batch.arrays["s2"], strict=True):
            assert (array == chip(int(name[1:]))).all()


def test_buffers_are_a_few_that_the_allocator_made_and_are_filled_again(lake):
    registry, ref = lake
    made = []

    def allocate(shape, dtype):
        made.append(np.zeros(shape, dtype))
        return made[-1]

    found = stream(ref, registry=registry, batch_size=2, allocator=allocate)
    for batch in found:
        assert any(batch.arrays["s2"].base is one for one in made)
    assert len(made) <= 5 < len(found)


def test_a_stream_that_is_left_early_ends_its_threads(lake):
    registry, ref = lake
    before = {*threading.enumerate()}
    batches = iter(stream(ref, registry=registry, batch_size=2, threads=3))
    next(batches)
    assert {*threading.enumerate()} - before
    batches.close()
    assert not {*threading.enumerate()} - before


def test_epochs_leave_nothing_behind_for_the_end_of_the_process(lake):
    registry, ref = lake
    found = stream(ref, registry=registry, threads=2)
    sum(map(len, found))
    gc.collect()
    before, open_before = atexit._ncallbacks(), len(_open)
    assert sum(len(batch) for _ in range(3) for batch in found) == 3 * COUNT
    gc.collect()
    assert atexit._ncallbacks() == before
    assert len(_open) <= open_before


_LEFT = """
import atexit, sys, threading

@atexit.register
def last():
    print([one.name for one in threading.enumerate() if one.name.startswith("eolab")])

import registry

lake = registry.connect(sys.argv[1])
batches = iter(registry.stream(sys.argv[2], registry=lake, batch_size=4, threads=2))
next(batches)
"""


def test_a_process_may_end_in_the_middle_of_a_stream(lake):
    registry, ref = lake
    words = [sys.executable, "-c", _LEFT, registry.lake.address, ref]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")


def test_what_is_not_there_is_said(lake):
    registry, ref = lake
    with pytest.raises(NotFoundError, match="no sample of toy@draft/root has an asset 's9'"):
        stream(ref, registry=registry, assets=["s9"])
    with pytest.raises(NotFoundError, match="no split 'mine'"):
        stream(ref, registry=registry, split="train", splits="mine")
    with pytest.raises(InvalidInputError, match="no fold 3"):
        stream(ref, registry=registry, split="train", fold=3)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0}, {"world": 0}, {"rank": 2, "world": 2}, {"seed": -1}, {"epoch": -1},
        {"threads": -1}, {"on_error": "ignore"}, {"crop": (0, 4)}, {"crop": (4, 9)}, {"frames": 0},
        {"labels": "words"}, {"assets": []}, {"drop_last": True, "batch_size": 64}, {"window": 0},
    ],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(lake, wrong):
    registry, ref = lake
    with pytest.raises(InvalidInputError):
        stream(ref, registry=registry, **wrong)


class _Counted:
    """Fills nothing, and tells how many samples were begun."""

    def __init__(self):
        self.begun = 0
        self.more = threading.Condition()

    def fill(self, buffers, at, sample, *, epoch, desk):
        with self.more:
            self.begun += 1
            self.more.notify_all()
        return 0, 0

    def wait(self, count, seconds):
        with self.more:
            return self.more.wait_for(lambda: self.begun >= count, seconds)


def test_threads_rest_while_a_batch_that_is_ready_is_made():
    filler, ring = _Counted(), Ring({"s2": ((2,), np.dtype(np.uint8))}, slots=3)
    run = Run(
        filler, lambda step: np.array([2 * step, 2 * step + 1]), first=0, last=6, epoch=0,
        ring=ring, threads=2, replace=None,
    )  # fmt: skip
    made = []

    def make(step, filled):
        before = filler.begun
        made.append((step, filled.samples.tolist(), filler.wait(before + 1, 0.05)))
        return step

    def resting(step):
        assert filler.wait(min(12, 2 * max(3, step + 1)), 60)  # as many as there is room for
        while not run._is_filled(step):
            time.sleep(0.001)

    try:
        resting(0)
        for step in run.batches(0, make):
            if step < 5:
                resting(step + 1)
    finally:
        run.close()
    assert made == [(step, [2 * step, 2 * step + 1], False) for step in range(6)]


class _Held(_Counted):
    """Holds whoever fills a sample, from some place on, until the run is closed."""

    def __init__(self, first):
        super().__init__()
        self.first = first
        self.closed = threading.Event()

    def fill(self, buffers, at, sample, **told):
        super().fill(buffers, at, sample, **told)
        assert at < self.first or self.closed.wait(60)
        return 0, 0


@pytest.mark.parametrize(("threads", "held"), [(0, 0), (1, 0), (1, 2), (3, 0)])
def test_whoever_waits_for_a_batch_of_a_stream_that_is_closed_is_told(threads, held):
    filler, ring = _Held(held), Ring({"s2": ((4,), np.dtype(np.uint8))}, slots=3)
    run = Run(
        filler, lambda _: np.arange(4), first=0, last=2, epoch=0, ring=ring, threads=threads,
        replace=None,
    )  # fmt: skip
    met, given = [], []

    def ask():
        try:
            given.extend(run.batches(0, lambda step, _: step))
        except ConflictError as error:
            met.append(error.problem)

    reader = threading.Thread(target=ask, daemon=True)
    closer = threading.Thread(target=run.close, daemon=True)
    reader.start()
    assert filler.wait(held + max(1, threads), 60)
    closer.start()
    while not run._closed:
        time.sleep(0.001)
    filler.closed.set()
    closer.join(60)
    reader.join(10)
    assert (met, given) == (["the stream was closed while its batch 0 was waited for"], [])
