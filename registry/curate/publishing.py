"""Publishing: a draft becomes the next version, if what ``main`` would become passes the gate.

The commit that ``main`` moves to is tagged then. Killed at any point, it leaves nothing published,
or a version that is complete: a tag that is missing is set by whoever comes next.
"""

from collections.abc import Mapping
from contextlib import suppress
from itertools import takewhile
from typing import TYPE_CHECKING

from registry.catalog import MAIN, Ref, Version, draft_branch
from registry.catalog.merging.joining import Joining, Way
from registry.catalog.merging.merged import Undecided
from registry.catalog.version import RELEASE
from registry.curate.gate import Gate, NotPassedError, sweep
from registry.errors import ConflictError, NotFoundError
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog import Registry
    from registry.lake import Repository

__all__ = ["NotPassedError", "NothingToPublishError", "finish", "publish"]


class NothingToPublishError(NotFoundError):
    """Everything there is has been published."""

    code = "nothing-to-publish"


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
        MergeConflictError: The draft and ``main`` changed the same rows.
    """
    repository = registry.lake.repository(dataset)
    finish(registry, repository)
    source = _source(registry, dataset, branch)
    ref, joining = _candidate(repository, dataset, source, message)
    landed = Gate(
        registry=registry,
        repository=repository,
        joining=joining,
        ref=ref,
        release=True,
        allow=allow or {},
        overtaken=lambda: finish(registry, repository),
        progress=progress,
    ).pass_through()
    if isinstance(landed, Undecided):
        raise landed.refusal(
            hint=f"merge {MAIN} into '{joining.name}' and decide there: "
            f"eolab merge {dataset} {MAIN} --into {joining.name}"
        )
    _release_earlier(registry, repository, landed.commit)
    version = registry.release(dataset, commit=landed.commit, message=message)
    if source is not None and source.startswith("draft/"):
        # Somebody may have gone on with the draft meanwhile; then it stays as it is.
        with suppress(ConflictError):
            repository.advance(
                source, to=landed.commit, expected=joining.commit, operation="publish"
            )
    return version


def finish(registry: "Registry", repository: "Repository") -> None:
    """Tag versions whose publishers were killed after ``main`` had moved; sweep what they left."""
    head = repository.commit(MAIN)
    _release_earlier(registry, repository, head.id)
    if RELEASE in head.metadata:
        registry.release(repository.name, commit=head.id, message=head.metadata[RELEASE])
    sweep(repository)


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
) -> tuple[Ref, Joining]:
    # What is published, as its report calls it, and as ``main`` takes it in.
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
    joining = Joining(way=Way.MERGE, into=MAIN, name=at, commit=head, message=message)
    return Ref(dataset=dataset, at=at), joining
