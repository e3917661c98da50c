"""Finding versions in a repository: tags, tombstones, and what a ref names."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry.catalog.ref import DRAFT, Ref, draft_branch, is_tag, like_commit, version_number
from registry.catalog.version import Tombstone, Version
from registry.errors import NotFoundError
from registry.lake.purges import forwarded

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.lake import Repository

__all__ = ["TOMBSTONES", "Shelf"]

TOMBSTONES = "tombstones"
"""The branch that says which versions were withdrawn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    """The versions of one dataset as they stood when somebody looked."""

    repository: "Repository"
    """Where they are kept."""

    tags: "Mapping[str, str]"
    """Tags of versions with their commits, oldest first."""

    tombstones: "Mapping[str, Tombstone]"
    """Why versions were withdrawn, by tag."""

    derived: "Mapping[str, str]"
    """Heads of the branches of what was derived from versions, by tag."""

    @classmethod
    def of(cls, repository: "Repository") -> "Shelf":
        """Return the versions as they stand now in a repository."""
        tags = repository.tags()
        numbered = sorted((version_number(tag) or 0, tag) for tag in filter(is_tag, tags))
        branches = repository.branches("derived/") if numbered else {}
        return cls(
            repository=repository,
            tags={tag: tags[tag] for _, tag in numbered},
            tombstones=_tombstones(repository) if numbered else {},
            derived={name.removeprefix("derived/"): head for name, head in branches.items()},
        )

    def where(self, ref: Ref) -> str:
        """Return the id of the commit that a ref names; a version's tag wins over any branch.

        A commit that was purged is the one that stands in for it.

        Raises:
            NotFoundError: It names nothing.
        """
        if ref.at is None:
            return self._newest(ref)
        if is_tag(ref.at):
            if ref.at not in self.tags:
                raise self._no_version(ref)
            return self.tags[ref.at]
        if ref.at == DRAFT:
            return self._draft(ref)
        if like_commit(ref.at) and (now := forwarded(self.repository, ref.at)) is not None:
            return now
        return self.repository.resolve(ref.at)

    def version(self, ref: Ref, *, at: str | None = None) -> Version:
        """Return the version that a ref names.

        Args:
            ref: What was asked for.
            at: Where it is known to stand.

        Raises:
            NotFoundError: It names nothing.
        """
        commit = self.repository.commit(at or self.where(ref))
        tags = [tag for tag, named in self.tags.items() if named == commit.id]
        tag = ref.at if ref.at in tags else tags[-1] if tags else None
        return Version(
            ref=ref,
            dataset=ref.dataset,
            tag=tag,
            commit=commit,
            derived_at=self.derived.get(tag) if tag else None,
            tombstone=self.tombstones.get(tag) if tag else None,
            repository=self.repository,
        )

    def _draft(self, ref: Ref) -> str:
        branch = draft_branch()
        if branch not in self.repository.branches("draft/"):
            raise NotFoundError(
                f"you have no draft of '{ref.dataset}'",
                hint=f"begin one: eolab ingest … --into {ref.dataset}",
            )
        head, main = self.repository.resolve(branch), self.repository.resolve("main")
        # A draft with nothing left to publish stands where main is; writing to it moves it there.
        return main if self.repository.merge_base(head, main) == head else head

    def _newest(self, ref: Ref) -> str:
        standing = [tag for tag in self.tags if tag not in self.tombstones]
        if standing:
            return self.tags[standing[-1]]
        if self.tags:
            raise NotFoundError(
                f"every version of '{ref.dataset}' was withdrawn",
                hint=f"name one to read it all the same: {ref.dataset}@{list(self.tags)[-1]}",
            )
        raise NotFoundError(
            f"dataset '{ref.dataset}' has no published version yet",
            hint=f"publish it: eolab publish {ref.dataset} -m 'first release'; or name a branch: "
            f"{ref.dataset}@draft",
        )

    def _no_version(self, ref: Ref) -> NotFoundError:
        if not self.tags:
            return NotFoundError(
                f"dataset '{ref.dataset}' has no version {ref.at}; nothing is published yet",
                hint=f"publish it: eolab publish {ref.dataset} -m 'first release'",
            )
        newest = list(self.tags)[-1]
        return NotFoundError(
            f"dataset '{ref.dataset}' has no version {ref.at}; its latest is {newest}",
            hint=f"pin {ref.dataset}@{newest}, or list them: eolab log {ref.dataset}",
        )


def _tombstones(repository: "Repository") -> dict[str, Tombstone]:
    if TOMBSTONES not in repository.branches(TOMBSTONES):
        return {}
    head = repository.resolve(TOMBSTONES)
    return {
        entry.path.removesuffix(".json"): Tombstone.from_json(repository.read(entry.path, at=head))
        for entry in repository.entries(head)
        if entry.path.endswith(".json")
    }
