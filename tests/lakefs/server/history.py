"""Commits and trees: what never changes once it is there."""

import hashlib
import heapq
import json
from dataclasses import dataclass, field
from functools import cached_property

__all__ = ["Commit", "History", "Tree"]


@dataclass(frozen=True)
class Tree:
    """All objects of a commit by path; called a metarange on the wire."""

    entries: dict = field(default_factory=dict)

    @cached_property
    def id(self):
        if not self.entries:
            return ""
        lines = (f"{path}\0{self.entries[path].identity}\n".encode() for path in self.paths)
        return hashlib.sha256(b"".join(lines)).hexdigest()

    @cached_property
    def paths(self):
        return sorted(self.entries)

    def identity(self, path):
        stored = self.entries.get(path)
        return stored and stored.identity


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    id: str
    parents: tuple
    committer: str
    message: str
    creation_date: int
    metadata: dict
    tree: Tree
    generation: int

    def document(self):
        return {
            "id": self.id,
            "parents": list(self.parents),
            "committer": self.committer,
            "message": self.message,
            "creation_date": self.creation_date,
            "meta_range_id": self.tree.id,
            "metadata": self.metadata,
            "generation": self.generation,
            "version": 1,
        }


class History:
    """The commits of a repository as a graph."""

    def __init__(self):
        self.commits = {}
        self.trees = {"": Tree()}

    def add(self, *, parents, committer, message, date, metadata, tree):
        generation = 1 + max((self.commits[parent].generation for parent in parents), default=0)
        said = [*parents, committer, message, date, sorted(metadata.items()), tree.id, generation]
        commit = Commit(
            id=hashlib.sha256(json.dumps(said).encode()).hexdigest(),
            parents=tuple(parents),
            committer=committer,
            message=message,
            creation_date=date,
            metadata=metadata,
            tree=tree,
            generation=generation,
        )
        self.trees.setdefault(tree.id, tree)
        return self.commits.setdefault(commit.id, commit)

    def behind(self, start, *, first_parent=False):
        """Yield commits, children before their parents, newest first."""
        heap, seen = [self._ranked(start)], {start}
        while heap:
            *_, commit_id = heapq.heappop(heap)
            commit = self.commits[commit_id]
            yield commit
            for parent in commit.parents[:1] if first_parent else commit.parents:
                if parent not in seen:
                    seen.add(parent)
                    heapq.heappush(heap, self._ranked(parent))

    def merge_base(self, one, other):
        """Return a nearest common ancestor; every history starts with one and the same commit."""
        ancestors = {commit.id for commit in self.behind(one)}
        return next(commit for commit in self.behind(other) if commit.id in ancestors)

    def _ranked(self, commit_id):
        commit = self.commits[commit_id]
        return -commit.generation, -commit.creation_date, commit_id
