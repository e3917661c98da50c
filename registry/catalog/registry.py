"""The catalogue of a lake: datasets, drafts, versions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from registry.catalog.branches import (
    MAIN,
    ensure_branch,
    first_commit,
    freshen,
    refuse_protected,
)
from registry.catalog.card.spec import Spec
from registry.catalog.comparing.difference import DatasetDiff, difference
from registry.catalog.merging.joining import Joining, Way
from registry.catalog.merging.pending import PENDING, Pending
from registry.catalog.ref import DRAFT, Ref, draft_branch, is_tag, like_commit, version_number
from registry.catalog.shelf import TOMBSTONES, Shelf
from registry.catalog.version import CARD, VERDICT, Draft, Tombstone, Version
from registry.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from registry.lake.names import MODELS, default_author
from registry.lake.purges import PURGES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from registry.catalog.forgetting.purging import Forgotten, Wanted
    from registry.catalog.merging.conflicts import Decisions
    from registry.catalog.merging.merged import Merged, Undecided
    from registry.lake import Commit, Lake, RefUpdate, Repository

__all__ = ["MAIN", "Registry", "connect"]

_KEPT_NAMES = frozenset({MAIN, DRAFT, TOMBSTONES, PURGES, "HEAD"})
_KEPT_FOLDERS = ("derived/", "staging/", PENDING)
_OWN = "eolab-"  # how the lab's own hidden branches on a lakeFS server begin


def connect(address: str | None = None) -> "Registry":
    """Return the registry of the lake at an address.

    Args:
        address: ``file:///data/lake`` or a folder; by default ``EOLAB_LAKE``, else ``.eolab/lake``.

    Raises:
        NotFoundError: There is no lake.
    """
    from registry.lake import connect as connect_lake

    return Registry(lake=connect_lake(address))


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Every dataset of one lake."""

    lake: "Lake"
    """Where they are kept."""

    # ---------------------------------------------------------------- datasets
    def create(self, spec: Spec) -> Draft:
        """Make a dataset whose ``main`` holds its card, and open the caller's draft.

        Returns:
            The draft.

        Raises:
            ConflictError: There is one of that name.
            InvalidInputError: Models have names like that.
        """
        if spec.name.startswith(MODELS):
            raise InvalidInputError(
                f"'{spec.name}' cannot be a dataset's name: models begin with '{MODELS}'",
                hint=f"call it {spec.name.removeprefix(MODELS) or 'something else'}",
            )

        def lay_card(repository: "Repository") -> None:
            with repository.transaction(MAIN, message=f"create {spec.name}") as transaction:
                transaction.put(CARD, spec.to_readme().encode())
            repository.protect(MAIN)

        self.lake.create(spec.name, prepare=lay_card)
        return self.draft(spec.name)

    def names(self) -> list[str]:
        """Return the names of the datasets, sorted; models are no datasets."""
        return [name for name in self.lake.repositories() if not name.startswith(MODELS)]

    # ----------------------------------------------------------------- reading
    def resolve(self, ref: Ref | str) -> Version:
        """Return what a ref names now; what is returned never changes.

        Args:
            ref: ``name`` alone is the newest version that was not withdrawn; ``name@draft`` the
                caller's own draft; else a tag, a branch, or the first digits of a commit.

        Raises:
            NotFoundError: There is no such dataset, version, branch or commit.
        """
        asked = Ref.parse(ref) if isinstance(ref, str) else ref
        repository = self.lake.repository(asked.dataset)
        return Shelf.of(repository).version(asked)

    def versions(self, dataset: str) -> list[Version]:
        """Return the published versions of a dataset, oldest first, withdrawn ones too."""
        shelf = Shelf.of(self.lake.repository(dataset))
        return [shelf.version(Ref(dataset=dataset, at=tag)) for tag in shelf.tags]

    def log(self, ref: Ref | str, path: str | None = None) -> Iterator["Commit"]:
        """Yield the commits behind a ref, newest first.

        Args:
            ref: As in :meth:`resolve`; a name alone that has no version yet is its ``main``.
            path: Only commits that changed this table or file.

        Returns:
            The commits.
        """
        asked = Ref.parse(ref) if isinstance(ref, str) else ref
        repository = self.lake.repository(asked.dataset)
        shelf = Shelf.of(repository)
        if asked.at is None and not shelf.tags:
            asked = Ref(dataset=asked.dataset, at=MAIN)
        return repository.log(shelf.where(asked), path=path)

    def diff(
        self, before: Ref | str, after: Ref | str, tables: Sequence[str] | None = None
    ) -> DatasetDiff:
        """Return what changed between two refs of one dataset, row by row.

        Args:
            before: The one ref, as in :meth:`resolve`.
            after: The other.
            tables: Only these; all, the card and other files if None.

        Raises:
            InvalidInputError: They are of two datasets.
            NotFoundError: A table that was named is in neither.
        """
        return difference(self.resolve(before), self.resolve(after), tables)

    def blame(self, ref: Ref | str, table: str, keys: Sequence[object] | None = None) -> "pa.Table":
        """Return the commit that changed each row of a table last: see :func:`blame`.

        Args:
            ref: Where to begin, as in :meth:`resolve`.
            table: The table.
            keys: Keys of rows, also of deleted ones; every row that is there if None.
        """
        from registry.catalog.comparing.blame import blame

        return blame(self.resolve(ref), table, keys)

    # ---------------------------------------------------------------- branches
    def draft(self, dataset: str, branch: str | None = None) -> Draft:
        """Open a branch for writing.

        Args:
            dataset: The dataset's name.
            branch: A branch that exists; by default the caller's draft, which is made from
                ``main`` if there is none, and brought up to ``main`` if all of it is published.

        Returns:
            The branch.

        Raises:
            ForbiddenError: The branch is protected: it moves by publishing alone.
            NotFoundError: There is no such dataset or branch.
        """
        repository = self.lake.repository(dataset)
        if branch is None or branch == DRAFT:
            branch = draft_branch()
            freshen(repository, branch)
        refuse_protected(repository, branch)
        if branch not in repository.branches():
            raise NotFoundError(
                f"dataset '{dataset}' has no branch '{branch}'",
                hint=f"make it: eolab branch {dataset} {branch}",
            )
        return Draft(dataset=dataset, branch=branch, repository=repository)

    def branch(self, dataset: str, name: str, at: str | None = None) -> Draft:
        """Make a branch.

        Args:
            dataset: The dataset's name.
            name: The branch's; not ``main``, ``draft``, ``v1`` or what looks like a commit.
            at: Where it starts: tag, branch or commit; ``main`` by default.

        Returns:
            The branch, open for writing.

        Raises:
            ConflictError: There is one of that name.
            InvalidInputError: The name is kept for something else.
        """
        kept = name in _KEPT_NAMES or name.startswith((*_KEPT_FOLDERS, _OWN))
        if kept or is_tag(name) or like_commit(name):
            raise InvalidInputError(
                f"'{name}' cannot be a branch's name: it means something else in a ref",
                hint="choose a word, such as 'fix-labels' or 'anna/fix'",
            )
        repository = self.lake.repository(dataset)
        start = Shelf.of(repository).where(Ref(dataset=dataset, at=at or MAIN))
        repository.create_branch(name, at=start)
        return Draft(dataset=dataset, branch=name, repository=repository)

    def branches(self, dataset: str) -> dict[str, str]:
        """Return the branches that people work on, with the commits they name."""
        branches = self.lake.repository(dataset).branches()
        return {
            name: commit
            for name, commit in branches.items()
            if name not in {TOMBSTONES, PURGES} and not name.startswith(_KEPT_FOLDERS)
        }

    def delete_branch(self, dataset: str, name: str) -> None:
        """Delete a branch; the reflog keeps where it was until garbage is collected.

        Raises:
            ForbiddenError: It is protected.
            NotFoundError: There is no such branch.
        """
        if name in {TOMBSTONES, PURGES} or name.startswith(("derived/", PENDING)):
            raise ForbiddenError(
                f"'{name}' of '{dataset}' belongs to the lab",
                hint=f"leave it in place; a merge that waits is dropped by: eolab merge {dataset} "
                "--abort",
            )
        self.lake.repository(dataset).delete_branch(
            draft_branch() if name == DRAFT else name,
        )

    def undo(self, dataset: str, branch: str) -> "RefUpdate":
        """Take back the last movement of a branch, also its deletion; an undo can be undone.

        Returns:
            The movement that took it back.

        Raises:
            ForbiddenError: The branch is protected.
            NotFoundError: It has never moved.
        """
        repository = self.lake.repository(dataset)
        name = draft_branch() if branch == DRAFT else branch
        refuse_protected(repository, name)
        return repository.undo(name)

    def merge(
        self,
        dataset: str,
        theirs: str,
        into: str | None = None,
        *,
        message: str | None = None,
        prefer: str | None = None,
    ) -> "Merged":
        """Merge a branch into another, tables row by row.

        Args:
            dataset: The dataset's name.
            theirs: Tag, branch or commit to merge.
            into: Branch to merge into; the caller's draft by default. ``main`` moves by
                publishing alone: :func:`registry.curate.publishing.merge`.
            message: Why.
            prefer: ``ours`` or ``theirs`` where both changed the same; None lists conflicts.

        Returns:
            What was merged.

        Raises:
            MergeConflictError: Both changed the same; its ``conflicts`` is the table of them, and
                the merge waits for decisions (:func:`registry.catalog.pending.pending`).
        """  # noqa: DOC501 — a function makes the error
        from registry.catalog.merging.bringing import bring, refusal
        from registry.catalog.merging.engine import join

        draft = self.draft(dataset, into)
        repository = draft.repository
        asked = Joining(
            way=Way.MERGE,
            into=draft.branch,
            name=draft_branch() if theirs == DRAFT else theirs,
            commit=Shelf.of(repository).where(Ref(dataset=dataset, at=theirs)),
            message=message or f"merge {theirs} into {into or DRAFT}",
        )

        def run(decisions: "Decisions", metadata: "Mapping[str, str]") -> "Merged | Undecided":
            return join(repository, asked, prefer=prefer, decisions=decisions, metadata=metadata)

        outcome = bring(repository, asked, run)
        if isinstance(outcome, Pending):
            raise refusal(repository, outcome)
        return outcome

    # ---------------------------------------------------------------- versions
    def release(self, dataset: str, *, commit: str, message: str) -> Version:
        """Tag a commit that ``main`` has moved to as the next version.

        Args:
            dataset: The dataset's name.
            commit: What to publish: on ``main``, and its metadata say that its tree was judged
                and passed, which :func:`registry.curate.publishing.publish` alone writes.
            message: What the release is about.

        Returns:
            The version; the one there is if the commit has been released.

        Raises:
            ForbiddenError: ``main`` has not moved there, or no passing report judged it.
        """
        repository = self.lake.repository(dataset)
        passed = repository.commit(commit).metadata.get(VERDICT) == "passed"
        if not passed or repository.merge_base(commit, repository.resolve(MAIN)) != commit:
            raise ForbiddenError(
                f"no report has let commit {commit[:12]} onto '{MAIN}'",
                hint=f"publish it by its report: eolab publish {dataset} -m 'why'",
            )
        while True:
            shelf = Shelf.of(repository)
            known = [tag for tag, at in shelf.tags.items() if at == commit]
            if known:
                return shelf.version(Ref(dataset=dataset, at=known[-1]))
            newest = max((version_number(tag) or 0 for tag in shelf.tags), default=0)
            try:
                repository.create_tag(f"v{newest + 1}", at=commit, message=message)
            except ConflictError:
                continue  # somebody took the number; each turn of this loop sees one more tag

    def withdraw(self, ref: Ref | str, reason: str) -> Version:
        """Leave a tombstone on a version: it stays readable, and says that it should not be used.

        Args:
            ref: The version: ``ships@v3``.
            reason: Why, for whoever pinned it.

        Returns:
            The version, with its tombstone.

        Raises:
            InvalidInputError: The ref is no published version, or there is no reason.
        """
        asked = Ref.parse(ref) if isinstance(ref, str) else ref
        if asked.at is None or not is_tag(asked.at):
            raise InvalidInputError(
                f"'{asked}' is no published version", hint=f"name one: {asked.dataset}@v1"
            )
        if not reason.strip():
            raise InvalidInputError(
                f"no reason to withdraw '{asked}' was given", hint="say why, for those who use it"
            )
        version = self.resolve(asked)
        repository = version.repository
        ensure_branch(repository, TOMBSTONES, at=first_commit(repository))
        stone = Tombstone(
            reason=reason.strip(),
            by=default_author(),
            at=datetime.now(tz=UTC).isoformat(timespec="seconds"),
        )
        with repository.transaction(TOMBSTONES, message=f"withdraw {asked}") as transaction:
            transaction.put(f"{asked.at}.json", stone.to_json())
        return self.resolve(asked)

    def purge(
        self, dataset: str, wanted: "Wanted", *, reason: str, dry_run: bool = False
    ) -> "Forgotten":
        """Forget rows in every commit: :func:`registry.catalog.forgetting.purging.purge`.

        Returns:
            What went, or would go.
        """
        from registry.catalog.forgetting.purging import purge

        return purge(self.lake.repository(dataset), wanted, reason=reason, dry_run=dry_run)

    def derive(self, version: Version) -> Draft:
        """Open the branch for what is derived from a published version; made if there is none.

        Returns:
            The branch.

        Raises:
            InvalidInputError: It is not published.
        """
        if version.tag is None:
            raise InvalidInputError(
                f"'{version.ref}' is not a published version, so nothing can be kept beside it",
                hint=f"publish it first: eolab publish {version.dataset} -m 'why'",
            )
        branch = f"derived/{version.tag}"
        ensure_branch(version.repository, branch, at=version.commit.id)
        return Draft(dataset=version.dataset, branch=branch, repository=version.repository)
