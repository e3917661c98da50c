"""Which conflicts of a merge somebody means, and what becomes of them."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from registry.catalog.card import front
from registry.catalog.merging.conflicts import OURS, SET, SIDES, THEIRS, Clash, ClashKind, Decision
from registry.catalog.merging.rowwise import rows_of
from registry.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from registry.catalog.merging.pending import Pending
    from registry.lake import Location, Repository
    from registry.tables.schemas import TableSchema

__all__ = ["Choice", "choose"]

_ROWS = frozenset({ClashKind.ROW, ClashKind.DELETED, ClashKind.ORPHAN})
_NAMED = 5
"""Keys that a hint names at most."""

_OF_SIDE = re.compile(r"\b(ours|theirs|base)\s*\.")
_TEXT = ("table", "key", "kind", "decision")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A decision about some conflicts."""

    side: str | None = None
    """``ours`` or ``theirs``; None if values are set or ``decided`` says it all."""

    values: Mapping[str, str] = field(default_factory=dict)
    """SQL for each column that is set; YAML for keys of the card."""

    keys: tuple[str, ...] = ()
    """Keys of rows, or ids of conflicts; all that are open if neither keys nor ``where`` are given.
    """

    where: str | None = None
    """SQL condition; a bare column is the row's as the chosen side has it, ``ours.c``,
    ``theirs.c`` and ``base.c`` are those of each, and ``key``, ``kind``, ``columns``, ``decision``
    and ``"table"`` the conflict's own."""

    table: str | None = None
    """Only conflicts of this table."""

    decided: Mapping[str, Decision] = field(default_factory=dict)
    """Decisions one by one, by the id of the conflict."""

    def __post_init__(self) -> None:
        ways = [self.side is not None, bool(self.values), bool(self.decided)]
        if sum(ways) > 1 or self.side not in {None, *SIDES}:
            raise InvalidInputError(
                "a conflict is decided in one way",
                hint="give one of --ours, --theirs, --set and --edit",
            )

    def to_text(self) -> str:
        """Return it for people, on one line."""
        what = self.side or ", ".join(f"{name}={said}" for name, said in self.values.items())
        parts = [what or "one by one", *self.keys]
        return " ".join([*parts, *([f"where {self.where}"] if self.where else [])])


def choose(repository: "Repository", waiting: "Pending", choice: Choice) -> dict[str, Decision]:
    """Return what a choice decides.

    Args:
        repository: The dataset's.
        waiting: The merge.
        choice: Which conflicts, and what becomes of them.

    Returns:
        Decisions by the id of the conflict; none if none is open, or nothing was said.

    Raises:
        NotFoundError: A key or a table has no conflict, or none fits the condition.
        InvalidInputError: No conflict can be decided so, or the condition is no SQL.
    """
    if choice.decided:
        return dict(choice.decided)
    if choice.side is None and not choice.values:
        return {}
    found = _named(waiting, choice)
    if choice.where is not None:
        among = found
        found = _fitting(repository, waiting, among, choice)
        if among and not found:
            raise NotFoundError(
                f"no conflict fits: {choice.where}",
                hint=f"nothing was decided; see what the {len(among):,} are about: "
                f"eolab conflicts {repository.name}",
            )
    elif not choice.keys:
        found = [clash for clash in found if clash.decision is None]
    if choice.side is not None:
        return {clash.id: Decision(side=choice.side) for clash in found}
    return _set(repository, waiting, found, choice)


def _named(waiting: "Pending", choice: Choice) -> list[Clash]:
    found = [c for c in waiting.clashes if choice.table in {None, c.table}]
    if choice.table is not None and not found:
        tables = ", ".join(sorted({clash.table for clash in waiting.clashes}))
        raise NotFoundError(
            f"'{choice.table}' has no conflict", hint=f"there are conflicts in {tables}"
        )
    for key in choice.keys:
        if not any(_is_named(clash, key) for clash in found):
            known = list(dict.fromkeys(clash.key for clash in found))
            more = ", …" if len(known) > _NAMED else ""
            raise NotFoundError(
                f"'{key}' has no conflict", hint=f"there are {', '.join(known[:_NAMED])}{more}"
            )
    if not choice.keys:
        return found
    return [clash for clash in found if any(_is_named(clash, key) for key in choice.keys)]


def _is_named(clash: Clash, key: str) -> bool:
    return key in {clash.key, clash.id, f"{clash.table}/{clash.key}"}


# ---------------------------------------------------------------------- values of one's own
def _set(
    repository: "Repository", waiting: "Pending", found: Sequence[Clash], choice: Choice
) -> dict[str, Decision]:
    decisions: dict[str, Decision] = {}
    checked: set[tuple[str, frozenset[str]]] = set()
    for clash in found:
        values = _fitting_values(clash, choice.values)
        if not values:
            continue
        if clash.kind is ClashKind.CARD:
            front.value(values[clash.key])
        elif (what := (clash.table, frozenset(values))) not in checked:
            _check(repository, waiting, clash, values)
            checked.add(what)
        decisions[clash.id] = Decision(side=SET, values=values)
    missed = set(choice.values) - {name for one in decisions.values() for name in one.values}
    if missed:
        differing = sorted({column for clash in found for column in clash.columns})
        raise InvalidInputError(
            f"no conflict that was chosen is over {', '.join(map(repr, sorted(missed)))}",
            hint=f"they are over {', '.join(differing) or 'whole rows and files'}",
        )
    return decisions


def _fitting_values(clash: Clash, values: Mapping[str, str]) -> dict[str, str]:
    if clash.kind is ClashKind.CARD:
        return {clash.key: values[clash.key]} if clash.key in values else {}
    if clash.kind is ClashKind.DELETED:  # the row is kept, with these values
        return dict(values)
    if clash.kind is ClashKind.ROW:
        return {name: said for name, said in values.items() if name in clash.columns}
    return {}


def _check(
    repository: "Repository", waiting: "Pending", clash: Clash, values: Mapping[str, str]
) -> None:
    from registry.tables import store
    from registry.tables.expressions import ExpressionError, Statement

    side = waiting.ours if clash.keeper == OURS else waiting.theirs
    schema = store.schema_of(repository.locate(side), clash.table)
    try:
        Statement.of(schema, where="true", set=values)
    except ExpressionError as error:
        if (said := _side_in(values)) is None:
            raise
        column, sql, name = said
        taking = f"--{name}" if name in SIDES else "--set with the value itself"
        raise ExpressionError(
            f"{column}={sql} speaks of '{name}', but a value is computed from the merged row alone",
            hint=f"take that side of '{column}' with eolab resolve {repository.name} KEY {taking}; "
            "columns that were changed apart are decided apart, by the ids of eolab conflicts "
            f"{repository.name} --json",
        ) from error


def _side_in(values: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Return a column, its SQL, and the side that the SQL speaks of; None if none does."""
    for column, sql in values.items():
        if match := _OF_SIDE.search(sql):
            return column, sql, match[1]
    return None


# ----------------------------------------------------------------------------- conditions
def _fitting(
    repository: "Repository", waiting: "Pending", found: Sequence[Clash], choice: Choice
) -> list[Clash]:
    """Return the conflicts that fit the condition; it has to make sense for one table at least."""
    from registry.tables.expressions import ExpressionError

    chosen: list[Clash] = []
    refused: ExpressionError | None = None
    tables = list(dict.fromkeys(clash.table for clash in found))
    understood = not tables
    for name in tables:
        of_table = [clash for clash in found if clash.table == name]
        try:
            chosen += _where(repository, waiting, of_table, choice)
            understood = True
        except ExpressionError as error:
            refused = refused or error
    if not understood and refused is not None:
        raise refused
    return chosen


def _where(
    repository: "Repository", waiting: "Pending", clashes: Sequence[Clash], choice: Choice
) -> list[Clash]:
    from registry.tables.expressions import Statement
    from registry.tables.rows import ROW
    from registry.tables.schemas import TableSchema

    rows = _facts(repository, waiting, clashes, choice.side or OURS)
    schema = TableSchema(name="conflicts", arrow=rows.schema, key=())
    statement = Statement.of(schema, where=choice.where or "true")
    numbered = rows.select(list(statement.columns)).append_column(
        ROW, pa.array(range(len(clashes)), pa.int64())
    )
    with statement.open() as engine:
        hits = statement.run(engine, numbered)
    return [clashes[number] for number in hits.column(ROW).to_pylist()]


def _facts(
    repository: "Repository", waiting: "Pending", clashes: Sequence[Clash], side: str
) -> pa.Table:
    """Return what a condition may speak of: one row a conflict, all of one table."""
    columns: dict[str, pa.Array] = {
        name: pa.array([_fact(clash, name) for clash in clashes], pa.string()) for name in _TEXT
    }
    columns["columns"] = pa.array([list(c.columns) for c in clashes], pa.list_(pa.string()))
    if clashes[0].kind not in _ROWS:
        for name in ("base", *SIDES):
            columns[name] = pa.array([getattr(clash, name) for clash in clashes], pa.string())
        return pa.table(columns)
    fields, sides = _sides(repository, waiting, clashes)
    other = THEIRS if side == OURS else OURS
    order = (side, other, "base")
    for name in fields.names:
        if name not in {*columns, "base", *SIDES}:
            values = [
                next((row[name] for at in order if (row := sides[at][number]) is not None), None)
                for number in range(len(clashes))
            ]
            columns[name] = pa.array(values, fields.field(name).type)
    for name, rows in sides.items():
        columns[name] = pa.array(rows, pa.struct(list(fields)))
    return pa.table(columns)


def _fact(clash: Clash, name: str) -> str | None:
    if name == "decision":
        return clash.decision.side if clash.decision is not None else None
    return str(getattr(clash, name))


def _sides(
    repository: "Repository", waiting: "Pending", clashes: Sequence[Clash]
) -> tuple[pa.Schema, dict[str, list[dict[str, Any] | None]]]:
    """Return the whole rows that conflicts are about, as each side has them."""
    from registry.tables import store

    name = clashes[0].table
    commits = {"base": waiting.base, OURS: waiting.ours, THEIRS: waiting.theirs}
    views = {
        side: repository.locate(commit) for side, commit in commits.items() if commit is not None
    }
    views = {side: view for side, view in views.items() if store.exists(view, name)}
    schemas = {side: store.schema_of(view, name) for side, view in views.items()}
    fields = _all_fields(schemas.values())
    found: dict[str, list[dict[str, Any] | None]] = {}
    keys = [clash.row for clash in clashes]
    for side in commits:
        rows = _by_key(views[side], schemas[side], keys) if side in views else {}
        found[side] = [_full(rows.get(key), fields) for key in keys]
    return fields, found


def _all_fields(schemas: "Iterable[TableSchema]") -> pa.Schema:
    fields: dict[str, pa.Field] = {}
    for schema in schemas:
        for one in schema.arrow:
            fields.setdefault(one.name, pa.field(one.name, one.type))
    return pa.schema(list(fields.values()))


def _by_key(
    view: "Location", schema: "TableSchema", keys: Sequence[tuple[object, ...]]
) -> dict[tuple[object, ...], dict[str, Any]]:
    rows = rows_of(view, schema, keys).to_pylist()
    return {tuple(row[column] for column in schema.key): row for row in rows}


def _full(row: Mapping[str, Any] | None, fields: pa.Schema) -> dict[str, Any] | None:
    return None if row is None else {name: row.get(name) for name in fields.names}
