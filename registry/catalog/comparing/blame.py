"""Which commit changed a row last, and who made it, when and why."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from registry.catalog.merging.telling import reasons_of
from registry.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.catalog.comparing.steps import Key, Step, TableHistory
    from registry.catalog.version import Version
    from registry.lake import Commit
    from registry.tables.schemas import TableSchema

__all__ = ["blame"]

_DIGITS: Final = 10  # of a commit that decided

_ABSENT: Final = -1
"""State of a key that is not in the table: who deleted it is sought."""


def blame(
    version: "Version",
    table: str,
    keys: "Sequence[object] | None" = None,
    *,
    columns: bool = False,
) -> "pa.Table":
    """Return the commit that changed each row last.

    The history is walked from the version backwards; of each commit that touched the table only
    the data files that it wrote are read. A merge is passed through to the side that brought the
    value, so it is named only where it made one of its own.

    Args:
        version: Where to begin.
        table: The table.
        keys: Keys of rows, tuples where a key has several columns, also of rows that were deleted;
            None for every row that is there.
        columns: Say it for each group of coupled columns instead of for the row as a whole.

    Returns:
        Key columns, ``change`` (inserted, updated, deleted), with ``columns`` the list of them,
        then ``commit, author, at, message``, and ``decided``: where a merge had to decide over
        it since, which side was taken, why and in which commit; else null. Rows in the order
        asked for.

    Raises:
        NotFoundError: There is no such table, or a key has never been in it.
        InvalidInputError: A key has not as many parts as the table's.
    """
    from registry.catalog.comparing.steps import TableHistory
    from registry.tables import store

    home = version.home_of(table)
    schema = store.schema_of(home, table)
    start = version.commit.id if home == version.root else version.derived_at or version.commit.id
    present = _present(version, table, schema, keys)
    asked = list(present) if keys is None else _asked(schema, keys)
    groups = _groups(schema)
    walk = _Walk(
        history=TableHistory(repository=version.repository, schema=schema),
        groups=groups,
        each=columns,
    )
    whole = (1 << len(groups)) - 1
    walk.run(start, {key: whole if key in present else _ABSENT for key in asked})
    return _answer(walk, schema, asked, version)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Blamed:
    """What became of a row, or of some of its columns, and in which commit."""

    change: str
    groups: int
    commit: "Commit"


@dataclass(slots=True, kw_only=True)
class _Walk:
    """Follows values back to the commits that made them.

    What is sought at a commit is a bit mask of column groups for each key. In the order of the log
    the first commit found for a key is the newest, as children come before their parents.
    """

    history: "TableHistory"
    groups: Sequence[Sequence[str]]
    each: bool
    found: "dict[Key, list[_Blamed]]" = field(default_factory=dict)
    decided: "dict[Key, list[tuple[frozenset[str], str]]]" = field(default_factory=dict)
    _sought: "dict[str, dict[Key, int]]" = field(default_factory=dict)

    def run(self, start: str, sought: "dict[Key, int]") -> None:
        """Walk until nothing is sought any more."""
        repository, name = self.history.repository, self.history.schema.name
        self._sought = {start: sought} if sought else {}
        if not self._sought:
            return
        touching = {commit.id for commit in repository.log(start, path=name)}
        for commit in repository.log(start):
            mine = self._sought.pop(commit.id, None)
            if mine:
                self._hear(commit, mine)
                self._visit(commit, self._still(mine), touched=commit.id in touching)
            if not self._sought:
                return

    def _hear(self, commit: "Commit", sought: "Iterable[Key]") -> None:
        """Note why a merge decided over rows; the newest decision over columns stands."""
        for key in sought if commit.metadata else ():
            known = self.decided.get(key, [])
            for columns, said in reasons_of(commit.metadata, self.history.schema.name, key):
                if not any(columns == before for before, _ in known):
                    known = [*known, (columns, f"{said} ({commit.id[:_DIGITS]})")]
                    self.decided[key] = known

    def _still(self, sought: "dict[Key, int]") -> "dict[Key, int]":
        if self.each:
            return sought
        return {key: mask for key, mask in sought.items() if key not in self.found}

    def _visit(self, commit: "Commit", sought: "dict[Key, int]", *, touched: bool) -> None:
        here = {key: mask for key, mask in sought.items() if mask != _ABSENT}
        gone = {key for key, mask in sought.items() if mask == _ABSENT}
        if len(commit.parents) == 1 and not touched:
            self._pass_on(commit.parents[0], sought)
            return
        known: set[Key] = set()
        passed: set[Key] = set()
        for parent in commit.parents:
            if not here and not gone:
                break
            step = self.history.step(parent, commit.id)
            known |= self._compare(commit.id, parent, step, here)
            absent = gone - self._deleted(parent, step, gone)
            passed |= absent
            self._pass_on(parent, dict.fromkeys(absent, _ABSENT))
        for key, mask in here.items():
            self._blame(key, "updated" if key in known else "inserted", mask, commit)
        if commit.parents:
            for key in gone - passed:
                self._blame(key, "deleted", 0, commit)

    def _compare(
        self, commit: str, parent: str, step: "Step | None", here: "dict[Key, int]"
    ) -> "set[Key]":
        """Hand over to a parent what it has alike.

        Returns:
            The keys of the rest that it has otherwise.
        """
        after = {} if step is None else self.history.locate(step.came, commit, here.keys())
        alike = {key: mask for key, mask in here.items() if key not in after}
        before = {} if step is None or not after else (
            self.history.locate(step.went, parent, after.keys())
        )  # fmt: skip
        both = [key for key in after if key in before]
        changed = self._changed(commit, parent, both, after, before)
        for key, mask in changed.items():
            if same := here[key] & ~mask:
                alike[key] = same
        self._pass_on(parent, alike)
        for key, mask in alike.items():
            if left := here[key] & ~mask:
                here[key] = left
            else:
                del here[key]
        return set(both)

    def _changed(
        self,
        commit: str,
        parent: str,
        keys: "Sequence[Key]",
        after: "Mapping[Key, Any]",
        before: "Mapping[Key, Any]",
    ) -> "dict[Key, int]":
        if not keys:
            return {}
        cells = self.history.differing(
            [after[key] for key in keys],
            [before[key] for key in keys],
            commit=commit,
            parent=parent,
        )
        bits = np.zeros(len(keys), dtype=object)
        for number, group in enumerate(self.groups):
            masks = [cells[cell] for cell in group if cell in cells]
            if masks:
                bits[np.logical_or.reduce(masks)] |= 1 << number
        return dict(zip(keys, bits.tolist(), strict=True))

    def _deleted(self, parent: str, step: "Step | None", gone: "set[Key]") -> "set[Key]":
        if step is None or not gone:
            return set()
        return set(self.history.locate(step.went, parent, gone))

    def _pass_on(self, parent: str, sought: "Mapping[Key, int]") -> None:
        if not sought:
            return
        there = self._sought.setdefault(parent, {})
        for key, mask in sought.items():
            there[key] = mask if mask == _ABSENT else there.get(key, 0) | mask

    def _blame(self, key: "Key", change: str, mask: int, commit: "Commit") -> None:
        said = self.found.setdefault(key, [])
        if self.each or not said:
            said.append(_Blamed(change=change, groups=mask, commit=commit))


def _present(
    version: "Version", table: str, schema: "TableSchema", keys: "Sequence[object] | None"
) -> "dict[Key, None]":
    """Return the keys that are there now, of those asked for or all."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from registry.tables import store

    wanted = None
    if keys is not None:
        first = schema.arrow.field(schema.key[0])
        asked = pa.array([key[0] for key in _asked(schema, keys)], first.type)
        wanted = pc.field(first.name).isin(asked)
    home = version.home_of(table)
    rows = store.read(home, table, columns=list(schema.key), filter=wanted)
    listed = zip(*(column.to_pylist() for column in rows.columns), strict=True)
    return dict.fromkeys(listed)


def _asked(schema: "TableSchema", keys: "Sequence[object]") -> "list[Key]":
    """Return keys as tuples of the key columns' own types; text becomes what the column holds.

    Raises:
        InvalidInputError: A key has not as many parts as the table's, or other ones.
    """
    import pyarrow as pa

    made: list[Key] = []
    for key in keys:
        parts = key if isinstance(key, tuple) else (key,)
        if len(parts) != len(schema.key):
            raise InvalidInputError(
                f"{key!r} is no key of '{schema.name}', which is ({', '.join(schema.key)})",
                hint="give a value for each of them, joined by /",
            )
        kinds = [schema.arrow.field(name).type for name in schema.key]
        try:
            made.append(tuple(_as(part, kind) for part, kind in zip(parts, kinds, strict=True)))
        except (pa.ArrowException, ValueError) as error:
            raise InvalidInputError(
                f"{key!r} is no key of '{schema.name}': {error}",
                hint=f"its key is {', '.join(map(str, kinds))}",
            ) from error
    return list(dict.fromkeys(made))


def _as(part: object, kind: "pa.DataType") -> object:
    import pyarrow as pa

    if isinstance(part, str) and pa.types.is_binary(kind):
        return bytes.fromhex(part)
    made = pa.array([part]) if isinstance(part, str) else pa.array([part], kind)
    return made.cast(kind)[0].as_py()


def _groups(schema: "TableSchema") -> list[list[str]]:
    """Return the cells in groups that never mix; derived ones follow what they come from."""
    from registry.tables.rows import cells_of

    groups: dict[tuple[str, ...], list[str]] = {}
    for cell in cells_of(schema.arrow):
        if cell not in schema.key and cell not in schema.derived:
            groups.setdefault(schema.group_of(cell), []).append(cell)
    return list(groups.values()) or [[]]


def _answer(
    walk: _Walk, schema: "TableSchema", asked: "Iterable[Key]", version: "Version"
) -> "pa.Table":
    import pyarrow as pa

    fields = [pa.field(name, schema.arrow.field(name).type) for name in schema.key]
    fields.append(pa.field("change", pa.string()))
    if walk.each:
        fields.append(pa.field("columns", pa.list_(pa.string())))
    fields += [pa.field(name, pa.string()) for name in ("commit", "author")]
    fields += [pa.field("at", pa.timestamp("us", "UTC")), pa.field("message", pa.string())]
    fields.append(pa.field("decided", pa.string()))
    rows: list[dict[str, Any]] = []
    for key in asked:
        if key not in walk.found:
            raise NotFoundError(
                f"'{schema.name}' has never had a row {'/'.join(map(str, key))} before "
                f"{version.ref}",
                hint=f"see what there is: eolab show {version.ref}",
            )
        rows += (dict(zip(schema.key, key, strict=True)) | said for said in _said(walk, key))
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def _said(walk: _Walk, key: "Key") -> Iterator[dict[str, Any]]:
    for one in walk.found[key]:
        cells = [
            cell
            for number, group in enumerate(walk.groups)
            if one.groups >> number & 1
            for cell in group
        ]
        yield {
            "change": one.change,
            "columns": cells,
            "commit": one.commit.id,
            "author": one.commit.author,
            "at": one.commit.at,
            "message": one.commit.message,
            "decided": _reason(walk, key, cells),
        }


def _reason(walk: _Walk, key: "Key", cells: Sequence[str]) -> str | None:
    """Return why it was decided so, of some columns if they are asked for one by one."""
    told = walk.decided.get(key, [])
    fitting = [said for over, said in told if not (walk.each and over and cells) or over & {*cells}]
    return "; ".join(dict.fromkeys(fitting)) or None
