"""A dataset at one point of its history: resolved once, and the same for ever."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from registry.catalog.card.spec import Spec
from registry.catalog.ref import Ref
from registry.errors import CorruptError, ForbiddenError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import pyarrow as pa

    from registry.lake import Commit, Location, Repository
    from registry.lake.purges import Purge

__all__ = ["CARD", "RELEASE", "VERDICT", "Draft", "Tombstone", "Version"]

CARD = "README.md"
"""Where a dataset's card lies."""

VERDICT = "verdict"
"""Metadata of a commit: ``passed`` if a report that passed judged its tree."""

RELEASE = "release"
"""Metadata of a commit that was made to become a version; its value says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """Why a published version should not be used any more."""

    reason: str
    """In the words of whoever withdrew it."""

    by: str
    """Who withdrew it, as ``Name <address>``."""

    at: str
    """When, in UTC, as ISO 8601."""

    @classmethod
    def from_json(cls, data: bytes) -> "Tombstone":
        """Return what :meth:`to_json` wrote.

        Raises:
            CorruptError: Something else wrote it.
        """
        try:
            said = json.loads(data)
            return cls(reason=str(said["reason"]), by=str(said["by"]), at=str(said["at"]))
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptError(
                "a tombstone cannot be read", hint="undo the last change of branch 'tombstones'"
            ) from error

    def to_json(self) -> bytes:
        """Return it as a JSON document."""
        return json.dumps(asdict(self), ensure_ascii=False, indent=1).encode()


@dataclass(frozen=True, kw_only=True)  # no slots: what is costly to find is found once, when asked
class Version:
    """A dataset at one commit, read-only: spec, tables, content id."""

    ref: Ref
    """What it was asked for by."""

    dataset: str
    """The dataset's name."""

    tag: str | None
    """``v3`` if this commit is a published version; None for drafts and other commits."""

    commit: "Commit"
    """The point in this lake's history."""

    derived_at: str | None
    """Commit of what was derived from it after publishing; None if nothing was."""

    tombstone: Tombstone | None
    """Why it was withdrawn; None if it was not."""

    repository: "Repository" = field(repr=False, compare=False)
    """Where it is kept."""

    @property
    def label(self) -> str:
        """Its tag, or the first 12 digits of its commit."""
        return self.tag or self.commit.id[:12]

    @cached_property
    def content_id(self) -> str:
        """SHA-256 over the sorted paths and digests of its files, in hex: equal on every lake."""
        return self.repository.content_id(self.commit.id)

    @cached_property
    def purges(self) -> "tuple[Purge, ...]":
        """What was purged from it or from what came before it, oldest first."""
        from registry.lake.purges import touching

        return touching(self.repository, self.commit.id)

    def content_id_of(self, *tables: str) -> str:
        """Return the content id of some of its tables alone, in hex."""
        at = self.commit.id
        published = self.tables_published()
        if self.derived_at is not None and any(name not in published for name in tables):
            at = self.derived_at
        return self.repository.content_id(at, *tables)

    def data_id_of(self, table: str) -> str:
        """Return the content id of the files that hold a table's rows now, in hex.

        It stays when publishing cuts the table's log, so what was made of the rows is not stale.

        Args:
            table: Such as ``samples``.

        Raises:
            NotFoundError: It has no such table.
        """
        from registry.tables import store

        home = self.home_of(table)
        folder = home.path.resolve()
        paths = [path.resolve().relative_to(folder).as_posix() for path in store.files(home, table)]
        at = self.commit.id if home == self.root else self.derived_at or self.commit.id
        return self.repository.content_id(at, *paths or [f"{table}/no-rows"])

    @cached_property
    def spec(self) -> Spec:
        """What its README promises; nothing but its name if there is none.

        Raises:
            InvalidInputError: The README is not UTF-8, or its front matter is not readable.
        """
        try:
            text = self.repository.read(CARD, at=self.commit.id)
        except NotFoundError:
            return Spec(name=self.dataset)
        try:
            return Spec.from_readme(text.decode("utf-8"), name=self.dataset)
        except UnicodeDecodeError as error:
            raise InvalidInputError(
                f"the README.md of {self.ref} is not UTF-8", hint="save it as UTF-8"
            ) from error

    @cached_property
    def root(self) -> "Location":
        """Where engines read its files."""
        return self.repository.locate(self.commit.id)

    @cached_property
    def derived(self) -> "Location | None":
        """Where engines read what was derived from it; None if nothing was."""
        return None if self.derived_at is None else self.repository.locate(self.derived_at)

    def tables_published(self) -> list[str]:
        """Return the names of the tables of the version itself, sorted."""
        from registry.tables import store

        return store.names(self.root)

    def tables(self) -> list[str]:
        """Return the names of its tables, published and derived, sorted."""
        from registry.tables import store

        derived = store.names(self.derived) if self.derived is not None else []
        return sorted({*self.tables_published(), *derived})

    def home_of(self, table: str) -> "Location":
        """Return the root below which a table lies: the version's own, else the derived one.

        Args:
            table: Such as ``samples`` or ``splits/default``.

        Raises:
            NotFoundError: It has no such table.
        """
        if table in self.tables_published():
            return self.root
        if self.derived is not None and table in self.tables():
            return self.derived
        raise NotFoundError(
            f"{self.ref} has no table '{table}'",
            hint=f"it has {', '.join(self.tables()) or 'no tables yet'}",
        )

    def table(self, name: str, columns: "Sequence[str] | None" = None) -> "pa.Table":
        """Return a whole table.

        Args:
            name: Such as ``samples``; not ``pixels``, which is larger than memory: scan it.
            columns: Only these; all if None.

        Raises:
            NotFoundError: It has no such table.
        """
        from registry.tables import store

        return store.read(self.home_of(name), name, columns=columns)

    def scan(self, name: str, columns: "Sequence[str] | None" = None) -> "pa.RecordBatchReader":
        """Return a table as a stream of batches, in bounded memory.

        Args:
            name: Such as ``pixels``.
            columns: Only these; all if None.

        Raises:
            NotFoundError: It has no such table.
        """
        from registry.tables import store

        return store.scan(self.home_of(name), name, columns=columns)

    def count(self, name: str) -> int:
        """Return how many rows a table has; 0 if there is no such table."""
        from registry.tables import store

        return store.count(self.home_of(name), name) if name in self.tables() else 0

    def chip(self, sample: str, asset: str) -> "np.ndarray":
        """Return the decoded pixels of one asset of one sample.

        Returns:
            Stored values in the order of the asset's ``shape``.

        Raises:
            NotFoundError: There is no such sample or asset, or it is kept by reference.
        """
        from registry.tables import chips

        array: np.ndarray = chips.load(self.root, sample, asset)
        return array


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A branch that may be written to; ends published or gone."""

    dataset: str
    """The dataset's name."""

    branch: str
    """The branch."""

    repository: "Repository" = field(repr=False, compare=False)
    """Where it is kept."""

    @property
    def head(self) -> str:
        """Commit it stands at now."""
        return self.repository.resolve(self.branch)

    @contextmanager
    def edit(self, message: str, metadata: "Mapping[str, str] | None" = None) -> Iterator[Path]:
        """Open a writable view whose changes become one commit on exit, or nothing on error.

        Args:
            message: Why.
            metadata: What programs want to say about the commit.

        Yields:
            The folder. Delta tables are written through :mod:`registry.tables`.

        Raises:
            ConflictError: The branch moved meanwhile.
            ForbiddenError: The metadata claim what publishing alone may say.
        """
        if claimed := {VERDICT, RELEASE} & set(metadata or ()):
            raise ForbiddenError(
                f"a draft's commit may not claim {', '.join(sorted(claimed))}",
                hint=f"let the checks say it: eolab publish {self.dataset} -m 'why'",
            )
        with self.repository.workspace(self.branch) as workspace:
            yield workspace.path
            workspace.commit(message, metadata=metadata)
