"""What a new process loads until it has its first batch."""

import subprocess
import sys

import pytest

from tests.learn.loading.simulated import simulated

_FIRST = """
import sys
import registry

for address, ref in zip(sys.argv[1::2], sys.argv[2::2]):
    stream = registry.stream(ref, registry=registry.connect(address), split="train", batch_size=4)
    print(stream.plan.batch_size, len(next(iter(stream)).ids))
print(*(name for name in ("pandas", "PIL", "torch", "duckdb") if name in sys.modules))
"""


@pytest.fixture(scope="module")
def lakes(tmp_path_factory, ungated):
    made = [
        simulated(tmp_path_factory.mktemp("scenes"), "classification", published=ungated),
        simulated(tmp_path_factory.mktemp("ships"), "detection", samples=8, size=32),
        simulated(tmp_path_factory.mktemp("scars"), "burn-scars", samples=8),
        simulated(tmp_path_factory.mktemp("fields"), "time-series", samples=8),
    ]
    return [(registry.lake.address, ref) for registry, ref in made]


def test_a_first_batch_waits_for_no_library_that_it_does_not_need(lakes):
    words = [sys.executable, "-c", _FIRST, *(word for lake in lakes for word in lake)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [*["4 4"] * len(lakes), ""]
