"""Questions: SQL over any ref, slices that can be cited."""

from pathlib import Path
from typing import Annotated

import typer

from registry.cli.options import Json, connected
from registry.cli.output import emit, json_wanted, listener
from registry.errors import InvalidInputError

__all__ = ["register"]


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
        typer.Option(metavar="REF", help="Print what your own DuckDB needs to see this ref."),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option("--format", help="table, csv, json, geojson, parquet or arrow."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--output", "-o", help="Write it there.")] = None,
    seconds: Annotated[float, typer.Option(help="How long it may take.")] = 60.0,
    memory: Annotated[int, typer.Option(help="How much memory it may use, in MiB.")] = 2048,
    as_json: Json = False,
) -> None:
    """Ask a question of one or several refs."""
    if (query is None) == (attach is None):
        raise InvalidInputError(
            "one thing is asked at a time", hint="give a query, or --attach REF"
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
        write(rows, wanted, out)
        return
    with listener() as stdout:
        write(rows, wanted, stdout)


def cut(
    query: Annotated[
        str,
        typer.Argument(help="One SELECT of sample ids of one ref.", show_default=False),
    ],
    as_json: Json = False,
) -> None:
    """Keep the samples that a query chooses, under an id that can be cited."""
    from registry.query import slice as keep

    made = keep(connected(), query)
    emit(made, made.to_text)
