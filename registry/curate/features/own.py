"""A user's own sets: SQL expressions over the columns of samples, in a small YAML file.

An expression sees one row and nothing else: no other row, no table, no file, no clock, no chance.
What it says is parsed before anything runs, and it runs in an engine that is locked, so a
definition that came with somebody else's dataset can do no harm.
"""

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.errors import ForbiddenError, InvalidInputError
from registry.query.engine import lock, open_engine, quoted, text_literal
from registry.query.parsing import parse

if TYPE_CHECKING:
    import duckdb

__all__ = ["own_set"]

_TYPES: Final[Mapping[str, tuple[str, pa.DataType]]] = {
    "double": ("DOUBLE", pa.float64()),
    "integer": ("BIGINT", pa.int64()),
    "boolean": ("BOOLEAN", pa.bool_()),
    "text": ("VARCHAR", pa.string()),
}
_PLAIN: Final = frozenset({
    "BETWEEN", "CASE", "CAST", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION",
    "OPERATOR",
})  # fmt: skip
"""Kinds of expression that look at one row and nothing else."""
_MEMORY_MB: Final = 512
_SECONDS: Final = 60.0
_MOST_COLUMNS: Final = 500
_KEYS: Final = frozenset({"name", "version", "title", "columns", "source"})


def own_set(text: str) -> FeatureSet:
    r"""Return the set that a definition says.

    Args:
        text: YAML: ``name``, ``version``, ``title`` and ``columns``; each column has ``sql`` and
            may have ``unit``, ``meaning`` and ``type`` (double, integer, boolean, text).

    Raises:
        InvalidInputError: It is no definition.
        ForbiddenError: An expression looks at more than its row.

    Examples:
        >>> made = own_set("name: mine\ncolumns:\n  half: {sql: target / 2, unit: m}")
        >>> made.by_row(pa.table({"target": [3.0]}))["half"].to_pylist()
        [1.5]
    """
    said = _read(text)
    columns = {name: _column(name, one) for name, one in said["columns"].items()}
    name, version = str(said.get("name", "")), said.get("version", 1)
    if not isinstance(version, int):
        raise InvalidInputError(f"version {version!r} is no whole number", hint="count: 1, 2, …")
    return FeatureSet(
        name=name,
        version=version,
        title=str(said.get("title") or name),
        features=tuple(
            one.feature(str(said.get("source") or "own definition")) for one in columns.values()
        ),
        needs=Needs(columns=tuple(sorted({c for one in columns.values() for c in one.needs}))),
        by_row=_Rows({name: one.expression for name, one in columns.items()}),
        made_of=(__name__, f"duckdb=={_duckdb_version()}"),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    name: str
    sql: str
    kind: str
    unit: str
    meaning: str
    needs: tuple[str, ...]

    @property
    def expression(self) -> str:
        return f"CAST(({self.sql}\n) AS {_TYPES[self.kind][0]})"

    def feature(self, source: str) -> Feature:
        return Feature(
            name=self.name, meaning=self.meaning, formula=self.sql, source=source, unit=self.unit,
            type=_TYPES[self.kind][1],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Rows:
    """Computes the columns; one locked engine a thread."""

    expressions: Mapping[str, str]

    def __call__(self, rows: pa.Table) -> pa.Table:
        import duckdb

        chosen = ", ".join(f"{sql} AS {quoted(name)}" for name, sql in self.expressions.items())
        connection = _engine()
        connection.register("given", rows)
        timer = threading.Timer(_SECONDS, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            found = connection.execute(f"SELECT {chosen} FROM given").to_arrow_table()  # noqa: S608 — parsed before
        except duckdb.InterruptException as error:
            raise InvalidInputError(
                f"the expressions took longer than {_SECONDS:g} seconds on {rows.num_rows} rows",
                hint="make them simpler",
            ) from error
        except duckdb.Error as error:
            raise InvalidInputError(
                str(error).splitlines()[0], hint="mend the expression, or the row"
            ) from error
        finally:
            timer.cancel()
            connection.unregister("given")
        return found


_engines = threading.local()


def _engine() -> "duckdb.DuckDBPyConnection":
    known: duckdb.DuckDBPyConnection | None = getattr(_engines, "own", None)
    if known is None:
        known = open_engine(memory_mb=_MEMORY_MB, threads=1)
        lock(known, ())
        _engines.own = known
    return known


def _duckdb_version() -> str:
    import duckdb

    return str(duckdb.__version__)


# ------------------------------------------------------------------------------------ definitions
def _read(text: str) -> dict[str, Any]:
    import yaml

    try:
        said = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidInputError(
            f"the definition is no YAML: {' '.join(str(error).split())[:200]}",
            hint="see docs/how-to/features.md",
        ) from error
    if (
        not isinstance(said, dict)
        or not isinstance(said.get("columns"), dict)
        or not said["columns"]
    ):
        raise InvalidInputError(
            "the definition names no columns",
            hint="write 'name: mine' and 'columns: {late: {sql: hour(datetime) > 18}}'",
        )
    if unknown := sorted(map(str, set(said) - _KEYS)):
        raise InvalidInputError(
            f"the definition says '{unknown[0]}'", hint=f"it may say {', '.join(sorted(_KEYS))}"
        )
    if len(said["columns"]) > _MOST_COLUMNS:
        raise InvalidInputError(
            f"the definition has {len(said['columns'])} columns", hint=f"{_MOST_COLUMNS} at most"
        )
    return said


def _column(name: object, said: object) -> _Column:
    one = {"sql": said} if isinstance(said, str) else said
    if not isinstance(one, dict) or not isinstance(one.get("sql"), str):
        raise InvalidInputError(
            f"column {name!r} has no sql", hint=f"write '{name}: {{sql: hour(datetime)}}'"
        )
    kind = str(one.get("type", "double"))
    if kind not in _TYPES:
        raise InvalidInputError(
            f"column {name!r} is of type {kind!r}", hint=f"choose one of {', '.join(_TYPES)}"
        )
    sql = one["sql"].strip()
    return _Column(
        name=str(name), sql=sql, kind=kind, unit=str(one.get("unit", "1")),
        meaning=str(one.get("meaning", sql)), needs=_columns_of(str(name), sql),
    )  # fmt: skip


def _columns_of(name: str, sql: str) -> tuple[str, ...]:
    """Return the columns that an expression looks at.

    Raises:
        ForbiddenError: It looks at more.
    """
    tree = _tree(name, sql)
    # The query's own parser refuses what reaches outside, such as settings and files.
    parse(f'SELECT ({sql}\n) FROM "own@v1".samples')  # noqa: S608 — only parsed
    needs = []
    for node in _nodes(tree):
        kind = node.get("class")
        if kind not in _PLAIN:
            raise ForbiddenError(
                f"column {name!r} holds {str(kind).lower()}, which looks at more than its row",
                hint="use columns, constants, operators and plain functions",
            )
        if kind == "COLUMN_REF":
            needs.append(str(node["column_names"][0]).lower())
        if kind == "FUNCTION":
            _check_function(name, node)
    return tuple(sorted(set(needs)))


def _tree(name: str, sql: str) -> dict[str, Any]:
    import duckdb

    text = f"SELECT ({sql}\n)"
    with duckdb.connect() as connection:
        row = connection.execute(f"SELECT json_serialize_sql({text_literal(text)})").fetchone()
    answer: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    statements: list[Any] = answer.get("statements") or []
    if answer["error"] or len(statements) != 1:
        raise InvalidInputError(
            f"column {name!r} is no expression: {answer.get('error_message', sql)}",
            hint="write what may stand between SELECT and FROM",
        )
    node: dict[str, Any] = statements[0]["node"]
    alone = (
        node.get("type") == "SELECT_NODE"
        and len(node.get("select_list", ())) == 1
        and node["from_table"]["type"] == "EMPTY"
        and not any(node.get(key) for key in ("where_clause", "having", "qualify", "modifiers"))
        and not node.get("group_expressions")
        and not node.get("cte_map", {}).get("map")
    )
    if not alone:
        raise ForbiddenError(
            f"column {name!r} is more than an expression", hint="leave FROM, WHERE and ; out"
        )
    found: dict[str, Any] = node["select_list"][0]
    return found


def _nodes(tree: object) -> Iterator[dict[str, Any]]:
    """Yield every expression of a tree."""
    waiting = [tree]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("class"), str):
                yield one
            waiting += [value for key, value in one.items() if key not in {"value", "cast_type"}]
        elif isinstance(one, list):
            waiting += one


def _check_function(name: str, node: Mapping[str, Any]) -> None:
    function = str(node.get("function_name", "")).lower()
    if function not in _pure_functions():
        raise ForbiddenError(
            f"column {name!r} calls {function}(), which is no function of one row alone, or not "
            "always the same",
            hint="aggregates, tables, the clock and chance have no place in a feature",
        )
    if node.get("filter") or node.get("distinct") or (node.get("order_bys") or {}).get("orders"):
        raise ForbiddenError(
            f"column {name!r} aggregates with {function}()", hint="use functions of one row"
        )


@lru_cache(maxsize=1)
def _pure_functions() -> frozenset[str]:
    """Return the functions that give the same for the same arguments, always and everywhere."""
    rows = open_engine(threads=1).execute(
        "SELECT lower(function_name), bool_and(function_type IN ('scalar', 'macro')), "
        "bool_and(coalesce(stability, 'CONSISTENT') = 'CONSISTENT'), "
        "bool_or(coalesce(macro_definition, '') <> '') FROM duckdb_functions() GROUP BY ALL"
    )
    pure = {name for name, scalar, same, macro in rows.fetchall() if scalar and same and not macro}
    return frozenset(pure)
