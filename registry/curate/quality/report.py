"""What checks found, and what follows from it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from registry.curate.quality.check import ERROR, INFO, WARNING

__all__ = ["Report"]

_ORDER = {ERROR: 0, WARNING: 1, INFO: 2}
_EXAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Findings on one tree, with a verdict; the same tree and rules give the same report."""

    ref: str
    """What was judged, as a ref."""

    commit: str
    """The commit whose tree was judged."""

    judged: str
    """Content id of the tree that was judged, in hex."""

    rules: str
    """SHA-256 of the rule set, in hex."""

    level: str | None
    """``Q0`` or ``Q1``, the highest level that holds; None if not even Q0 does."""

    passed: bool
    """Whether no error is left that nobody allowed."""

    allowed: Mapping[str, str]
    """Checks or single findings that may pass, each with its reason."""

    samples: int
    """How many samples there are."""

    findings: pa.Table = field(repr=False, compare=False)
    """One row a finding, worst first, with the columns of ``reports/<kind>``."""

    @property
    def verdict(self) -> str:
        """``passed`` or ``failed``."""
        return "passed" if self.passed else "failed"

    @property
    def table(self) -> pa.Table:
        """The findings."""
        return self.findings

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many findings each check has, by severity: check to severity to number."""
        grouped = self.findings.group_by(["check", "severity"]).aggregate([("id", "count")])
        rows = sorted(grouped.to_pylist(), key=lambda row: (_ORDER[row["severity"]], row["check"]))
        counts: dict[str, dict[str, int]] = {}
        for row in rows:
            counts.setdefault(row["check"], {})[row["severity"]] = row["id_count"]
        return counts

    def to_json(self) -> str:
        """Return everything but the rows of findings as a JSON document."""
        document: dict[str, Any] = {
            "ref": self.ref,
            "commit": self.commit,
            "judged": self.judged,
            "rules": self.rules,
            "verdict": self.verdict,
            "level": self.level,
            "samples": self.samples,
            "allowed": dict(self.allowed),
            "counts": self.counts(),
        }
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"

    def to_text(self) -> str:
        """Return it for people: the verdict, then each check with its first findings."""
        level = self.level or "below Q0"
        lines = [f"{self.ref}: {self.verdict}, {level}, {self.samples:,} samples"]
        for check, counts in self.counts().items():
            said = ", ".join(f"{number:,} {severity}" for severity, number in counts.items())
            reason = self.allowed.get(check)
            lines.append(f"  {check}: {said}" + (f" (allowed: {reason})" if reason else ""))
            lines += [f"    {text}" for text in self._examples(check)]
        if not self.findings.num_rows:
            lines.append("  nothing was found")
        return "\n".join(lines)

    def _examples(self, check: str) -> list[str]:
        import pyarrow.compute as pc

        rows = self.findings.filter(pc.field("check") == check)
        shown = rows.slice(0, _EXAMPLES).to_pylist()
        lines = [
            f"{row['sample'] or 'dataset'}"
            f"{'/' + row['asset'] if row['asset'] else ''}: {row['message']}; {row['fix']}"
            for row in shown
        ]
        more = rows.num_rows - len(shown)
        return [*lines, f"… and {more:,} more"] if more else lines
