"""What changed between two versions of a dataset: rows, columns, pixels, card, files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from registry.catalog.card import front
from registry.catalog.trees import table_of, tables_among
from registry.catalog.version import CARD
from registry.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.catalog.comparing.renames import Rename
    from registry.catalog.version import Version
    from registry.lake import Change, Location
    from registry.tables.changes import TableDiff

__all__ = ["CardChange", "DatasetDiff", "difference", "systems_of"]

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class CardChange:
    """A key of the card that says something else than before."""

    key: str
    """The key; ``body`` is the prose."""

    before: object
    """What it said; None if there was none."""

    after: object
    """What it says; None if there is none."""


@dataclass(frozen=True, kw_only=True)  # no slots: renames are sought once, when asked for
class DatasetDiff:
    """What differs between two versions of one dataset; values are read when they are asked for."""

    before: str
    """The earlier version's ref."""

    after: str
    """The later version's ref."""

    tables: "Mapping[str, TableDiff]"
    """Each table that changed: its counts, its columns, and its changed rows as a stream."""

    uncompared: Mapping[str, str]
    """Tables that changed and of which the rows cannot be compared, with the reason."""

    card: tuple[CardChange, ...]
    """What changed in the README, by key."""

    files: "tuple[Change, ...]"
    """Other files that differ."""

    versions: "tuple[Version, Version]" = field(repr=False, compare=False)
    """The two versions."""

    def __bool__(self) -> bool:
        return bool(self.tables or self.uncompared or self.card or self.files)

    @cached_property
    def renames(self) -> "tuple[Rename, ...]":
        """Rows that went by one key and came by another with the same content."""
        if not any(table.inserted and table.deleted for table in self.tables.values()):
            return ()
        from registry.catalog.comparing.renames import renames

        return renames(self.tables)

    def systems(self, samples: Sequence[str]) -> dict[str, str | None]:
        """Return the coordinate systems that samples are in, as the later version says.

        Args:
            samples: Their ids.

        Returns:
            Ids with names of systems; what has none, or two, is left out.
        """
        found: dict[str, str | None] = {}
        for version in self.versions:
            found |= systems_of(version, samples)
        return found

    def to_text(self, *, rows: int | None = _SHOWN) -> str:
        """Return it for people: counts, columns, then changed rows of each table.

        Args:
            rows: How many rows of a table at most; all of them if None.
        """
        return "\n".join(self.lines(rows=rows))

    def lines(self, *, rows: int | None = _SHOWN) -> "Iterator[str]":
        """Yield the lines of :meth:`to_text` one by one.

        Args:
            rows: How many rows of a table at most; all of them if None.
        """
        from registry.catalog.comparing.differing import card_lines, table_lines

        if not self:
            yield f"{self.before} and {self.after} are the same"
        for name, table in self.tables.items():
            renamed = [each for each in self.renames if each.table == name]
            yield from table_lines(table, renamed, self.systems, rows)
        for name, why in self.uncompared.items():
            yield f"{name}: changed, but {why}"
        for change in self.card:
            yield from card_lines(change)
        yield from (f"{change.path}: {change.kind}" for change in self.files)


def difference(
    before: "Version", after: "Version", tables: Sequence[str] | None = None
) -> DatasetDiff:
    """Return what changed from one version of a dataset to another, row by row.

    Data files that both have are not read, and values only when they are asked for.

    Args:
        before: The one version.
        after: The other.
        tables: Only these, published or derived; all that changed, the card and other files
            if None.

    Raises:
        InvalidInputError: They are of two datasets.
        NotFoundError: A table that was named is in neither.
    """
    if before.dataset != after.dataset:
        raise InvalidInputError(
            f"'{before.ref}' and '{after.ref}' are two datasets",
            hint="compare two refs of one dataset",
        )
    changes = list(before.repository.diff(before.commit.id, after.commit.id))
    paths = (change.path for change in changes)
    known = frozenset({*before.tables_published(), *after.tables_published()}) | tables_among(paths)
    touched = {table_of(change.path, known) for change in changes} - {None}
    wanted = sorted(filter(None, touched)) if tables is None else list(dict.fromkeys(tables))
    found, uncompared = _compared(before, after, wanted, strict=tables is not None)
    loose = [c for c in changes if table_of(c.path, known) is None] if tables is None else []
    return DatasetDiff(
        before=str(before.ref),
        after=str(after.ref),
        tables=found,
        uncompared=uncompared,
        card=_card(before, after) if any(c.path == CARD for c in loose) else (),
        files=tuple(change for change in loose if change.path != CARD),
        versions=(before, after),
    )


def systems_of(version: "Version", samples: Sequence[str]) -> dict[str, str | None]:
    """Return the coordinate system of each of some samples that has exactly one.

    Args:
        version: Where they are.
        samples: Their ids.
    """
    import pyarrow.compute as pc

    from registry.tables import store

    if "assets" not in version.tables() or not samples:
        return {}
    wanted = pc.field("sample").isin(list(samples))
    rows = store.read(
        version.home_of("assets"), "assets", columns=["sample", "crs"], filter=wanted
    ).to_pylist()
    found: dict[str, set[str]] = {}
    for row in rows:
        if row["crs"]:
            found.setdefault(row["sample"], set()).add(row["crs"])
    return {sample: min(systems) for sample, systems in found.items() if len(systems) == 1}


def _compared(
    before: "Version", after: "Version", names: Sequence[str], *, strict: bool
) -> "tuple[dict[str, TableDiff], dict[str, str]]":
    from registry.tables.changes import table_diff
    from registry.tables.errors import DuplicateKeyError, SchemaMismatchError

    found, uncompared = {}, {}
    for name in names:
        try:
            table = table_diff(_home(before, name), _home(after, name), name)
        except (DuplicateKeyError, SchemaMismatchError) as error:
            if strict:
                raise
            uncompared[name] = error.problem
            continue
        if table:
            found[name] = table
    return found, uncompared


def _home(version: "Version", table: str) -> "Location | None":
    try:
        return version.home_of(table)
    except NotFoundError:
        return None


def _card(before: "Version", after: "Version") -> tuple[CardChange, ...]:
    was, now = _stated(before), _stated(after)
    return tuple(
        CardChange(key=key, before=was.get(key), after=now.get(key))
        for key in dict.fromkeys([*was, *now])
        if was.get(key) != now.get(key)
    )


def _stated(version: "Version") -> dict[str, object]:
    """Return the card by key; of one that cannot be read as such, its text."""
    try:
        text = version.repository.read(CARD, at=version.commit.id).decode("utf-8", "replace")
    except NotFoundError:
        return {}
    return front.stated(text)
