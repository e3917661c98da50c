"""Simulations that several tests look at; made once."""

import pytest

from registry.curate.ingest.simulator import TASKS, simulate


@pytest.fixture(scope="session")
def chips_of():
    """Return a few chips of a task, the same for every test."""
    made = {}

    def of(task):
        if task not in made:
            size = 32 if TASKS[task].steps > 1 else 64
            made[task] = tuple(simulate(task, samples=24, seed=11, size=size))
        return made[task]

    return of
