import numpy as np
import pytest

from registry.curate.ingest import ingest_arrays
from registry.curate.ingest.simulator import batches
from registry.errors import RejectedError


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_simulated_chips_land_with_their_truth(registry, task):
    made = list(batches(task, samples=5, seed=1, batch=2))
    result = ingest_arrays(registry, made, into="simulated", name="one", task=task)
    draft = registry.resolve("simulated@draft")
    assert result.added == draft.count("samples") == 5
    assert draft.count("annotations") == sum(len(batch.annotations) for batch in made)
    for each in made[0].assets:
        np.testing.assert_array_equal(draft.chip(each.sample, each.asset), each.array)
    first = made[0].assets[0]
    assert draft.spec.assets[first.asset].bands == tuple(first.bands)
    assert draft.spec.properties["eo:cloud_cover"] == "double"


def test_the_same_arrays_again_make_no_commit(registry):
    first, again = (
        ingest_arrays(
            registry, batches("segmentation", samples=4, seed=1), into="simulated", name="a"
        )
        for _ in range(2)
    )
    assert (again.added, again.unchanged) == (0, 4)
    assert again.commit == first.commit


def test_no_arrays_are_refused(registry):
    with pytest.raises(RejectedError, match="has no samples"):
        ingest_arrays(registry, [], into="simulated", name="a")
    assert registry.names() == []
