"""Point-in-time joins: what was known at a time, never what came to be known later.

Here rows belong together whose columns are equal; which sample's footprint a point lies in is
another question, of :func:`registry.curate.features.as_of.samples_at`.
"""

from collections.abc import Sequence
from typing import Final

import pyarrow as pa

from registry.errors import InvalidInputError
from registry.query.engine import quoted
from registry.tables.engine import connection

__all__ = ["as_of"]

_PLACE: Final = "_place"


def as_of(
    points: pa.Table, facts: pa.Table, *, by: Sequence[str] = (), time: str = "time"
) -> pa.Table:
    """Return each point with the newest fact that is not younger than the point.

    Args:
        points: What is asked about; has ``time`` and the columns ``by``.
        facts: What is known since when; has ``time``, the columns ``by``, and any others. Of two
            facts of one time the later row counts.
        by: Columns that must be equal, such as ``place``; a null equals nothing.
        time: Name of the time column in both: timestamps of one kind, or numbers.

    Returns:
        The points in their order; then the facts' other columns, null where nothing was known
        yet or the point has no time; then ``<time>_of_fact``.

    Raises:
        InvalidInputError: A column is missing, or both sides have one of the same name.

    Examples:
        >>> known = pa.table({"time": [2020, 2022], "height": [7.0, 9.0]})
        >>> as_of(pa.table({"time": [2019, 2021, 2022]}), known)["height"].to_pylist()
        [None, 7.0, 9.0]
    """
    for side, rows in (("points", points), ("facts", facts)):
        if lacking := [name for name in (time, *by) if name not in rows.column_names]:
            raise InvalidInputError(
                f"{side} have no column {', '.join(lacking)}",
                hint=f"they have {', '.join(rows.column_names)}",
            )
    said = f"{time}_of_fact"
    values = [name for name in facts.column_names if name not in {time, *by}]
    if both := [name for name in (*values, said) if name in points.column_names]:
        raise InvalidInputError(
            f"points and facts both have a column {', '.join(both)}", hint="rename it in one"
        )
    chosen = "".join(f", f.{quoted(name)}" for name in values)
    on = " AND ".join([
        *(f"p.{quoted(n)} = f.{quoted(n)}" for n in by),
        f"p.{quoted(time)} >= f.{quoted(time)}",
    ])
    groups = ", ".join(quoted(name) for name in (*by, time))
    # Of several facts of one time the engine would take any; nulls sort as the newest of all.
    query = f"""
        SELECT p.*{chosen}, f.{quoted(time)} AS {quoted(said)} FROM points p ASOF LEFT JOIN (
            SELECT * FROM facts WHERE {quoted(time)} IS NOT NULL
            QUALIFY row_number() OVER (PARTITION BY {groups} ORDER BY {_PLACE} DESC) = 1
        ) f ON {on} ORDER BY p.{_PLACE}"""  # noqa: S608 — names are quoted
    with connection() as engine:
        engine.register("points", _placed(points))
        engine.register("facts", _placed(facts))
        found = engine.execute(query).to_arrow_table()
    fields = [
        *points.schema,
        *(facts.schema.field(name).with_nullable(nullable=True) for name in values),
        facts.schema.field(time).with_name(said).with_nullable(nullable=True),
    ]
    return found.drop_columns([_PLACE]).cast(pa.schema(fields))


def _placed(rows: pa.Table) -> pa.Table:
    return rows.append_column(_PLACE, pa.array(range(rows.num_rows), pa.int64()))
