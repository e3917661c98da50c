"""Streams of a lake that is elsewhere: the same batches, and only the files that they need."""

import os
import threading
from pathlib import Path

import pytest

from registry.catalog.registry import connect
from registry.lake import lazy
from registry.lake.lakefs.objects import Bytes
from registry.lake.lakefs.repository import LakefsRepository
from registry.learn.loading.faraway import Faraway
from registry.learn.loading.filling import CorruptChipError
from registry.learn.loading.stream import stream
from registry.tables.pixels import encode
from tests.lakefs.server import running_server
from tests.learn.loading.lakes import chip, lake_of, sample

COUNT = 24


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A lake on a server, as a machine with an empty cache sees it, and the same lake here."""
    samples = [sample(number) for number in range(COUNT)]
    subset = dict.fromkeys(range(6), "train") | {12: "validate"}
    splits = {"mine": {f"s{n:05d}": subset.get(n, "test") for n in range(COUNT)}}
    told = {"splits": splits, "batch": 6}
    with pytest.MonkeyPatch.context() as patch, running_server() as server:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        folder = tmp_path_factory.mktemp("caches")
        address = server.endpoint.replace("http://", "lakefs://")
        patch.setenv("EOLAB_CACHE", str(folder / "writer"))
        _, ref = lake_of(address, samples, **told)
        patch.setenv("EOLAB_CACHE", str(folder / "reader"))
        here, _ = lake_of(folder / "lake", samples, **told)
        yield connect(address), here, ref


def _away(found):
    return [lazy.is_placeholder(path) for path in found.places["s2"].stored.files]


def test_only_data_files_that_are_needed_are_fetched(there):
    registry, _, ref = there
    found = stream(ref, registry=registry, split="train")
    assert _away(found) == [True] * 4
    (batch,) = found
    for name, array in zip(batch.ids, batch.arrays["s2"], strict=True):
        assert (array == chip(int(name[1:]))).all()
    assert sorted(_away(found)) == [False, True, True, True]


def test_few_chips_of_a_file_are_fetched_alone_and_kept(there, monkeypatch):
    registry, _, ref = there
    fetched = []
    part = LakefsRepository.part

    def told(self, path, **where):
        fetched.append(where["length"])
        return part(self, path, **where)

    monkeypatch.setattr(LakefsRepository, "part", told)
    for _ in range(2):
        found = stream(ref, registry=registry, split="validate")
        assert all(_away(found)[1:])
        (batch,) = found
        assert batch.ids == ("s00012",)
        assert (batch.arrays["s2"][0] == chip(12)).all()
        assert all(_away(found)[1:])
    own = int(found.places["s2"].stored.length.sum())
    assert own <= sum(fetched) <= 2 * own  # of both epochs


def test_whole_files_are_fetched_side_by_side_and_each_once(there, monkeypatch):
    registry, _, ref = there
    monkeypatch.setenv("EOLAB_CACHE", str(Path(os.environ["EOLAB_CACHE"]).with_name("empty")))
    found = stream(ref, registry=registry, batch_size=6, threads=0)
    assert _away(found) == [True] * 4
    fetched = []
    together = threading.Barrier(3)  # the one who reads, and he who is ahead, would make two
    download = Bytes.download

    def slow(self, path, *args, **more):
        fetched.append(path)
        if len(fetched) <= 3:
            together.wait(60)
        return download(self, path, *args, **more)

    monkeypatch.setattr(Bytes, "download", slow)
    assert sum(len(batch.ids) for batch in found) == COUNT
    assert len(fetched) == len({*fetched}) == 4


def test_bytes_that_are_not_what_the_table_names_are_refused(there, monkeypatch):
    registry, _, ref = there
    packed = [encode(chip(number)).data for number in range(12)]
    wrong = next(data for data in packed if len(data) == len(encode(chip(12)).data))
    monkeypatch.setenv("EOLAB_CACHE", str(Path(os.environ["EOLAB_CACHE"]).with_name("fresh")))
    found = stream(ref, registry=registry, split="validate")
    monkeypatch.setattr(LakefsRepository, "part", lambda *_, length, **__: wrong[:length])
    with pytest.raises(CorruptChipError, match="other bytes were fetched than the table names"):
        list(found)


def test_the_folder_of_single_chips_stays_below_its_size(tmp_path):
    faraway = Faraway(tmp_path, most=1000)
    path = Path("abcdef.parquet")
    for number in range(40):
        data = faraway.get(path, number, 100, lambda offset, length: bytes([offset]) * length)
        assert data == bytes([number]) * 100
        kept = [file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()]
        assert sum(kept) <= 1000
    assert len(kept) >= 7


def test_batches_are_those_of_the_same_data_on_a_lake_here(there):
    registry, here, ref = there
    far = [batch.ids for batch in stream(ref, registry=registry, batch_size=5, seed=2)]
    near = [batch.ids for batch in stream(ref, registry=here, batch_size=5, seed=2)]
    assert far == near
    assert sum(map(len, far)) == COUNT
