"""The one way into a protected branch: what it would become is judged, and only then does it move.

A private staging branch starts where the protected one stands and takes the change in, row by
row. The checks judge that tree; the report, the STAC items and the cut logs go into the commit
after; the branch moves by compare-and-swap to exactly that commit. Killed at any point, it leaves
the branch as it was, or where it was to go.
"""

import json
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from registry.catalog import Merged, Ref
from registry.catalog.merging.conflicts import Decisions
from registry.catalog.merging.engine import join
from registry.catalog.merging.joining import Joining
from registry.catalog.merging.merged import Undecided
from registry.catalog.trees import ITEMS
from registry.catalog.version import RELEASE, VERDICT
from registry.curate import hooks
from registry.curate.quality import CHECKS, Report, check
from registry.errors import ConflictError, NotFoundError, RejectedError
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog import Registry, Spec
    from registry.lake import Repository

__all__ = ["Gate", "Landed", "NotPassedError", "staging", "sweep"]

_STAGING = "staging/"
_ATTEMPTS = 4
_STALE_SECONDS = 86_400


class NotPassedError(RejectedError):
    """A report found errors that nobody allowed, or a check of the card's own found anything."""

    code = "not-passed"

    def __init__(self, problem: str, *, hint: str, report: Report | None = None) -> None:
        super().__init__(problem, hint=hint)
        self.report = report
        """What was found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landed:
    """A judged commit that the branch has moved to."""

    commit: str
    """The commit with the report."""

    expected: str
    """Where the branch stood."""

    merged: Merged
    """What the merge did."""


def _nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Judges what a branch would become, and lets it move there."""

    registry: "Registry"
    """Where the dataset is."""

    repository: "Repository"
    """Its objects."""

    joining: Joining
    """Which change, into which protected branch."""

    ref: Ref
    """What the tree is called in the report."""

    release: bool = False
    """Whether it becomes a version, or is only merged."""

    recorded: bool = True
    """Whether the branch gets the report and what is made of the tree; False only judges it by
    the checks that the card asks for."""

    allow: Mapping[str, str] = field(default_factory=dict)
    """Checks or findings that may pass, each with its reason."""

    prefer: str | None = None
    """``ours`` or ``theirs`` where both changed the same."""

    decisions: Decisions = field(default_factory=dict)
    """What was decided about conflicts."""

    metadata: Mapping[str, str] = field(default_factory=dict)
    """What the commit says besides."""

    overtaken: Callable[[], None] = _nothing
    """Called when somebody else moved the branch meanwhile."""

    progress: Progress = SILENT
    """Told what happens."""

    def pass_through(self) -> Landed | Undecided:
        """Judge and move; judged afresh if somebody else moved the branch meanwhile.

        Two trees that pass can merge into one that does not.

        Returns:
            Where the branch stands now; or the conflicts that are open, and then it has not moved.

        Raises:
            NotPassedError: A check found an error.
            ConflictError: Others keep moving the branch.
        """
        into = self.joining.into
        for _ in range(_ATTEMPTS):
            with staging(self.repository, at=into) as branch:
                landed = self._judge(branch)
                if isinstance(landed, Undecided) or landed.commit == landed.expected:
                    return landed
                with suppress(ConflictError):
                    self.repository.advance(
                        into,
                        to=landed.commit,
                        expected=landed.expected,
                        operation="publish" if self.release else self.joining.way,
                    )
                    return landed
            self.overtaken()
        raise ConflictError(
            f"others moved '{into}' of '{self.repository.name}' {_ATTEMPTS} times meanwhile",
            hint="try again when they are done",
        )

    def _judge(self, branch: str) -> Landed | Undecided:
        stood = self.repository.resolve(branch)
        card = self.registry.resolve(Ref(dataset=self.repository.name, at=branch)).spec
        merged = self._join(branch)
        if isinstance(merged, Undecided):
            return merged
        if not merged.moved and not self.release:
            return Landed(commit=stood, expected=stood, merged=merged)
        commit = self._pass(branch, card, forwarded=merged.commit.id == self.joining.commit)
        return Landed(commit=commit, expected=stood, merged=merged)

    def _join(self, branch: str) -> Merged | Undecided:
        self.progress.stage("merging", total=None, unit="tables")
        joining = self.joining
        if self.release:  # the commit of the report, which comes after, says why
            said = f"{joining.way} {joining.name} into {joining.into}"
            joining = replace(joining, message=said)
        return join(
            self.repository,
            joining,
            branch=branch,
            prefer=self.prefer,
            decisions=self.decisions,
            metadata=self.metadata,
            counting=not self.release,
        )

    def _pass(self, branch: str, card: "Spec", *, forwarded: bool) -> str:
        """Return the commit that the branch may move to, if the tree passes.

        Args:
            branch: The staging branch.
            card: The protected branch's.
            forwarded: Whether no commit of its own says what was merged.

        Raises:
            NotPassedError: It does not.
        """  # noqa: DOC501 — functions make the errors
        tree = self.registry.resolve(Ref(dataset=self.repository.name, at=branch))
        operation = hooks.PUBLISH if self.release else hooks.MERGE
        names = hooks.asked(operation, card, tree.spec)
        own = CHECKS if self.recorded else ()
        rules = {rule.name: rule for rule in (*own, *hooks.checks_of(names))}
        if not rules:  # theirs asked for checks, and the merge took that back
            return tree.commit.id
        report = check(
            replace(tree, ref=self.ref),
            allow=self.allow,
            checks=rules.values(),
            progress=self.progress,
        )
        if self.recorded and not report.passed:
            raise _not_passed(report)
        if found := hooks.findings_of(report, names, allowed=self.allow):
            raise _refused(report, found, operation)
        if not self.recorded:
            return tree.commit.id
        self.progress.stage("recording", total=None, unit="files")
        said = f"report on {self.joining.into}: {report.verdict}, level {report.level or 'none'}"
        if self.release:
            said = self.joining.message
        elif forwarded:
            said = f"{self.joining.message.rstrip()}\n\n{said}"
        return _record(self.repository, branch, report, self, said)


@contextmanager
def staging(repository: "Repository", *, at: str) -> Iterator[str]:
    """Open a branch of one's own, gone when the block ends.

    Yields:
        Its name.
    """
    branch = f"{_STAGING}{int(time.time())}-{uuid.uuid4().hex[:12]}"
    repository.create_branch(branch, at=at)
    try:
        yield branch
    finally:
        with suppress(NotFoundError):
            repository.delete_branch(branch)


def sweep(repository: "Repository") -> None:
    """Delete staging branches of whoever was killed; a living one is younger than a day."""
    for name in repository.branches(_STAGING):
        began = name.removeprefix(_STAGING).partition("-")[0]
        if began.isdigit() and time.time() - int(began) > _STALE_SECONDS:
            with suppress(NotFoundError):
                repository.delete_branch(name)


def _not_passed(report: Report) -> NotPassedError:
    errors = {
        name: counts["error"]
        for name, counts in report.counts().items()
        if "error" in counts and name not in report.allowed
    }
    said = ", ".join(f"{name} ({number:,})" for name, number in errors.items())
    first = next(iter(errors), "check")
    return NotPassedError(
        f"'{report.ref}' has errors: {said}",
        hint=f"see why: eolab check {report.ref}; mend it, or --allow {first}='reason'",
        report=report,
    )


def _refused(report: Report, found: Mapping[str, int], operation: str) -> NotPassedError:
    said = ", ".join(f"{name} ({number:,})" for name, number in found.items())
    first = next(iter(found))
    example = report.findings.to_pylist()
    why = next(row["message"] for row in example if row["check"] == first)
    return NotPassedError(
        f"the card asks for checks before {operation}, and they found something: {said}; {why}",
        hint=f"mend it, or --allow {first}='reason'",
        report=report,
    )


def _record(repository: "Repository", branch: str, report: Report, gate: Gate, message: str) -> str:
    # The report, the items and the cut logs go on top of exactly the tree that was judged.
    metadata = {
        VERDICT: report.verdict,
        "judged": report.judged,
        "judged-commit": report.commit,
        "rules": report.rules,
        "level": report.level or "none",
    }
    if report.allowed:
        metadata["allowed"] = json.dumps(dict(report.allowed), sort_keys=True)
    if gate.release:
        metadata[RELEASE] = " ".join(message.split()) or "release"
    with repository.workspace(branch) as workspace:
        if workspace.head != report.commit:
            raise ConflictError(
                f"the staging branch '{branch}' moved while it was judged", hint="publish again"
            )
        left_out = _write_derived(workspace.path, repository.name, report)
        metadata["items-left-out"] = str(left_out)
        return workspace.commit(message, metadata=metadata).id


def _write_derived(root: Path, dataset: str, report: Report) -> int:
    """Return how many samples are no STAC items, having written what is made of the tree."""
    from registry.stac import write_items
    from registry.tables import store
    from registry.tables.schemas import reports_schema

    shutil.rmtree(root / "reports" / "quality", ignore_errors=True)
    store.create(root, reports_schema("quality"))
    store.append(root, reports_schema("quality"), report.findings)
    (root / "reports" / "quality.json").write_text(report.to_json(), encoding="utf-8")
    left_out = 0
    if store.exists(root, "samples"):
        left_out = write_items(root, root / ITEMS, name=dataset).left_out
    for name in store.names(root):
        store.checkpoint(root, name)
    return left_out
