"""Quality: the library's checks, shown in Dagster."""

from collections.abc import Iterator

import dagster as dg
from pydantic import Field

from assets.partitions import datasets
from assets.resources import LakeResource
from assets.views import findings_text

__all__ = ["ReportConfig", "report"]


class ReportConfig(dg.Config):
    """What may pass although a check found it."""

    allow: dict[str, str] = Field(default_factory=dict)
    """Checks whose findings may pass, each with its reason."""


@dg.asset(
    partitions_def=datasets,
    group_name="quality",
    kinds={"duckdb"},
    code_version="1",
    check_specs=[
        dg.AssetCheckSpec("passes", asset="report", blocking=True, description="No error is left.")
    ],
)
def report(
    config: ReportConfig, lake: LakeResource, samples: str
) -> Iterator[dg.MaterializeResult[str] | dg.AssetCheckResult]:
    """Every check's findings on the samples, with their evidence and what would mend them."""
    from registry.curate.quality import check

    verdict = check(lake.open().resolve(samples), allow=config.allow)
    shown = {
        "level": verdict.level or "none",
        "findings": verdict.findings.num_rows,
        "table": dg.MetadataValue.md(findings_text(verdict)),
        "judged": verdict.judged,
        "rules": verdict.rules,
    }
    yield dg.MaterializeResult(
        value=samples, metadata=shown, data_version=dg.DataVersion(verdict.judged)
    )
    yield dg.AssetCheckResult(check_name="passes", passed=verdict.passed, metadata=shown)
