"""Spark jobs as Dagster starts them: programs of their own, told names, heard through Pipes."""

import sys
from collections.abc import Mapping
from typing import Any

import dagster as dg

__all__ = ["run_job"]


def run_job(
    context: dg.AssetExecutionContext,
    pipes: dg.PipesSubprocessClient,
    job: str,
    asked: Mapping[str, Any],
) -> Mapping[str, Any]:
    """Run a job of ``spark_jobs`` to its end; its progress is in the run's log.

    Args:
        context: The asset's.
        pipes: What starts it.
        job: Its module.
        asked: Its arguments: names, numbers and lists of them.

    Returns:
        Its answer.
    """
    done = pipes.run(
        context=context.op_execution_context,  # Pipes asks the other kind for what is deprecated
        command=[sys.executable, "-m", "spark_jobs", job],
        extras={"arguments": dict(asked)},
    )
    said = done.get_materialize_result().metadata or {}
    return {name: getattr(value, "value", value) for name, value in said.items()}
