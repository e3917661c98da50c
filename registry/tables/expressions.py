"""SQL fragments that a user writes: parsed, checked and typed before they touch a row.

A fragment is one scalar expression over one table's columns. It runs in a DuckDB of its own that
has nothing but those columns, and no files, network or settings.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from registry.errors import InvalidInputError
from registry.tables.conform import close_names
from registry.tables.engine import connection
from registry.tables.rows import ROW, quoted
from registry.tables.schemas import TableSchema

if TYPE_CHECKING:
    import duckdb

__all__ = ["Assignment", "ExpressionError", "Statement"]

_SECONDS = 120
_REFUSED = frozenset({"SUBQUERY", "PARAMETER", "STAR", "WINDOW", "DEFAULT", "POSITIONAL_REFERENCE"})
_REFUSED_FUNCTIONS = frozenset({
    *("current_setting", "getenv", "getvariable", "nextval", "currval", "setseed", "sleep"),
    *("write_log", "query", "query_table", "txid_current", "sleep_ms", "error", "in_search_path"),
})
_MISSING = re.compile(r'[Rr]eferenced column "([^"]+)"|field named "([^"]+)"|entry "([^"]+)"')
_NUMBERS = frozenset({
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER"),
    *("UBIGINT", "UHUGEINT", "FLOAT", "DOUBLE", "DECIMAL"),
})
_TIMES = frozenset({
    *("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "DATE", "VARCHAR"),
    *("TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"),
})
_SQL_TYPES: Mapping[pa.DataType, str] = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.int32(): "INTEGER",
    pa.int16(): "SMALLINT",
    pa.int8(): "TINYINT",
    pa.float64(): "DOUBLE",
    pa.float32(): "FLOAT",
    pa.bool_(): "BOOLEAN",
    pa.binary(): "BLOB",
    pa.date32(): "DATE",
    pa.timestamp("us", "UTC"): "TIMESTAMP WITH TIME ZONE",
}


class ExpressionError(InvalidInputError):
    """A SQL fragment that cannot be used."""

    code = "bad-expression"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One ``SET``: what becomes of a cell."""

    cell: str
    """A column, or ``properties.<field>``."""

    sql: str
    """The expression, as written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """Checked fragments over one table: which rows, and what becomes of them."""

    schema: TableSchema
    """The table."""

    where: str
    """Condition, as written."""

    assignments: tuple[Assignment, ...] = ()
    """What is set; none for a deletion."""

    columns: tuple[str, ...] = ()
    """Columns that the fragments speak of; no other is read."""

    @classmethod
    def of(
        cls,
        schema: TableSchema,
        *,
        where: str,
        set: Mapping[str, str] | None = None,  # noqa: A002 — the domain's own word
    ) -> "Statement":
        """Parse and check fragments.

        Args:
            schema: The table's schema.
            where: Condition on a row, such as ``id = 'Forest_12'``.
            set: Expression for each cell, such as ``{"label": "['Forest']"}``.

        Returns:
            The statement, ready to run.

        Raises:
            ExpressionError: A fragment that is no expression, names what is not there, reads
                something else than the row, or has the wrong type.
        """
        assignments = tuple(Assignment(cell=c, sql=sql) for c, sql in (set or {}).items())
        with connection() as engine:
            used = _columns(engine, where, "where")
            for one in assignments:
                _check_cell(one.cell, schema)
                used |= _columns(engine, one.sql, f"set {one.cell}")
            columns = tuple(name for name in schema.arrow.names if name in used)
            made = cls(schema=schema, where=where, assignments=assignments, columns=columns)
            made._bind(engine)
        return made

    @contextmanager
    def open(self) -> Iterator["duckdb.DuckDBPyConnection"]:
        """Open the engine that the statement runs in, for two minutes at most.

        Yields:
            The engine.
        """
        with connection() as engine:
            timer = threading.Timer(_SECONDS, engine.interrupt)
            timer.start()
            try:
                yield engine
            finally:
                timer.cancel()

    def run(self, engine: "duckdb.DuckDBPyConnection", rows: pa.Table) -> pa.Table:
        """Evaluate the statement.

        Args:
            engine: From :meth:`open`.
            rows: The columns it speaks of, and ``__row``.

        Returns:
            ``__row`` of the rows that fit, ascending, and ``v0``, ``v1``, … with the values.

        Raises:
            ExpressionError: A value cannot be computed or converted.
        """  # noqa: DOC501 — a function makes the error
        import duckdb

        engine.register("rows", _bare(rows))
        try:
            return engine.sql(self._sql()).to_arrow_table()
        except duckdb.Error as error:
            raise _translated(error, self.where, self.schema) from error
        finally:
            engine.unregister("rows")

    def type_of(self, cell: str) -> pa.DataType:
        """Return the type that a cell has."""
        return _cell_type(cell, self.schema)

    def _sql(self) -> str:
        values = "".join(
            f", cast(({one.sql}\n) as {_sql_type(self.type_of(one.cell))}) as v{i}"
            for i, one in enumerate(self.assignments)
        )
        return f"select {ROW}{values} from rows where ({self.where}\n) order by {ROW}"  # noqa: S608 — quoted, declared names

    def _bind(self, engine: "duckdb.DuckDBPyConnection") -> None:
        import duckdb

        fields = [pa.field(f.name, f.type) for f in self.schema.arrow]
        engine.register("rows", pa.schema([*fields, (ROW, pa.int64())]).empty_table())
        fragment = self.where
        try:
            (kind,) = engine.sql(f"select ({self.where}\n) from rows").types  # noqa: S608 — quoted, declared names
            if str(kind) != "BOOLEAN":
                raise ExpressionError(
                    f"the condition {self.where!r} is {kind}, not true or false",
                    hint="compare something, as in id = 'Forest_12'",
                )
            for one in self.assignments:
                fragment = one.sql
                (kind,) = engine.sql(f"select ({one.sql}\n) from rows").types  # noqa: S608 — quoted, declared names
                _check_type(one, kind, self.type_of(one.cell))
        except duckdb.Error as error:
            raise _translated(error, fragment, self.schema) from error
        finally:
            engine.unregister("rows")


def _columns(engine: "duckdb.DuckDBPyConnection", fragment: str, what: str) -> set[str]:
    (text,) = engine.execute(
        "select json_serialize_sql(?)", [f"select {fragment}\n"]
    ).fetchone() or ("{}",)
    parsed = json.loads(text)
    if parsed.get("error") is not False:
        raise ExpressionError(
            f"{what} is not SQL: {fragment!r}: {parsed.get('error_message')}",
            hint="write one expression, text in single quotes, as in label = ['Forest']",
        )
    statements = parsed.get("statements", [])
    node = statements[0]["node"] if len(statements) == 1 else {}
    if not _is_bare_select(node):
        raise ExpressionError(
            f"{what} is more than one expression: {fragment!r}",
            hint="write one expression, as in label = ['Forest']",
        )
    return set(_walk(node["select_list"][0], fragment))


def _is_bare_select(node: Mapping[str, Any]) -> bool:
    return (
        node.get("type") == "SELECT_NODE"
        and len(node["select_list"]) == 1
        and not node["select_list"][0].get("alias")
        and node["from_table"]["type"] == "EMPTY"
        and not node["cte_map"]["map"]
        and not node["modifiers"]
        and not any(node[k] for k in ("where_clause", "group_expressions", "having", "qualify"))
    )


def _walk(node: Any, fragment: str) -> Iterator[str]:  # noqa: ANN401 — any value, checked by its kind
    if isinstance(node, list):
        for inner in node:
            yield from _walk(inner, fragment)
        return
    if not isinstance(node, dict):
        return
    kind, function = node.get("class"), str(node.get("function_name", "")).lower()
    if kind in _REFUSED or function in _REFUSED_FUNCTIONS:
        raise ExpressionError(
            f"{function or str(kind).lower()} may not be used here: {fragment!r}",
            hint="speak of the row's own columns only",
        )
    if kind == "COLUMN_REF":
        yield node["column_names"][0]
    for inner in node.values():
        yield from _walk(inner, fragment)


def _check_cell(cell: str, schema: TableSchema) -> None:
    name = cell.split(".", maxsplit=1)[0]
    _cell_type(cell, schema)
    if name in schema.key:
        raise ExpressionError(
            f"{name!r} is the key of table {schema.name!r} and cannot be set",
            hint="delete the row and insert another",
        )
    if name in schema.derived:
        raise ExpressionError(
            f"{name!r} is computed from other columns and cannot be set",
            hint="set the column it is computed from, such as geometry",
        )


def _cell_type(cell: str, schema: TableSchema) -> pa.DataType:
    name, _, inner = cell.partition(".")
    if name not in schema.arrow.names:
        raise ExpressionError(
            f"table {schema.name!r} has no column {name!r}",
            hint=close_names(name, schema.arrow.names),
        )
    kind = schema.arrow.field(name).type
    if not inner:
        return kind
    known = [field.name for field in kind] if pa.types.is_struct(kind) else []
    if inner not in known:
        raise ExpressionError(
            f"column {name!r} of table {schema.name!r} has no field {inner!r}",
            hint=close_names(inner, known) if known else f"{name} is {kind}",
        )
    return kind.field(inner).type


def _check_type(one: Assignment, found: object, wanted: pa.DataType) -> None:
    said, target = str(found), _sql_type(wanted)
    root = said.split("(", maxsplit=1)[0]
    fits = (
        said == target
        or one.sql.strip().lower() == "null"
        or (target in _NUMBERS and root in _NUMBERS)
        or (target.startswith("TIMESTAMP") and root in _TIMES)
        or (target.endswith("[]") and said.endswith("[]") and _elements_fit(one.sql, said, target))
        or (target.startswith("STRUCT") and said.startswith("STRUCT"))
        or (target == "DATE" and root in {"DATE", "VARCHAR"})
    )
    if not fits:
        raise ExpressionError(
            f"{one.sql!r} is {said}; {one.cell!r} is {target}",
            hint="write a list in brackets and text in single quotes, as in ['Forest']",
        )


def _elements_fit(sql: str, said: str, target: str) -> bool:
    empty = sql.replace(" ", "") == "[]"
    return empty or said == target or (said[:-2] in _NUMBERS and target[:-2] in _NUMBERS)


def _sql_type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return "STRUCT(" + ", ".join(f"{quoted(f.name)} {_sql_type(f.type)}" for f in kind) + ")"
    return _SQL_TYPES[kind]


def _translated(error: Exception, fragment: str, schema: TableSchema) -> ExpressionError:
    problem = str(error).splitlines()[0]
    match = _MISSING.search(problem)
    if match:
        name = next(group for group in match.groups() if group)
        names: Sequence[str] = schema.arrow.names
        return ExpressionError(
            f"table {schema.name!r} has no column {name!r}: {fragment!r}",
            hint=close_names(name, names) + "; text stands in single quotes",
        )
    return ExpressionError(
        f"{fragment!r} cannot be computed: {problem}",
        hint="write text in single quotes and lists in brackets, as in label = ['Forest']",
    )


def _bare(table: pa.Table) -> pa.Table:
    return table.cast(pa.schema([pa.field(f.name, f.type) for f in table.schema]))
