"""Epoch after epoch: the next one's first batches are made while the last ones are used."""

import gc
import json
import subprocess
import sys
import threading
from contextlib import ExitStack

import numpy as np
import pytest

from registry.learn.loading.feed import feed
from registry.learn.loading.torch import loader
from tests.learn.loading.lakes import lake_of, sample

COUNT, SIZE = 20, 4
STEPS = COUNT // SIZE
SOON = 60  # seconds until what surely comes is given up


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    registry, ref = lake_of(tmp_path_factory.mktemp("lake"), [sample(n) for n in range(COUNT)])
    return registry, registry.resolve(ref)


@pytest.fixture
def fed(lake):
    with ExitStack() as stack:

        def fed(*, epochs=9, **more):
            said = {"batch_size": SIZE, "normalise": False, "augment": ("flip", "noise"), "seed": 3}
            made = feed(lake[1], **said | {"prefetch": 2, "threads": 2} | more)
            stack.enter_context(made.following(epochs))
            return made

        yield fed


class Watched:
    """Notes which batches were made, and stops in those of an epoch if it is to."""

    def __init__(self):
        self.ids = []
        self.beyond = threading.Event()

    def __call__(self, batch):
        self.ids.append(batch["id"])
        if len(self.ids) > STEPS:
            self.beyond.set()
        return batch


def plain(batch):
    return {
        name: one.tobytes() if isinstance(one, np.ndarray) else one for name, one in batch.items()
    }


@pytest.fixture
def running():
    before = {*threading.enumerate()}  # what others have left

    def running():
        return [one.name for one in threading.enumerate() if one not in before]

    return running


def alone(fed, epoch):
    return [plain(batch) for batch in fed(epoch=epoch, prefetch=0, threads=0)]


@pytest.mark.parametrize("threads", range(9))
@pytest.mark.parametrize("prefetch", [1, 3])
def test_epochs_are_the_same_whatever_is_made_ahead(fed, prefetch, threads):
    found = fed(prefetch=prefetch, threads=threads)
    for epoch in range(3):
        assert [plain(batch) for batch in found] == alone(fed, epoch)


@pytest.mark.parametrize("prefetch", [1, 2 * STEPS])
def test_the_next_epoch_begins_while_the_last_batch_is_used(fed, prefetch):
    found, watched = fed(prefetch=prefetch), Watched()
    batches = found.run(watched)
    given = [next(batches) for _ in range(STEPS)]
    assert watched.beyond.wait(SOON)
    assert (found.epoch, found.state()["step"]) == (1, 0)
    given += list(found.run(watched))
    assert [one["id"] for one in given] == watched.ids[: 2 * STEPS]
    assert len(watched.ids) <= 2 * STEPS + prefetch


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_no_more_is_made_than_there_will_be(fed, epochs, running):
    found, watched = fed(epochs=epochs), Watched()
    for _ in range(max(1, epochs)):
        list(found.run(watched))
    assert len(watched.ids) == max(1, epochs) * STEPS
    assert not running()


def test_the_end_throws_away_what_was_made_of_an_epoch_that_does_not_come(lake, running):
    found = loader(lake[1], batch_size=SIZE, normalise=False, threads=2, prefetch=2)
    with found.following(3):
        assert len(list(found)) == STEPS
        assert running()
    assert not running()
    assert len(list(found)) == STEPS


def test_who_says_so_in_the_middle_of_an_epoch_misses_nothing(fed):
    found = fed(epochs=0)
    batches = iter(found)
    given = [next(batches)]
    with found.following(3):
        given += [*batches, *found, *found]
    assert [plain(one) for one in given] == [one for n in range(3) for one in alone(fed, n)]


@pytest.mark.parametrize("epoch", [0, 2])
def test_another_epoch_than_the_next_throws_away_what_was_made_of_that(fed, epoch, running):
    found = fed()
    assert len(list(found)) == STEPS
    assert running()
    found.set_epoch(epoch)
    assert not running()
    assert [plain(batch) for batch in found] == alone(fed, epoch)


def test_to_name_the_next_epoch_keeps_what_was_made_of_it(fed):
    found, watched = fed(), Watched()
    list(found.run(watched))
    assert watched.beyond.wait(SOON)
    found.set_epoch(1)
    list(found.run(watched))
    assert len(watched.ids) == len({tuple(ids) for ids in watched.ids})


@pytest.mark.parametrize("given", [2, STEPS, STEPS + 2])
def test_a_feed_goes_on_where_another_stood_that_had_made_more(fed, given):
    first = fed()
    batches = (one for _ in range(3) for one in first)
    for _ in range(given):
        next(batches)
    state = json.loads(json.dumps(first.state()))
    assert (state["epoch"], state["step"]) == divmod(given, STEPS)
    whole = [one for epoch in range(2) for one in alone(fed, epoch)]
    for second in (fed(), first):
        second.resume(state)
        assert [plain(batch) for batch in second] == whole[given:][: STEPS - given % STEPS]


def test_batches_made_as_something_else_are_not_given_to_whoever_asks_for_other_ones(fed):
    found = fed()
    list(found.run(lambda batch: batch["id"]))
    assert [plain(batch) for batch in found] == alone(fed, 1)


def test_an_error_in_the_next_epoch_is_told_when_that_is_asked_for(fed, running):
    calls = []

    def make(batch):
        calls.append(batch)
        if len(calls) == STEPS + 1:
            raise ZeroDivisionError
        return batch

    found = fed()
    assert len(list(found.run(make))) == STEPS
    with pytest.raises(ZeroDivisionError):
        list(found.run(make))
    assert not running()
    assert [plain(batch) for batch in found.run(make)] == alone(fed, 1)


@pytest.mark.parametrize("given", [0, 2, STEPS, STEPS + 1])
def test_a_loader_that_nobody_has_any_more_leaves_nothing_running(lake, given, running):
    made = loader(lake[1], batch_size=SIZE, normalise=False, threads=2, prefetch=2)
    batches = (one for _ in range(2) for one in made)
    for _ in range(given):
        next(batches)
    gc.disable()  # so that it is not chance that ends them
    try:
        del made, batches
        assert not running()
    finally:
        gc.enable()


_LEFT = """
import atexit, sys, threading

@atexit.register
def last():
    print([one.name for one in threading.enumerate() if one.name.startswith("eolab")])

import registry
from registry.learn.loading.feed import feed

lake = registry.connect(sys.argv[1])
made = feed(sys.argv[2], registry=lake, batch_size=4, threads=2, normalise=False, prefetch=2)
following = made.following(3)
following.__enter__()
print(len(list(made)))
"""


def test_a_process_may_end_while_an_epoch_that_never_comes_is_made(lake):
    words = [sys.executable, "-c", _LEFT, lake[0].lake.address, str(lake[1].ref)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.split(), done.stderr) == (0, [str(STEPS), "[]"], "")
