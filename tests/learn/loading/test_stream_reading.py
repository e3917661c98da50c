"""How many bytes a stream reads, and through which doors."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from registry.errors import InvalidInputError
from registry.learn.loading.foresight import Foresight
from registry.learn.loading.stream import stream
from registry.query.slices import slice as cut
from registry.tables import store
from registry.tables.schemas import SAMPLES
from tests.learn.loading.lakes import chip, lake_of, sample

COUNT = 400


def _noise(number):
    chance = np.random.default_rng(number)
    return sample(number, arrays={"s2": chance.integers(0, 9999, (2, 16, 16), dtype=np.uint16)})


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return lake_of(
        tmp_path_factory.mktemp("lake"), [_noise(number) for number in range(COUNT)], batch=150
    )


@pytest.fixture
def counted(monkeypatch):
    """Bytes that were asked of data files, by reads or as something that is read soon."""
    asked = {"read": 0, "ahead": 0}
    read, advise = os.preadv, os.posix_fadvise

    def preadv(descriptor, buffers, offset):
        asked["read"] += sum(len(one) for one in buffers)
        return read(descriptor, buffers, offset)

    def posix_fadvise(descriptor, offset, length, advice):
        if advice == os.POSIX_FADV_WILLNEED:
            asked["ahead"] += length
        advise(descriptor, offset, length, advice)

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(os, "posix_fadvise", posix_fadvise)
    return asked


def test_a_random_slice_of_one_percent_reads_at_most_twice_its_bytes(lake, counted):
    registry, ref = lake
    chosen = np.random.default_rng(1).choice(COUNT, 4, replace=False)
    names = ", ".join(f"'s{number:05d}'" for number in chosen)
    made = cut(registry, f'select id from "{ref}".samples where id in ({names})')  # noqa: S608 — the test's own names
    counted.update(read=0, ahead=0)
    found = stream(ref, registry=registry, slice=made.id, batch_size=2)
    assert sorted(name for batch in found for name in batch.ids) == sorted(made.ids)
    own = int(found.places["s2"].stored.length.sum())
    assert own == found.bytes_read == counted["read"]
    assert counted["ahead"] <= 2 * own


def test_a_slice_of_another_version_is_refused(lake):
    registry, ref = lake
    made = cut(registry, f'select id from "{ref}".samples limit 3')  # noqa: S608 — as above
    with pytest.raises(InvalidInputError, match="was cut from toy@"):
        stream(_relabelled(registry, ref), registry=registry, slice=made.id)


def _relabelled(registry, ref):
    draft = registry.branch("toy", "other", at=ref.partition("@")[2])
    with draft.edit("more") as root:
        store.append(root, SAMPLES, pa.Table.from_pylist([{"id": "new"}], SAMPLES.arrow))
    return "toy@other"


def test_all_of_a_dataset_is_read_in_long_stretches(lake, counted, monkeypatch):
    # Whoever reads to the end lets the thread end by itself, however late it comes to its turn.
    monkeypatch.setattr(Foresight, "close", lambda ahead: ahead._thread.join())
    registry, ref = lake
    found = stream(ref, registry=registry)
    assert sum(map(len, found)) == COUNT
    own = int(found.places["s2"].stored.length.sum())
    assert own <= counted["ahead"] <= 1.1 * own


def test_resuming_reads_nothing_of_what_was_given(lake, counted):
    registry, ref = lake
    first = stream(ref, registry=registry, batch_size=10)
    batches = iter(first)
    for _ in range(35):
        next(batches)
    state = first.state()
    batches.close()
    second = stream(ref, registry=registry, batch_size=10)
    second.resume(state)
    counted.update(read=0)
    assert sum(map(len, second)) == 50
    assert counted["read"] == second.bytes_read < 0.15 * second.places["s2"].stored.length.sum()


def test_tables_that_others_packed_are_read_through_parquet(tmp_path):
    registry, ref = lake_of(tmp_path / "lake", [sample(number) for number in range(9)])
    found = stream(ref, registry=registry, shuffle=False)
    for place in found.places.values():
        place.stored.offset[:] = 0  # as the index says of what is compressed once more
    (batch,) = found
    for number in range(9):
        assert (batch.arrays["s2"][number] == chip(number)).all()


def _open():
    return len(list(Path("/proc/self/fd").iterdir()))


def test_many_data_files_are_open_only_a_few_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("registry.learn.loading.reading._OPEN_FILES", 2)
    registry, ref = lake_of(tmp_path / "lake", [sample(number) for number in range(12)], batch=1)
    before = _open()
    found = stream(ref, registry=registry, batch_size=1)
    batches = iter(found)
    for _ in range(11):
        next(batches)
        assert _open() <= before + 5
    assert len(list(batches)) == 1


_LEFT = """
import atexit, threading

begun, eight = [], threading.Event()

@atexit.register
def last():
    print(len(begun), [one.name for one in threading.enumerate() if one.name.startswith("eolab")])

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
import numpy as np
from registry.learn.loading.foresight import Foresight
from registry.learn.loading.plan import Plan

class Reader:
    apart = ()

    def is_away(self, file):
        return True

    def bring(self, file):
        begun.append(file)
        if len(begun) == 8:
            eight.set()
        while True:  # until the interpreter ends
            with ThreadPoolExecutor(1) as pool:
                list(pool.map(abs, [1]))

    def expect(self, *span):
        begun.append(span)

many = np.arange(100)
stored = SimpleNamespace(file=many, offset=many + 4, length=many + 1)
place = SimpleNamespace(there=many >= 0, stored=stored)
plan = Plan(
    pieces=many, key="", batch_size=50, window=50, seed=0, shuffle=False, rank=0, world=1,
    drop_last=False,
)
ahead = Foresight(Reader(), {"s2": place}, plan=plan, order=plan.order(0), first=0)
assert eight.wait(60)
"""


def test_a_process_that_ends_while_files_are_fetched_begins_no_others_and_is_silent():
    done = subprocess.run(
        [sys.executable, "-c", _LEFT], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "8 []\n", "")
