"""Comparing: what differs between two refs, and which commit changed a row last."""

import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from registry.cli.options import Json, RefArgument, connected
from registry.cli.output import emit, json_wanted, jsonable, listener, table_text
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.catalog import DatasetDiff
    from registry.tables.changes import TableDiff

__all__ = ["register"]

_BINARY = frozenset({"parquet", "arrow"})  # outlines stay WKB; elsewhere they are WKT
_SHOWN = 20
_SHORT = 10
_WHY = 120  # characters of a reason, or of a part of a key

TableOption = Annotated[
    list[str] | None,
    typer.Option(
        "--table",
        metavar="TABLE",
        help="Only this table, such as annotations or splits/default. Repeatable.",
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("diff")(diff)
    app.command("blame")(blame)


def diff(
    before: RefArgument,
    after: RefArgument,
    table: TableOption = None,
    rows: Annotated[
        bool, typer.Option("--rows", help="Every changed row; the first ones by default.")
    ] = False,
    map_: Annotated[
        Path | None,
        typer.Option(
            "--map",
            metavar="FILE",
            help="Draw changed samples side by side and on a map, as one HTML file.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write the changed rows of one table to a .parquet, .arrow or .json file.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which rows differ between two refs of a dataset: keys, columns, old and new values."""
    for file in filter(None, (map_, output)):
        refuse_missing_folder(file)
    found = connected().diff(before, after, table)
    done: dict[str, str] = {}
    if map_ is not None:
        from registry.web.differences import render

        render(found, map_)
        done["page"] = str(map_)
    if output is not None:
        done["rows"] = str(output)
        _write(found, output)
    if json_wanted.get():
        _print(_document(found, done, rows=rows))
    else:
        shown = found.lines(rows=None if rows else _SHOWN)
        _print(f"{line}\n" for line in chain(shown, done.values()))


def blame(
    ref: RefArgument,
    table: Annotated[str, typer.Option("--table", help="The table.")] = "annotations",
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="KEY",
            help="A row's key, also of one that was deleted; parts joined by /, as in s1/mask. "
            "Repeatable; every row by default.",
            show_default=False,
        ),
    ] = None,
    columns: Annotated[
        bool, typer.Option("--columns", help="For each group of columns that belong together.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Say which commit changed a row last, who made it, when and why."""
    from registry.catalog.comparing.blame import blame as blamed
    from registry.tables.store import schema_of

    version = connected().resolve(ref)
    parts = len(schema_of(version.home_of(table), table).key)
    asked = None if keys is None else [tuple(key.split("/", parts - 1)) for key in keys]
    rows = blamed(version, table, asked, columns=columns).to_pylist()
    shown = (*(("columns",) if columns else ()), "change", "commit", "when", "who", "why")
    emit(rows, lambda: table_text(("key", *shown), [_blame_row(row, shown) for row in rows]))


def _blame_row(row: Mapping[str, Any], shown: Sequence[str]) -> list[str]:
    from registry.catalog.comparing.differing import value_text

    told = {"change", "columns", "commit", "author", "at", "message", "decided"}
    summary = row["message"].partition("\n")[0]
    why = f"{summary}; decided {row['decided']}" if row["decided"] else summary
    said = {
        "columns": ", ".join(row.get("columns") or ()),
        "change": row["change"],
        "commit": row["commit"][:_SHORT],
        "when": f"{row['at']:%Y-%m-%d %H:%M}",
        "who": value_text(row["author"].partition(" <")[0]),
        "why": value_text(why, 2 * _WHY),
    }
    key = "/".join(value_text(value, _WHY) for name, value in row.items() if name not in told)
    return [key, *(said[name] for name in shown)]


def refuse_missing_folder(file: Path) -> None:
    """Refuse to write where no folder is, which is more likely mistyped than meant.

    Raises:
        InvalidInputError: The folder is missing.
    """
    if not file.parent.is_dir():
        raise InvalidInputError(
            f"there is no folder '{file.parent}' for '{file.name}'",
            hint=f"make it first: mkdir -p {shlex.quote(str(file.parent))}",
        )


def _print(pieces: Iterator[str]) -> None:
    """Print text as it comes, so that no more than a piece is held."""
    with listener() as stdout:
        for piece in pieces:
            stdout.write(piece.encode("utf-8", "replace"))


def _write(found: "DatasetDiff", output: Path) -> None:
    from registry.query.outputs import write

    tables = [one for one in found.tables.values() if one.total]
    if len(tables) != 1:
        names = ", ".join(one.name for one in tables) or "none"
        raise InvalidInputError(
            f"a file holds the rows of one table, but those that changed are: {names}",
            hint="name one: --table annotations",
        )
    kind = output.suffix.removeprefix(".").lower() or "parquet"
    rows = tables[0].batches(found.systems)
    write(rows if kind in _BINARY else _in_words(rows), kind, output)


def _in_words(rows: "pa.RecordBatchReader") -> "pa.RecordBatchReader":
    """Return rows whose outlines are WKT, on both sides of the change."""
    import pyarrow as pa

    schema = pa.schema([_field_in_words(field) for field in rows.schema])
    batches = (
        pa.RecordBatch.from_arrays(
            [_column_in_words(column, field) for column, field in zip(batch, schema, strict=True)],
            schema=schema,
        )
        for batch in rows
    )
    return pa.RecordBatchReader.from_batches(schema, batches)


def _field_in_words(field: "pa.Field") -> "pa.Field":
    import pyarrow as pa

    if field.name not in {"before", "after"} or not pa.types.is_struct(field.type):
        return field
    parts = [pa.field(f.name, pa.string()) if f.name == "geometry" else f for f in field.type]
    return pa.field(field.name, pa.struct(parts))


def _column_in_words(column: "pa.Array", field: "pa.Field") -> "pa.Array":
    import pyarrow as pa
    import shapely

    if column.type == field.type:
        return column
    parts = []
    for part in column.type:
        held = column.field(part.name)
        if part.name == "geometry":
            shapes = shapely.from_wkb(held.to_pylist(), on_invalid="ignore")
            said = [None if shapely.is_missing(one) else one.wkt for one in shapes]
            held = pa.array(said, pa.string())
        parts.append(held)
    return pa.StructArray.from_arrays(parts, fields=[*field.type], mask=column.is_null())


# ---------------------------------------------------------------------- JSON
def _document(found: "DatasetDiff", done: Mapping[str, str], *, rows: bool) -> Iterator[str]:
    """Yield one JSON document, a row a line."""
    yield f'{{"before": {_json(found.before)}, "after": {_json(found.after)}, "tables": {{'
    for number, table in enumerate(found.tables.values()):
        yield from _table(found, table, comma="," if number else "", rows=rows)
    rest = {
        "renames": found.renames,
        "uncompared": found.uncompared,
        "card": found.card,
        "files": found.files,
        "written": done,
    }
    yield "}" + "".join(f",\n{_json(name)}: {_json(value)}" for name, value in rest.items()) + "}\n"


def _table(found: "DatasetDiff", table: "TableDiff", *, comma: str, rows: bool) -> Iterator[str]:
    from registry.catalog.comparing.differing import rows_of

    facts = {
        "inserted": table.inserted,
        "updated": table.updated,
        "deleted": table.deleted,
        "columns": table.columns,
        "uncompared": table.uncompared,
    }
    said = ", ".join(f"{_json(name)}: {_json(value)}" for name, value in facts.items())
    yield f"{comma}\n{_json(table.name)}: {{{said}"
    if rows:
        yield ', "rows": ['
        for number, row in enumerate(rows_of(table, found.systems)):
            yield f"{',' if number else ''}\n{_json(_row(row))}"
        yield "]"
    yield "}"


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of which an update says only what changed."""
    from registry.catalog.comparing.differing import field_of

    sides = {side: row[side] for side in ("before", "after")}
    if row["change"] == "updated":
        sides = {
            side: {cell: field_of(held, cell) for cell in row["columns"]}
            for side, held in sides.items()
        }
    return row | sides


def _json(value: object) -> str:
    return json.dumps(_finite(jsonable(value)), ensure_ascii=False, allow_nan=False)


def _finite(value: Any) -> Any:  # noqa: ANN401 — JSON has no narrower type
    """Return a value in which what JSON has no number for is a word."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
