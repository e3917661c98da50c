"""Sensors: what other people's commits set going."""

import json

import dagster as dg

from assets.partitions import datasets
from assets.resources import LakeResource
from assets.versions import items, page

__all__ = ["new_commits"]


@dg.sensor(target=[items, page], minimum_interval_seconds=30)
def new_commits(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
    """See datasets whose `main` moved outside Dagster, and make their items and page again."""
    registry = lake.open()
    heads = {name: registry.lake.repository(name).resolve("main") for name in registry.names()}
    seen = json.loads(context.cursor or "{}")
    moved = [name for name, head in heads.items() if seen.get(name) != head]
    known = set(context.instance.get_dynamic_partitions(datasets.name or ""))
    new = [name for name in heads if name not in known]
    return dg.SensorResult(
        run_requests=[
            dg.RunRequest(run_key=f"{name}:{heads[name]}", partition_key=name)
            for name in moved
            if any(version.tombstone is None for version in registry.versions(name))
        ],
        dynamic_partitions_requests=[datasets.build_add_request(new)] if new else [],
        cursor=json.dumps(heads),
    )
