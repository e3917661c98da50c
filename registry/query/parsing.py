"""What a query names, found by DuckDB's own parser before anything runs.

The text is parsed to a tree and never bound: no file is opened, no function called. Only one
``SELECT`` is let through, only from tables of refs, and only with table functions that make rows
from their arguments. The engine that runs it later is locked as well; this is the outer wall.
"""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import duckdb

from registry.errors import ForbiddenError, InvalidInputError
from registry.query.engine import text_literal

__all__ = ["Statement", "TableName", "parse"]

LONGEST_TEXT: Final = 256 * 1024
"""Characters a query may have."""

LONGEST_PROBLEM: Final = 300
"""Characters of the parser's words that are repeated."""

ROW_MAKERS: Final = frozenset({
    "generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row",
    "st_generatepoints", "unnest",
})  # fmt: skip
"""Table functions that read nothing but their arguments."""

REF_FUNCTIONS: Final = frozenset({"samples_in"})
"""Table functions that every ref has."""

OUTSIDE_FUNCTIONS: Final = frozenset({
    "checkpoint", "current_setting", "currval", "force_checkpoint", "getenv", "getvariable",
    "json_deserialize_sql", "json_execute_serialized_sql", "json_serialize_plan",
    "json_serialize_sql", "nextval", "query", "query_table", "set_config", "which_secret",
    "write_log",
})  # fmt: skip
"""Scalar functions that look at, or change, more than their arguments."""

OUTSIDE_PREFIXES: Final = ("duckdb_", "pragma_", "read_", "sniff_", "parquet_", "inet_", "pg_")
"""How the engine names functions about itself and about files."""

RESERVED_SCHEMAS: Final = frozenset({"information_schema", "main", "pg_catalog", "system", "temp"})
"""Schemas of the engine's own, which are no datasets."""

QUERY_NODES: Final = frozenset({
    "CTE_NODE", "RECURSIVE_CTE_NODE", "SELECT_NODE", "SET_OPERATION_NODE",
})  # fmt: skip
TABLE_NODES: Final = frozenset({
    "BASE_TABLE", "EMPTY", "EXPRESSION_LIST", "JOIN", "PIVOT", "SHOW_REF", "SUBQUERY",
    "TABLE_FUNCTION",
})  # fmt: skip
DETAIL_SUFFIXES: Final = ("_MODIFIER", "_TYPE_INFO")
ORDERS: Final = frozenset({"ASCENDING", "DESCENDING", "ORDER_DEFAULT"})


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class TableName:
    """A table as a query names it."""

    ref: str
    """The ref, as it was written: ``eurosat@v2``."""

    table: str
    """The table, as it was written: ``samples``, ``splits/default``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A query that may run."""

    text: str
    """What was asked, unchanged."""

    tables: tuple[TableName, ...]
    """Every table of a ref that it reads, sorted, each once."""

    functions: frozenset[str]
    """Every function that it calls, in lower case."""

    @property
    def refs(self) -> tuple[str, ...]:
        """The refs it reads, sorted, each once."""
        return tuple(sorted({name.ref for name in self.tables}))


def parse(text: str) -> Statement:
    """Check that a text is one query over refs, and say which tables it reads.

    Args:
        text: One ``SELECT`` (``FROM``, ``VALUES``, ``WITH``, ``DESCRIBE`` and ``SUMMARIZE`` are
            forms of it), at most 262,144 characters.

    Returns:
        The query with the tables and functions that it names.

    Raises:
        InvalidInputError: Not SQL, not one query, or a table without a ref.
        ForbiddenError: A function that reads files, settings or the engine's own state.

    Examples:
        >>> parse('select count(*) from "eurosat@v2".samples').tables
        (TableName(ref='eurosat@v2', table='samples'),)
    """
    if len(text) > LONGEST_TEXT:
        raise InvalidInputError(
            f"the query has {len(text):,} characters, more than {LONGEST_TEXT:,}",
            hint="put long lists of values into a slice or a table",
        )
    tree = _tree(text)
    walk = _Walk()
    try:
        walk.visit(tree)
    except RecursionError as error:
        raise InvalidInputError(
            "the query is nested too deeply", hint="split it with WITH"
        ) from error
    return Statement(
        text=text, tables=tuple(sorted(walk.tables)), functions=frozenset(walk.functions)
    )


def _tree(text: str) -> dict[str, Any]:
    if any(ch == "\0" or "\ud800" <= ch <= "\udfff" for ch in text):
        raise InvalidInputError("the query holds NUL or half a character", hint="remove it")
    try:
        answer = json.loads(_serialised(text))
    except RecursionError as error:
        raise InvalidInputError(
            "the query is nested too deeply", hint="split it with WITH"
        ) from error
    if answer["error"]:
        raise _syntax_error(text, answer)
    statements = answer.get("statements", [])
    if len(statements) != 1:
        raise InvalidInputError(
            f"{len(statements)} statements where one query is expected",
            hint="ask one SELECT at a time",
        )
    found = statements[0]
    if found.get("named_param_map"):
        raise InvalidInputError(
            "the query holds a parameter (? or $name)", hint="write the value itself"
        )
    node: dict[str, Any] = found["node"]
    return node


def _serialised(text: str) -> str:
    connection, lock = _parser()
    try:
        with lock:
            # Not as a parameter: to look at one, DuckDB imports pandas.
            row = connection.execute(
                f"SELECT json_serialize_sql({text_literal(text)},"
                " skip_null := true, skip_empty := true)"
            ).fetchone()
    except duckdb.Error as error:
        raise InvalidInputError(
            f"the query cannot be read: {_short(str(error))}", hint="ask it another way"
        ) from error
    return str(row[0]) if row else ""


@cache
def _parser() -> tuple[duckdb.DuckDBPyConnection, threading.Lock]:
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "enable_external_access": "false",
            "lock_configuration": "true",
            "threads": "1",
        }
    )
    return connection, threading.Lock()


def _syntax_error(text: str, answer: dict[str, Any]) -> InvalidInputError:
    problem = _short(str(answer.get("error_message", "")))
    if answer.get("error_type") == "not implemented":
        pivots = "pivot" in text.lower()
        return InvalidInputError(
            f"only SELECT may be asked, not {_verb(text)}",
            hint="name the values: PIVOT table ON column IN (value, ...)"
            if pivots
            else "ask one SELECT; change data through drafts: eolab edit, eolab ingest",
        )
    position = answer.get("position")
    if position is None or not str(position).isdigit():
        return InvalidInputError(f"the query is not SQL: {problem}", hint=_HOW)
    before = text[: int(position)]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    return InvalidInputError(
        f"the query is not SQL at line {line}, column {column}: {problem}", hint=_HOW
    )


_HOW: Final = 'tables are written "name@ref".table, strings in single quotes'


def _verb(text: str) -> str:
    words = text.split(maxsplit=1)
    return words[0][:20].upper() if words else "nothing"


def _short(said: str) -> str:
    line = (said.splitlines() or [""])[0]
    return line if len(line) <= LONGEST_PROBLEM else f"{line[:LONGEST_PROBLEM]}…"


class _Walk:
    """A walk over the parser's tree that keeps what is named and stops at what is not allowed."""

    def __init__(self) -> None:
        self.tables: set[TableName] = set()
        self.functions: set[str] = set()

    def visit(self, node: object, known: frozenset[str] = frozenset()) -> None:
        """Look at a node and all below it; ``known`` are the names that WITH gave before it."""
        if isinstance(node, list):
            for item in node:
                self.visit(item, known)
        elif isinstance(node, dict):
            for child, names in self._children(node, known):
                self.visit(child, names)

    def _children(
        self, node: dict[str, Any], known: frozenset[str]
    ) -> Iterator[tuple[object, frozenset[str]]]:
        kind = node.get("type")
        if isinstance(kind, str):
            self._check(node, kind, known)
        if "cte_name" in node:
            known |= {str(node["cte_name"]).lower()}
        for entry in node.get("cte_map", {}).get("map", ()):
            yield entry["value"], known
            known |= {str(entry["key"]).lower()}
        for key, child in node.items():
            if kind == "TABLE_FUNCTION" and key == "function":
                yield child.get("children", ()), known
            elif key != "cte_map" and isinstance(child, dict | list):
                yield child, known

    def _check(self, node: dict[str, Any], kind: str, known: frozenset[str]) -> None:
        if "class" in node:
            if "function_name" in node:
                self._scalar(node)
        elif kind == "BASE_TABLE":
            self._table(node, known)
        elif kind == "TABLE_FUNCTION":
            self._table_function(node["function"])
        elif kind == "SHOW_REF":
            _check_show(node)
        elif not (
            kind in QUERY_NODES
            or kind in TABLE_NODES
            or kind in ORDERS
            or kind.endswith(DETAIL_SUFFIXES)
        ):
            raise InvalidInputError(
                f"this part of SQL is not available here: {kind}", hint="ask it another way"
            )

    def _table(self, node: dict[str, Any], known: frozenset[str]) -> None:
        table, ref = str(node.get("table_name", "")), str(node.get("schema_name", ""))
        if not ref and table.lower() in known:
            return
        if node.get("catalog_name"):
            raise InvalidInputError(
                f"{node['catalog_name']}.{ref}.{table} has one name too many",
                hint=f'a table is written "name@ref".table, such as "{ref}".samples',
            )
        if not ref:
            raise InvalidInputError(
                f"table {table!r} names no dataset", hint=f'write "name@ref".{_shown(table)}'
            )
        if node.get("at_clause"):
            raise InvalidInputError(
                f"AT asks for another state of {ref}",
                hint='history is in the ref: "name@v1".table, "name@<commit>".table',
            )
        self._add(ref, table)

    def _add(self, ref: str, table: str) -> None:
        if ref.lower() in RESERVED_SCHEMAS:
            raise ForbiddenError(
                f"schema {ref!r} is the engine's own and closed here",
                hint='ask tables of datasets: "name@ref".table',
            )
        self.tables.add(TableName(ref=ref, table=table))

    def _table_function(self, function: dict[str, Any]) -> None:
        name, ref = str(function["function_name"]), str(function.get("schema", ""))
        if ref and name.lower() in REF_FUNCTIONS and not function.get("catalog"):
            self._add(ref, "samples")
        elif name.lower() not in ROW_MAKERS or ref.lower() not in {"", "main"}:
            raise ForbiddenError(
                f"table function {name!r} is closed here, because it can reach beyond the refs",
                hint='ask tables of datasets, "name@ref".table, or '
                + ", ".join(sorted(ROW_MAKERS)),
            )
        self.functions.add(name.lower())

    def _scalar(self, node: dict[str, Any]) -> None:
        name, schema = str(node["function_name"]).lower(), str(node.get("schema", ""))
        if name in OUTSIDE_FUNCTIONS or name.startswith(OUTSIDE_PREFIXES):
            raise ForbiddenError(
                f"function {name!r} is closed here, because it can reach beyond the refs",
                hint="ask columns of datasets and functions of them",
            )
        self.functions.add(name)
        if name == "chip" and schema:
            self._add(schema, "chips")


def _check_show(node: dict[str, Any]) -> None:
    if node.get("show_type") not in {"DESCRIBE", "SUMMARY"} or "query" not in node:
        raise ForbiddenError(
            "SHOW lists the engine's own catalogue, which is closed here",
            hint='see a table by DESCRIBE "name@ref".samples, a dataset by eolab show name@ref',
        )


def _shown(table: str) -> str:
    return table if table.isidentifier() else '"' + table.replace('"', '""') + '"'
