"""What a report says, gathered so that a person can take it in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.catalog.version import Version

__all__ = ["Group", "Judged", "Judgement", "judgement"]

_ORDER = {"error": 0, "warning": 1, "info": 2}
_EXAMPLES = 5
_TABLE = "reports/quality"


class Judged(Protocol):
    """What a page needs of a report."""

    @property
    def findings(self) -> "pa.Table":
        """One row a finding."""
        ...

    @property
    def passed(self) -> bool:
        """Whether no error is left that nobody allowed."""
        ...

    @property
    def level(self) -> str | None:
        """The highest quality level that holds."""
        ...

    @property
    def allowed(self) -> Mapping[str, str]:
        """What may pass, each with its reason."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The findings of one check at one severity."""

    check: str
    """What was looked at."""

    severity: str
    """``error``, ``warning`` or ``info``."""

    count: int
    """How many there are."""

    fix: str
    """What would mend the first."""

    examples: tuple[tuple[str, str], ...]
    """Samples with what is wrong with them, the first ones."""

    allowed: str
    """Why it may pass; empty if nobody said so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A report as a page shows it."""

    passed: bool | None
    """None if the report does not say."""

    level: str | None
    """The highest quality level that holds; None if none does or nobody says."""

    groups: tuple[Group, ...]
    """Findings, worst first."""


def judgement(version: "Version", report: Judged | None) -> Judgement | None:
    """Return what a report says; None if there is none.

    Args:
        version: What was judged.
        report: The report; by default the one that was published with the version.
    """
    said = version.commit.metadata
    if report is not None:
        groups = _groups(report.findings, report.allowed)
        return Judgement(passed=report.passed, level=report.level, groups=groups)
    if _TABLE not in version.tables():
        return None
    level = said.get("level")
    passed = said["verdict"] == "passed" if "verdict" in said else None
    return Judgement(
        passed=passed,
        level=None if level == "none" else level,
        groups=_groups(version.table(_TABLE), _allowed(said)),
    )


def _allowed(said: Mapping[str, str]) -> Mapping[str, str]:
    try:
        found = json.loads(said.get("allowed", "{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _groups(findings: "pa.Table", allowed: Mapping[str, str]) -> tuple[Group, ...]:
    counted = findings.group_by(["check", "severity"]).aggregate([("id", "count")]).to_pylist()
    counted.sort(key=lambda row: (_ORDER.get(row["severity"], 3), row["check"]))
    return tuple(_group(findings, row, allowed) for row in counted)


def _group(findings: "pa.Table", row: dict[str, Any], allowed: Mapping[str, str]) -> Group:
    import pyarrow.compute as pc

    wanted = (pc.field("check") == row["check"]) & (pc.field("severity") == row["severity"])
    first = findings.filter(wanted).slice(0, _EXAMPLES).to_pylist()
    return Group(
        check=row["check"],
        severity=row["severity"],
        count=row["id_count"],
        fix=str(first[0]["fix"] or ""),
        examples=tuple((_where(each), str(each["message"])) for each in first),
        allowed=str(allowed.get(row["check"], "")),
    )


def _where(finding: dict[str, Any]) -> str:
    sample, asset = finding["sample"], finding["asset"]
    return f"{sample} / {asset}" if sample and asset else sample or "the dataset"
