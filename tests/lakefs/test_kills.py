"""A client that is killed at any step: what it did is there or is not, and others go on."""

import multiprocessing
import os

import pytest

from registry.lake import connect
from tests.lakefs.operations import DONE, OPERATIONS, client, content, prepare, put, state

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([
    "pytest",
    "lakefs_sdk.client",
    "registry.lake.lakefs.lake",
    "tests.lakefs.operations",
])

WRITES = "^(POST|PUT|DELETE) "


@pytest.mark.parametrize("name", ["transaction", "merge", "undo", "move_refs", "workspace"])
def test_a_client_that_is_killed_at_any_step_leaves_all_or_nothing(ships, place, fake, name):
    environment = {key: os.environ[key] for key in (*fake.environment, "EOLAB_CACHE")}

    def outcome(number, step):
        """Return the state before and after a client that dies at a step, and whether it did."""
        prepare(ships, number)
        before = state(ships, number)
        child = PROCESSES.Process(target=client, args=(environment, place, name, number))
        # It dies when a write of its own has been done; what it asks later changes nothing.
        fake.faults.add(WRITES, nth=step, meanwhile=child.kill, applied=True, drop=True)
        child.start()
        child.join()
        fake.faults.clear()
        return before, state(connect(place).repository("ships"), number), child.exitcode != DONE

    before, after, _ = outcome(0, 10_000)
    assert before != after
    step, died = 0, True
    while died:
        step += 1
        before, found, died = outcome(step, step)
        assert found in (before, after), step
        if found == before:
            OPERATIONS[name](ships, step)
            assert state(ships, step) == after, step
    assert step > 1
    put(ships, "main", {"later": b"1"})
    assert content(ships, "main")["later"] == b"1"
