"""Damaged and hostile tables: named, skipped where asked, and never a dead process."""

import numpy as np
import pyarrow as pa
import pytest

from registry.catalog import Spec
from registry.catalog.registry import Registry
from registry.errors import CorruptError, RegistryError
from registry.lake import init
from registry.learn.loading.filling import CorruptChipError
from registry.learn.loading.stream import stream
from registry.tables import store
from registry.tables.chips import entries_of
from registry.tables.pixels import encode
from registry.tables.schemas import ASSETS, PIXELS, SAMPLES
from tests.learn.loading.lakes import damage, lake_of, sample

COUNT = 20
BROKEN = ("s00006", "s00011")


def _noise(number):
    chance = np.random.default_rng(number)
    return sample(number, arrays={"s2": chance.integers(0, 9999, (2, 8, 8), dtype=np.uint16)})


@pytest.fixture
def damaged(tmp_path):
    registry, ref = lake_of(tmp_path / "lake", [_noise(number) for number in range(COUNT)])
    for name in BROKEN:
        damage(registry, ref, name)
    return registry, ref


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_a_damaged_chip_stops_the_stream_when_it_is_due(damaged, threads):
    registry, ref = damaged
    found = stream(ref, registry=registry, batch_size=4, shuffle=False, threads=threads)
    batches = iter(found)
    assert next(batches).ids[0] == "s00000"
    with pytest.raises(CorruptChipError, match="asset 's2' of sample 's00006'") as caught:
        next(batches)
    assert "on_error='skip'" in caught.value.hint
    assert found.state()["step"] == 1


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_a_damaged_chip_is_replaced_by_the_same_sample_and_reported(damaged, threads):
    registry, ref = damaged
    told = {"registry": registry, "batch_size": 4, "on_error": "skip", "seed": 2}
    one = stream(ref, threads=0, **told)
    other = stream(ref, threads=threads, **told)
    for a, b in zip(one, other, strict=True):
        assert a.ids == b.ids
        assert (a.arrays["s2"] == b.arrays["s2"]).all()
        for name, array in zip(b.ids, b.arrays["s2"], strict=True):
            assert (array == _noise(int(name[1:]))["arrays"]["s2"]).all()
    assert one.skipped == other.skipped
    assert sorted(skip.sample for skip in other.skipped) == sorted(BROKEN)
    assert all(skip.instead not in BROKEN and skip.epoch == 0 for skip in other.skipped)


def test_a_stream_of_damage_alone_stops(tmp_path):
    registry, ref = lake_of(tmp_path / "lake", [_noise(number) for number in range(3)])
    for number in range(3):
        damage(registry, ref, f"s{number:05d}")
    with pytest.raises(CorruptError, match="nor could 16 others"):
        list(stream(ref, registry=registry, on_error="skip"))


def test_a_file_that_ends_too_early_is_said(tmp_path):
    registry, ref = lake_of(tmp_path / "lake", [_noise(number) for number in range(3)])
    found = stream(ref, registry=registry)
    path = found.places["s2"].stored.files[0]
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(300)
    with pytest.raises(CorruptChipError, match="ends too early"):
        list(found)


def _hostile(folder, *, shape=(2, 8, 8), dtype="uint16", data=None, digest=None):
    packed = encode(_noise(0)["arrays"]["s2"])
    registry = Registry(lake=init(str(folder)))
    draft = registry.create(Spec(name="toy"))
    pixels = {"sha256": packed.sha256, "codec": packed.codec, "data": data or packed.data}
    asset = {
        "sample": "s0", "asset": "s2", "pixels": packed.sha256 if digest is None else digest,
        "shape": shape, "dtype": dtype, "times": [],
    }  # fmt: skip
    with draft.edit("fill") as root:
        for schema, row in (
            (SAMPLES, {"id": "s0", "declared": [], "georeferenced": False}),
            (PIXELS, pixels),
            (ASSETS, asset),
        ):
            store.create(root, schema)
            store.append(root, schema, pa.Table.from_pylist([row], schema.arrow))
    return registry, f"toy@{draft.branch}"


@pytest.mark.parametrize(
    "lie",
    [
        {"shape": [2, 8, 9]}, {"shape": [2, 8]}, {"shape": []}, {"shape": None},
        {"shape": [2, 8, None]}, {"shape": [2, -8, -8]}, {"shape": [0, 8, 8]},
        {"shape": [1, 2, 2, 8, 8]}, {"shape": [2**30, 2**30, 2**30]}, {"shape": [2**20, 8, 8]},
        {"dtype": "float32"}, {"dtype": "object"}, {"dtype": "V99999"}, {"dtype": None},
        {"dtype": "no"}, {"data": b"short"}, {"data": b"\x02\x01\x93\x02" + b"\xff" * 60},
        {"data": b"x" * 5_000_000}, {"digest": b"x" * 32}, {"digest": b"x"},
    ],
    ids=str,
)  # fmt: skip
def test_a_lying_table_is_refused(tmp_path, lie):
    registry, ref = _hostile(tmp_path / "lake", **lie)
    with pytest.raises(RegistryError):
        list(stream(ref, registry=registry, batch_size=4096))


@pytest.mark.parametrize(
    "lie",
    [
        {"offset": 0, "group": 99}, {"offset": 0, "row": 99}, {"offset": 0, "group": 2**32 - 1},
        {"length": 2**63 + 5, "offset": 2**63},
        {"length": 2**62, "codec": 0, "offset": 2**64 - 2**62},
        {"offset": 2**64 - 10, "length": 20}, {"codec": 200}, {"codec": 0}, {"length": 0},
    ],
    ids=str,
)  # fmt: skip
def test_a_lying_index_is_refused(tmp_path, lie):
    registry, ref = _hostile(tmp_path / "lake")
    root = registry.resolve(ref).root.path
    (index,) = (root / "pixels" / "_index").glob("*.npy")
    entries = np.load(index)
    for name, value in lie.items():
        entries[name] = value
    index.chmod(0o644)
    np.save(index, entries)
    entries_of.cache_clear()
    try:
        found = list(stream(ref, registry=registry))
    except RegistryError:
        return
    assert (found[0].arrays["s2"][0] == _noise(0)["arrays"]["s2"]).all()  # it was made again


def test_a_thread_that_fails_tells_whoever_reads_the_batches(tmp_path):
    registry, ref = lake_of(tmp_path / "lake", [_noise(number) for number in range(3)])

    def no_memory(shape, dtype):
        raise MemoryError

    with pytest.raises(MemoryError):
        list(stream(ref, registry=registry, allocator=no_memory, threads=2))
