"""Judging a version: every check, the levels that hold, the verdict."""

import hashlib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.quality.check import ERROR, INFO, Check
from registry.curate.quality.checks import CHECKS
from registry.curate.quality.report import Report
from registry.curate.quality.subject import Subject
from registry.errors import InvalidInputError
from registry.progress import SILENT, Progress
from registry.tables.schemas import reports_schema

if TYPE_CHECKING:
    from registry.catalog import Version

__all__ = ["LEVELS", "check", "rules_hash"]

LEVELS = ("Q0", "Q1")
"""Levels that are computed, lowest first; each needs those before it."""


def check(
    version: "Version",
    *,
    allow: Mapping[str, str] | None = None,
    checks: Iterable[Check] = CHECKS,
    progress: Progress = SILENT,
) -> Report:
    """Judge a version by every check.

    Args:
        version: What is judged: a draft's, a branch's or a published one.
        allow: Checks by name, or single findings by id, whose errors may pass, with the reason.
        checks: The rule set.
        progress: Told how far the look at pixels is.

    Returns:
        The report; its findings say which sample, why, and what would mend it.

    Raises:
        InvalidInputError: A reason is empty, or names what is neither a check nor a finding.
    """
    allowed = dict(allow or {})
    rules = tuple(checks)
    subject = Subject.of(version, progress=progress)
    progress.stage("checking", total=len(rules), unit="checks")
    parts = []
    for rule in rules:
        parts.append(_named(rule, rule.find(subject)))
        progress.advance()
    findings = _sorted(pa.concat_tables(parts))
    _check_allowed(allowed, rules, findings)
    return Report(
        ref=str(version.ref),
        commit=version.commit.id,
        judged=version.content_id,
        rules=rules_hash(),
        level=_level(findings, rules),
        passed=_passes(findings, allowed),
        allowed=allowed,
        samples=subject.tables["samples"].num_rows,
        findings=findings,
    )


@cache
def rules_hash() -> str:
    """Return the SHA-256 of the rule set: of the sources of every check and of how they look.

    Returns:
        64 hex digits; equal wherever the same rules are installed.
    """
    here = resources.files("registry.curate.quality")
    digest = hashlib.sha256()
    sources = [*here.iterdir(), *here.joinpath("checks").iterdir()]
    for source in sorted(sources, key=str):
        if source.name.endswith(".py"):
            digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


def _named(rule: Check, breaches: pa.Table) -> pa.Table:
    """Return breaches as findings, with ids that are the same next time."""
    rows = breaches.num_rows
    name = pa.array([rule.name] * rows, pa.string())
    parts = [name, breaches.column("sample"), breaches.column("asset")]
    ids = pc.binary_join_element_wise(*parts, ":", null_handling="skip")
    schema = reports_schema("quality").arrow
    columns = {"id": _unique(ids), "check": name} | {
        column: breaches.column(column) for column in breaches.column_names
    }
    return pa.table({field.name: columns[field.name] for field in schema}).cast(schema)


def _unique(ids: pa.ChunkedArray) -> pa.Array:
    if pc.count_distinct(ids).as_py() == len(ids):
        return pa.chunked_array(ids.chunks, pa.string())
    seen: dict[str, int] = {}
    named = []
    for text in ids.to_pylist():
        seen[text] = seen.get(text, 0) + 1
        named.append(text if seen[text] == 1 else f"{text}#{seen[text]}")
    return pa.array(named, pa.string())


def _sorted(findings: pa.Table) -> pa.Table:
    rank = pc.index_in(findings.column("severity"), pa.array([ERROR, "warning", INFO]))
    keyed = findings.append_column("rank", rank)
    order = [(name, "ascending") for name in ("rank", "check", "id")]
    return keyed.sort_by(order).drop_columns(["rank"])


def _check_allowed(
    allowed: Mapping[str, str], rules: tuple[Check, ...], findings: pa.Table
) -> None:
    known = {rule.name for rule in rules}
    for name, reason in allowed.items():
        if not reason.strip():
            raise InvalidInputError(
                f"no reason was given to allow '{name}'", hint=f"--allow {name}='why'"
            )
        if name not in known and not pc.any(pc.equal(findings.column("id"), name)).as_py():
            raise InvalidInputError(
                f"there is no check or finding '{name}'",
                hint=f"the checks are {', '.join(sorted(known))}",
            )


def _passes(findings: pa.Table, allowed: Mapping[str, str]) -> bool:
    names = pa.array(sorted(allowed), pa.string())
    errors = findings.filter(pc.equal(findings.column("severity"), ERROR))
    excused = pc.or_(pc.is_in(errors.column("check"), names), pc.is_in(errors.column("id"), names))
    return errors.num_rows == pc.sum(excused.cast(pa.int64())).as_py() if errors.num_rows else True


def _level(findings: pa.Table, rules: tuple[Check, ...]) -> str | None:
    serious = findings.filter(pc.not_equal(findings.column("severity"), INFO))
    broken = set(serious.column("check").unique().to_pylist())
    reached = None
    for level in LEVELS:
        if any(rule.denies == level and rule.name in broken for rule in rules):
            break
        reached = level
    return reached
