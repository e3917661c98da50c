"""A lake, a Dagster instance and a run, each of the test's own."""

from collections.abc import Iterator

import dagster as dg
import pytest

from assets.definitions import TO_A_VERSION, everything
from assets.partitions import datasets
from assets.resources import LakeResource

SAID = {"licence": "CC0-1.0", "provider": "Example lab"}


@pytest.fixture
def lake(tmp_path) -> LakeResource:
    return LakeResource(address=str(tmp_path / "lake"))


@pytest.fixture
def instance(tmp_path) -> Iterator[dg.DagsterInstance]:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as made:
        yield made


@pytest.fixture
def materialise(lake, instance):
    def run(name, *, selection=None, **config):
        said = {"source": {"samples": 6}, "samples": SAID} | config
        instance.add_dynamic_partitions(datasets.name, [name])
        return dg.materialize(
            everything(),
            instance=instance,
            partition_key=name,
            resources={"lake": lake, "pipes": dg.PipesSubprocessClient()},
            selection=TO_A_VERSION if selection is None else selection,
            run_config={
                "ops": {
                    asset: {"config": values}
                    for asset, values in said.items()
                    if selection is None or asset in selection
                }
            },
            raise_on_error=False,
        )

    return run
