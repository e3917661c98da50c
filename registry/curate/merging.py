"""Merge, revert, cherry-pick and the decisions between: into any branch, protected or not.

A protected branch moves through the gate, to what was judged. Any other gets the change in one
commit, after the checks that the card asks for before a merge.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from registry.catalog import MAIN, Merged, Pending, Ref, draft_branch, pending
from registry.catalog.merging.bringing import as_it_stands, bring, refusal
from registry.catalog.merging.choosing import Choice, choose
from registry.catalog.merging.conflicts import Decisions
from registry.catalog.merging.engine import join
from registry.catalog.merging.joining import Joining, Way
from registry.catalog.merging.merged import Undecided
from registry.catalog.merging.pending import decide, drop
from registry.catalog.ref import DRAFT
from registry.curate import hooks
from registry.curate.gate import Gate
from registry.curate.publishing import finish
from registry.errors import CorruptError, NotFoundError
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog import Registry
    from registry.lake import Repository

__all__ = ["abort", "cherry_pick", "merge", "resolve", "revert", "waiting_for"]


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
    """Merge a branch into another; into a protected one through the same gate as publishing.

    Args:
        registry: Where the dataset is.
        dataset: Its name.
        theirs: Branch, tag or commit to merge.
        into: ``main`` by default, ``draft`` for the caller's, or any branch.
        message: Why.
        prefer: ``ours`` or ``theirs`` where both changed the same and nobody decided; None keeps
            the merge until somebody has (:func:`resolve`).
        allow: Checks or findings that may pass, each with its reason.
        progress: Told what happens.

    Returns:
        What was merged.

    Raises:
        MergeConflictError: Both changed the same; its ``conflicts`` is the table of them.
        NotPassedError: A check found an error in the merged tree.
    """
    source = registry.resolve(Ref(dataset=dataset, at=theirs))
    return _brought(
        registry,
        dataset,
        Joining(
            way=Way.MERGE,
            into=_target(registry, dataset, into or MAIN),
            name=_branch(theirs),
            commit=source.commit.id,
            message=message or f"merge {theirs} into {into or MAIN}",
        ),
        _Ways(prefer=prefer, allow=allow or {}, progress=progress),
    )


def revert(
    registry: "Registry",
    dataset: str,
    commit: str,
    on: str | None = None,
    *,
    message: str | None = None,
    prefer: str | None = None,
    allow: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> Merged:
    """Take back what one commit of a branch's history changed, row by row, in a commit of its own.

    Args:
        registry: Where the dataset is.
        dataset: Its name.
        commit: The commit; of a merge, all that it brought is taken back.
        on: The branch; the caller's draft by default.
        message: Why.
        prefer: As in :func:`merge`: ``ours`` keeps what was changed again since.
        allow: As in :func:`merge`.
        progress: Told what happens.

    Returns:
        What was taken back.

    Raises:
        MergeConflictError: What it changed has been changed again since.
        InvalidInputError: It is not in the history of the branch.
    """
    ways = _Ways(prefer=prefer, allow=allow or {}, progress=progress)
    return _repeated(registry, dataset, (Way.REVERT, commit, on, message), ways)


def cherry_pick(
    registry: "Registry",
    dataset: str,
    commit: str,
    on: str | None = None,
    *,
    message: str | None = None,
    prefer: str | None = None,
    allow: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> Merged:
    """Do on a branch what one commit did elsewhere, row by row, in a commit of its own.

    Args:
        registry: Where the dataset is.
        dataset: Its name.
        commit: The commit.
        on: The branch; the caller's draft by default.
        message: Why.
        prefer: As in :func:`merge`.
        allow: As in :func:`merge`.
        progress: Told what happens.

    Returns:
        What was brought.

    Raises:
        MergeConflictError: It and the branch changed the same.
    """
    ways = _Ways(prefer=prefer, allow=allow or {}, progress=progress)
    return _repeated(registry, dataset, (Way.CHERRY_PICK, commit, on, message), ways)


def waiting_for(registry: "Registry", dataset: str, into: str | None = None) -> Pending:
    """Return the merge that waits for decisions.

    Args:
        registry: Where the dataset is.
        dataset: Its name.
        into: The branch that is merged into; may be left out if only one merge waits.

    Returns:
        The merge.

    Raises:
        NotFoundError: None waits.
    """
    found = pending(registry.lake.repository(dataset), into and _branch(into))
    if found is None:
        where = f" into '{into}'" if into else ""
        raise NotFoundError(
            f"no merge{where} of '{dataset}' waits for decisions",
            hint=f"merge something: eolab merge {dataset} BRANCH",
        )
    return found


def resolve(
    registry: "Registry",
    dataset: str,
    choice: Choice,
    into: str | None = None,
    *,
    message: str | None = None,
    allow: Mapping[str, str] | None = None,
    progress: Progress = SILENT,
) -> Merged | Pending:
    """Decide conflicts of a merge that waits; when none is open, it is finished.

    Where either side has moved meanwhile, what was decided holds for the conflicts that are still
    the same.

    Args:
        registry: Where the dataset is.
        dataset: Its name.
        choice: Which conflicts, and what becomes of them.
        into: As in :func:`waiting_for`.
        message: Why; kept with the decisions, and said by the commit that ends the merge.
        allow: As in :func:`merge`.
        progress: Told what happens.

    Returns:
        What was merged; or the merge as it waits, if conflicts are open.

    Raises:
        NotFoundError: No merge waits, or a conflict that was named is not there.
        NotPassedError: All is decided, and a check found an error in the merged tree; what was
            decided is kept and may be changed.
    """
    repository = registry.lake.repository(dataset)
    waiting = waiting_for(registry, dataset, into)
    decisions = choose(repository, waiting, choice)
    if decisions:
        why = " ".join((message or "").split())
        decisions = {name: replace(made, why=why) for name, made in decisions.items()}
        said = message or f"decide {len(decisions)} of {len(waiting.clashes)}: {choice.to_text()}"
        waiting = decide(repository, waiting, decisions, message=said)
    joining = as_it_stands(repository, waiting.joining)
    return _bring(registry, repository, joining, _Ways(allow=allow or {}, progress=progress))


def abort(registry: "Registry", dataset: str, into: str | None = None) -> str:
    """Drop a merge that waits for decisions; no branch has been changed by it.

    Returns:
        The branch that it would have gone into.

    Raises:
        NotFoundError: None waits.
        CorruptError: What is kept cannot be read, and it was not said which.
    """
    repository = registry.lake.repository(dataset)
    try:
        branch = waiting_for(registry, dataset, into).into
    except CorruptError:
        if into is None:
            raise
        branch = _branch(into)
    drop(repository, branch)
    return branch


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ways:
    """How somebody wants it done."""

    prefer: str | None = None
    allow: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = SILENT


def _branch(name: str) -> str:
    return draft_branch() if name == DRAFT else name


def _target(registry: "Registry", dataset: str, name: str) -> str:
    if name in {MAIN, *registry.lake.repository(dataset).protected()}:
        return name
    return registry.draft(dataset, name).branch


def _repeated(
    registry: "Registry",
    dataset: str,
    asked: tuple[Way, str, str | None, str | None],
    ways: _Ways,
) -> Merged:
    way, name, on, message = asked
    commit = registry.resolve(Ref(dataset=dataset, at=name)).commit
    summary = commit.message.partition("\n")[0]
    joining = Joining(
        way=way,
        into=_target(registry, dataset, on or DRAFT),
        name=commit.id[:12],
        commit=commit.id,
        message=message or f"{way} {commit.id[:12]}: {summary}",
    )
    return _brought(registry, dataset, joining, ways)


def _brought(registry: "Registry", dataset: str, joining: Joining, ways: _Ways) -> Merged:
    repository = registry.lake.repository(dataset)
    outcome = _bring(registry, repository, joining, ways)
    if isinstance(outcome, Pending):
        raise refusal(repository, outcome)
    return outcome


def _bring(
    registry: "Registry", repository: "Repository", joining: Joining, ways: _Ways
) -> Merged | Pending:
    is_protected = joining.into in {MAIN, *repository.protected()}
    if is_protected:
        finish(registry, repository)
    else:
        registry.draft(repository.name, joining.into)  # refuses what may not be written to

    def run(decisions: Decisions, metadata: Mapping[str, str]) -> Merged | Undecided:
        if not is_protected and not _asks_for_checks(registry, repository, joining):
            return join(
                repository,
                joining,
                prefer=ways.prefer,
                decisions=decisions,
                metadata=metadata,
                counting=True,
            )
        landed = Gate(
            registry=registry,
            repository=repository,
            joining=joining,
            ref=Ref(dataset=repository.name, at=joining.name),
            recorded=is_protected,
            allow=ways.allow,
            prefer=ways.prefer,
            decisions=decisions,
            metadata=metadata,
            overtaken=lambda: finish(registry, repository),
            progress=ways.progress,
        ).pass_through()
        if isinstance(landed, Undecided):
            return landed
        return replace(landed.merged, commit=repository.commit(landed.commit))

    return bring(repository, joining, run)


def _asks_for_checks(registry: "Registry", repository: "Repository", joining: Joining) -> bool:
    """Return whether a card of either side asks for checks before a merge."""
    refs = (Ref(dataset=repository.name, at=at) for at in (joining.into, joining.commit))
    return bool(hooks.asked(hooks.MERGE, *(registry.resolve(ref).spec for ref in refs)))
