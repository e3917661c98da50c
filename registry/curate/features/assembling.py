"""One table out of what was computed and what was taken over, in the order of the samples."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow.parquet as pq

from registry.catalog.version import Version
from registry.curate.features.cells import subsets_of_cells
from registry.curate.features.definition import FeatureSet
from registry.curate.features.inputs import engine, source
from registry.curate.features.outcome import Reason
from registry.curate.features.planning import Plan
from registry.curate.features.records import INPUTS, PROBLEM, Record, table_name
from registry.curate.features.reuse import Earlier, kept_rows
from registry.errors import CorruptError, UnavailableError
from registry.query.engine import quoted, text_literal
from registry.tables import store

if TYPE_CHECKING:
    import duckdb

__all__ = ["Counts", "assemble", "failures_of", "failures_there"]

_MOST_REASONS: Final = 20
_SUCH_AS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many rows came from where."""

    evaluated: int
    """Rows that were computed."""

    kept: int
    """Rows that were taken over."""


def assemble(
    connection: "duckdb.DuckDBPyConnection",
    found: Plan,
    made: FeatureSet,
    *,
    digests: Path,
    fresh: Path | None,
    earlier: Earlier | None,
    out: Path,
) -> Counts:
    """Write a set's table as a Parquet file.

    Args:
        connection: As ``inputs.engine`` opens it.
        found: The plan.
        made: The set.
        digests: Of each sample's inputs.
        fresh: Folder of what the runner wrote; None if nothing had to be computed.
        earlier: The table whose rows of equal digest are taken over.
        out: The file.

    Returns:
        How many rows came from where.

    Raises:
        CorruptError: The runner left samples out.
        UnavailableError: Memory or disk do not suffice.
    """
    import duckdb

    if made.gathering is not None:
        return _gathered(found, made, fresh, out)
    query = _query(connection, found, made, digests=digests, fresh=fresh, earlier=earlier)
    try:
        connection.execute(f"CREATE OR REPLACE TEMP VIEW assembled AS {query}")
        names = ", ".join(quoted(one.name) for one in made.features)
        columns = f"sample, {names}, {PROBLEM}, {INPUTS}"
        connection.execute(
            f"COPY (SELECT {columns} FROM assembled ORDER BY _place, sample) "  # noqa: S608 — quoted
            f"TO {text_literal(str(out))} (FORMAT parquet, COMPRESSION zstd)"
        )
        row = connection.execute(
            "SELECT count(*) FILTER (_fresh), count(*) FILTER (_kept AND NOT _fresh), "
            "count(*) FILTER (NOT _kept AND NOT _fresh) FROM assembled"
        ).fetchone()
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise UnavailableError(
            f"the values cannot be put together: {str(error).splitlines()[0]}",
            hint="free some memory or disk and run it again",
        ) from error
    evaluated, kept, lost = row or (0, 0, 0)
    if lost:
        raise CorruptError(
            f"{lost:,} samples have no values of '{made.name}': the engine left them out",
            hint="run it again, or by the other engine: --engine library",
        )
    return Counts(evaluated=evaluated, kept=kept)


def failures_of(
    connection: "duckdb.DuckDBPyConnection", table: Path, fresh: Path | None, made: FeatureSet
) -> tuple[int, tuple[Reason, ...]]:
    """Return how many rows have no values, and why, the most frequent reason first."""
    if made.gathering is None:
        failed = f"SELECT sample, {PROBLEM} AS why FROM read_parquet({text_literal(str(table))})"  # noqa: S608 — quoted
    elif fresh is not None:
        failed = f"SELECT sample, {_why(made)} AS why FROM {_written(fresh)} r"  # noqa: S608 — quoted
    else:
        return 0, ()
    return _counted(connection, failed)


def failures_there(version: Version, record: Record) -> tuple[Reason, ...]:
    """Return why rows of a table that is there have no values, the most frequent reason first."""
    root, table = version.derived, table_name(record.name)
    if root is None or not record.failed:
        return ()
    with engine() as connection:
        known = store.schema_of(root, table).arrow.names
        if PROBLEM not in known:  # its rows are no samples
            return ()
        rows = source(connection, root, table)
        return _counted(connection, f"SELECT sample, {PROBLEM} AS why FROM {rows}")[1]  # noqa: S608 — as above


def _counted(
    connection: "duckdb.DuckDBPyConnection", failed: str
) -> tuple[int, tuple[Reason, ...]]:
    groups = f"""
        SELECT why, count(*), list(sample ORDER BY sample)[:{_SUCH_AS}] FROM ({failed})
        WHERE why IS NOT NULL GROUP BY why ORDER BY count(*) DESC, why"""  # noqa: S608 — as above
    total = connection.execute(f"SELECT count(*) FROM ({failed}) WHERE why IS NOT NULL").fetchone()  # noqa: S608 — as above
    rows = connection.execute(f"{groups} LIMIT {_MOST_REASONS}").fetchall()
    reasons = tuple(Reason(problem=why, samples=n, such_as=tuple(some)) for why, n, some in rows)
    return (total[0] if total else 0), reasons


def _query(
    connection: "duckdb.DuckDBPyConnection",
    found: Plan,
    made: FeatureSet,
    *,
    digests: Path,
    fresh: Path | None,
    earlier: Earlier | None,
) -> str:
    """Return SQL of the set's rows with where each comes from: ``_fresh``, ``_kept``."""
    kept = kept_rows(connection, made, earlier)
    digest = f"d.{quoted(made.name)}"
    values, problem = [], "NULL::VARCHAR"
    for one in made.features:
        name = quoted(one.name)
        sides = []
        if fresh is not None:
            sides.append(f"WHEN r.sample IS NOT NULL THEN r.{quoted(made.name)}.{name}")
        if kept:
            sides.append(f"WHEN k.sample IS NOT NULL THEN k.{name}")
        values.append(f"CASE {' '.join(sides)} END AS {name}" if sides else f"NULL AS {name}")
    if fresh is not None:
        problem = f"CASE WHEN r.sample IS NOT NULL THEN {_why(made)} END"
    if kept:
        was = f"CASE WHEN NOT {_is(fresh is not None, 'r')} THEN k.{PROBLEM} END"
        problem = f"coalesce({problem}, {was})"
    samples = source(connection, found.version.root, "samples")
    joins = f"{samples} s JOIN read_parquet({text_literal(str(digests))}) d ON d.id = s.id"
    if fresh is not None:
        joins += f" LEFT JOIN {_written(fresh)} r ON r.sample = s.id"
    if kept:
        joins += f" LEFT JOIN {kept} k ON k.sample = s.id AND k.{INPUTS} = {digest}"
    return f"""
        SELECT s.id AS sample, {", ".join(values)}, {problem} AS {PROBLEM}, {digest} AS {INPUTS},
            s.hilbert AS _place, {_is(fresh is not None, "r")} AS _fresh,
            {_is(kept is not None, "k")} AS _kept
        FROM {joins}"""  # noqa: S608 — names and texts are quoted


def _is(there: bool, table: str) -> str:  # noqa: FBT001 — private
    return f"({table}.sample IS NOT NULL)" if there else "false"


def _why(made: FeatureSet) -> str:
    own = f"list_filter(r.failures, lambda one: one.set = {text_literal(made.name)})[1]"
    return f"({own}.problem || '; ' || {own}.hint)"


def _written(fresh: Path) -> str:
    # Named one by one: a folder above may have a name that reads as a pattern.
    files = ", ".join(text_literal(str(file)) for file in sorted(fresh.glob("**/*.parquet")))
    return f"read_parquet([{files}], hive_partitioning = false)"


def _gathered(found: Plan, made: FeatureSet, fresh: Path | None, out: Path) -> Counts:
    if made.gathering is None or fresh is None:
        raise CorruptError(f"'{made.name}' has nothing to gather", hint="report this")
    subsets = subsets_of_cells(fresh.with_suffix(".cells"))
    rows = made.gathering.finish(_partials(fresh, made), subsets, found.assets)
    pq.write_table(rows, out)
    count = sum(pq.read_metadata(file).num_rows for file in fresh.glob("**/*.parquet"))
    return Counts(evaluated=count, kept=0)


def _partials(fresh: Path, made: FeatureSet) -> Iterator[Mapping[str, Any]]:
    for path in sorted(fresh.glob("**/*.parquet")):
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=1024, columns=[made.name]):
                for rows in batch.column(0).drop_null():
                    yield from (row.as_py() for row in rows.values)
