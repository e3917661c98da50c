"""The one way in: what would become ``main`` is judged, and only if it passes does main move.

A private staging branch starts at ``main`` and takes the draft in, row by row. The checks judge
that tree; the report, the STAC items and the cut logs go into the commit after; ``main`` moves by
compare-and-swap to exactly that commit, which is then tagged. Killed at any point, it leaves
nothing published, or a version that is complete: a tag that is missing is set by whoever comes
next.
"""

import json
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from registry.catalog import MAIN, MergeConflictError, Merged, Ref, Version, draft_branch
from registry.catalog.merging import merge_branches
from registry.catalog.trees import ITEMS
from registry.catalog.version import RELEASE, VERDICT
from registry.curate.quality import Report, check
from registry.errors import ConflictError, NotFoundError, RejectedError
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog import Registry
    from registry.lake import Repository

__all__ = ["NotPassedError", "NothingToPublishError", "merge", "publish"]

_STAGING = "staging/"
_ATTEMPTS = 4
_STALE_SECONDS = 86_400


class NotPassedError(RejectedError):
    """A report found errors that nobody allowed."""

    code = "not-passed"

    def __init__(self, problem: str, *, hint: str, report: Report | None = None) -> None:
        super().__init__(problem, hint=hint)
        self.report = report
        """What was found."""


class NothingToPublishError(NotFoundError):
    """Everything there is has been published."""

    code = "nothing-to-publish"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    """What may become ``main``."""

    ref: Ref
    """What it is called in the report."""

    commit: str
    """What is merged into ``main``."""

    message: str
    """Why."""

    release: bool
    """Whether it becomes a version, or is only merged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Landed:
    """A judged commit that ``main`` may move to."""

    commit: str
    """The commit with the report."""

    expected: str
    """Where ``main`` stood."""

    merged: Merged
    """What the merge did."""


def publish(
    registry: "Registry",
    dataset: str,
    *,
    message: str,
    branch: str | None = None,
    allow: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> Version:
    """Publish a draft as the next version, if its tree merged with ``main`` passes the checks.

    Args:
        registry: Where the dataset is.
        dataset: Its name.
        message: What the release is about.
        branch: What to publish; the caller's draft by default, or ``main`` itself if a merge has
            moved it since the last version and there is nothing new in the draft.
        allow: Checks or findings that may pass, each with its reason; recorded in the version.
        progress: Told what happens.

    Returns:
        The new version.

    Raises:
        NothingToPublishError: All of it is published.
        NotPassedError: A check found an error; its ``report`` says which.
        ConflictError: The draft and ``main`` changed the same rows.
    """
    repository = registry.lake.repository(dataset)
    _finish(registry, repository)
    source = _source(registry, dataset, branch)
    candidate = _candidate(repository, dataset, source, message)
    landed = _Gate(
        registry=registry,
        repository=repository,
        candidate=candidate,
        allow=allow or {},
        prefer=None,
        progress=progress,
    ).pass_through()
    _release_earlier(registry, repository, landed.commit)
    version = registry.release(dataset, commit=landed.commit, message=message)
    if source is not None and source.startswith("draft/"):
        # Somebody may have gone on with the draft meanwhile; then it stays as it is.
        with suppress(ConflictError):
            repository.advance(
                source, to=landed.commit, expected=candidate.commit, operation="publish"
            )
    return version


def merge(
    registry: "Registry",
    dataset: str,
    theirs: str,
    into: str | None = None,
    *,
    message: str | None = None,
    prefer: str | None = None,
    allow: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> Merged:
    """Merge a branch into another; into ``main`` through the same gate as publishing.

    Args:
        registry: Where the dataset is.
        dataset: Its name.
        theirs: Branch, tag or commit to merge.
        into: ``main`` by default, or an unprotected branch.
        message: Why.
        prefer: ``ours`` or ``theirs`` where both changed the same; None lists the conflicts.
        allow: As in :func:`publish`.
        progress: Told what happens.

    Returns:
        What was merged.

    Raises:
        ConflictError: Both changed the same; its ``conflicts`` is the table of them.
        NotPassedError: A check found an error in the merged tree.
    """
    if into not in {None, MAIN}:
        return registry.merge(dataset, theirs, into, message=message, prefer=prefer)
    repository = registry.lake.repository(dataset)
    _finish(registry, repository)
    source = registry.resolve(Ref(dataset=dataset, at=theirs))
    main = repository.resolve(MAIN)
    if repository.merge_base(source.commit.id, main) == source.commit.id:
        return Merged(commit=repository.commit(main), moved=False)
    candidate = _Candidate(
        ref=source.ref,
        commit=source.commit.id,
        message=message or f"merge {theirs} into {MAIN}",
        release=False,
    )
    landed = _Gate(
        registry=registry,
        repository=repository,
        candidate=candidate,
        allow=allow or {},
        prefer=prefer,
        progress=progress,
    ).pass_through()
    return replace(landed.merged, commit=repository.commit(landed.commit), moved=True)


def _finish(registry: "Registry", repository: "Repository") -> None:
    """Tag versions whose publishers were killed after ``main`` had moved; sweep what they left."""
    head = repository.commit(MAIN)
    _release_earlier(registry, repository, head.id)
    if RELEASE in head.metadata:
        registry.release(repository.name, commit=head.id, message=head.metadata[RELEASE])
    for name in repository.branches(_STAGING):
        began = name.removeprefix(_STAGING).partition("-")[0]
        if began.isdigit() and time.time() - int(began) > _STALE_SECONDS:
            with suppress(NotFoundError):
                repository.delete_branch(name)


def _release_earlier(registry: "Registry", repository: "Repository", landed: str) -> None:
    """Tag, oldest first, what became ``main`` before a commit and waits for its tag.

    A publisher that was killed or is slow must not get a number above those that came later.
    """
    tagged = set(repository.tags().values())
    since = takewhile(lambda commit: commit.id not in tagged, repository.log(landed))
    waiting = [commit for commit in since if RELEASE in commit.metadata and commit.id != landed]
    for commit in reversed(waiting):
        registry.release(repository.name, commit=commit.id, message=commit.metadata[RELEASE])


def _source(registry: "Registry", dataset: str, branch: str | None) -> str | None:
    """Return the branch to publish; None is ``main`` itself."""
    if branch == MAIN:
        return None
    if branch is not None:
        return registry.draft(dataset, branch).branch
    own = draft_branch()
    return own if own in registry.lake.repository(dataset).branches("draft/") else None


def _candidate(
    repository: "Repository", dataset: str, source: str | None, message: str
) -> _Candidate:
    main = repository.resolve(MAIN)
    head = main if source is None else repository.resolve(source)
    if repository.merge_base(head, main) == head:
        head = main
        tag = {commit: name for name, commit in repository.tags().items()}.get(main)
        if tag is not None:
            raise NothingToPublishError(
                f"nothing is new in '{dataset}' since {tag}",
                hint=f"change something first: eolab ingest … --into {dataset}, or eolab edit",
            )
    own = source == draft_branch()
    at = "draft" if own and head != main else source if source and head != main else MAIN
    return _Candidate(ref=Ref(dataset=dataset, at=at), commit=head, message=message, release=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Gate:
    """Judges a candidate merged with ``main``, and lets ``main`` move to it."""

    registry: "Registry"
    repository: "Repository"
    candidate: _Candidate
    allow: Mapping[str, str]
    prefer: str | None
    progress: Progress

    def pass_through(self) -> _Landed:
        # Judged afresh if somebody else moved main meanwhile: two trees that pass can merge
        # into one that does not.
        for _ in range(_ATTEMPTS):
            with _staging(self.repository) as branch:
                landed = self._judge(branch)
                with suppress(ConflictError):
                    self.repository.advance(
                        MAIN, to=landed.commit, expected=landed.expected, operation="publish"
                    )
                    return landed
            _finish(self.registry, self.repository)
        raise ConflictError(
            f"others published '{self.repository.name}' {_ATTEMPTS} times meanwhile",
            hint="try again when they are done",
        )

    def _judge(self, branch: str) -> _Landed:
        main = self.repository.resolve(branch)
        merged = self._merge(branch)
        tree = self.registry.resolve(Ref(dataset=self.repository.name, at=branch))
        report = check(
            replace(tree, ref=self.candidate.ref), allow=self.allow, progress=self.progress
        )
        if not report.passed:
            raise _refusal(report)
        self.progress.stage("recording", total=None, unit="files")
        commit = _record(self.repository, branch, report, self.candidate)
        return _Landed(commit=commit, expected=main, merged=merged)

    def _merge(self, branch: str) -> Merged:
        self.progress.stage("merging", total=None, unit="tables")
        theirs = self.candidate.ref.at
        try:
            return merge_branches(
                self.repository,
                theirs=self.candidate.commit,
                into=branch,
                message=f"merge {theirs} into {MAIN}",
                prefer=self.prefer,
            )
        except MergeConflictError as error:
            name = self.repository.name
            raise MergeConflictError(
                error.problem,
                hint=f"merge {MAIN} into '{theirs}' first and decide there: "
                f"eolab merge {name} {MAIN} --into {theirs} --prefer …",
                conflicts=error.conflicts,
            ) from error


@contextmanager
def _staging(repository: "Repository") -> Iterator[str]:
    branch = f"{_STAGING}{int(time.time())}-{uuid.uuid4().hex[:12]}"
    repository.create_branch(branch, at=MAIN)
    try:
        yield branch
    finally:
        repository.delete_branch(branch)


def _refusal(report: Report) -> NotPassedError:
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


def _record(repository: "Repository", branch: str, report: Report, candidate: _Candidate) -> str:
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
    if candidate.release:
        metadata[RELEASE] = " ".join(candidate.message.split()) or "release"
    with repository.workspace(branch) as workspace:
        if workspace.head != report.commit:
            raise ConflictError(
                f"the staging branch '{branch}' moved while it was judged", hint="publish again"
            )
        left_out = _write_derived(workspace.path, repository.name, report)
        metadata["items-left-out"] = str(left_out)
        return workspace.commit(candidate.message, metadata=metadata).id


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
