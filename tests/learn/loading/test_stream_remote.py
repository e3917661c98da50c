"""Streams of a lake that is elsewhere: the same batches, and only the files that they need."""

import pytest

from registry.catalog.registry import connect
from registry.lake import lazy
from registry.learn.loading.stream import stream
from tests.lakefs.server import running_server
from tests.learn.loading.lakes import chip, lake_of, sample

COUNT = 24


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    """A lake on a server, as a machine with an empty cache sees it, and the same lake here."""
    samples = [sample(number) for number in range(COUNT)]
    splits = {"mine": {f"s{n:05d}": "train" if n < 6 else "test" for n in range(COUNT)}}
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


def test_batches_are_those_of_the_same_data_on_a_lake_here(there):
    registry, here, ref = there
    far = [batch.ids for batch in stream(ref, registry=registry, batch_size=5, seed=2)]
    near = [batch.ids for batch in stream(ref, registry=here, batch_size=5, seed=2)]
    assert far == near
    assert sum(map(len, far)) == COUNT
