"""Questions: SQL over any ref, slices that can be cited."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from registry.cli.completion import complete_refs
from registry.cli.options import Json, Why, connected
from registry.cli.output import emit, json_wanted, listener
from registry.errors import InvalidInputError

__all__ = ["ResultFormat", "register"]

ResultFormat = Literal["table", "csv", "json", "geojson", "parquet", "arrow"]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("sql")(sql)
    app.command("slice")(cut)


def sql(
    query: Annotated[
        str | None, typer.Argument(help='One SELECT over "name@ref".table.', show_default=False)
    ] = None,
    attach: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            help="Instead of asking, print the SQL that lets your own DuckDB see this ref.",
            show_default=False,
            autocompletion=complete_refs,
        ),
    ] = None,
    layout: Annotated[
        ResultFormat | None,
        typer.Option("--format", help="How rows are written; a table for people by default."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="File to write; printed by default.", show_default=False
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(help="How long it may take, in seconds.")] = 60.0,
    memory: Annotated[int, typer.Option(help="How much memory it may use, in MiB.")] = 2048,
    as_json: Json = False,
) -> None:
    """Ask in SQL, of one or several refs."""
    if (query is None) == (attach is None):
        raise InvalidInputError(
            "there is no query" if query is None else "a query and --attach exclude each other",
            hint="give a query, such as 'from \"ships@v1\".samples', or --attach REF",
        )
    registry = connected()
    if attach is not None:
        from registry.query import attach as script

        text = script(registry.resolve(attach))
        emit({"ref": attach, "sql": text}, text)
        return
    from registry.query import Limits, write
    from registry.query import sql as ask

    wanted = layout or ("json" if json_wanted.get() else "table")
    rows = ask(registry, query or "", limits=Limits(seconds=seconds, memory_mb=memory))
    if out is not None:
        count = write(rows, wanted, out)
        emit({"output": out, "format": wanted, "rows": count}, f"{count:,} rows in {out}")
        return
    with listener() as stdout:
        write(rows, wanted, stdout)


def cut(
    query: Annotated[
        str,
        typer.Argument(help="One SELECT of the ids of samples of one ref.", show_default=False),
    ],
    message: Why = None,
    as_json: Json = False,
) -> None:
    """Keep the samples that a query chooses, under an id that can be cited."""
    from registry.query import slice as keep

    made = keep(connected(), query, message=message)
    emit(made, made.to_text)
