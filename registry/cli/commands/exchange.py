"""Rows that change: by SQL, or in another tool and back."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from registry.cli.options import Json, RefArgument, Why, connected
from registry.cli.output import emit, json_wanted, listener
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.curate.exchange import Brought

__all__ = ["register"]

ExportFormat = Literal["gpkg", "geojson", "coco", "csv", "parquet"]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("export")(export)
    app.command("edit")(edit)


def export(
    ref: RefArgument,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            help="File to write: .gpkg, .geojson, .json, .csv or .parquet; replaced if there.",
            show_default=False,
        ),
    ],
    table: Annotated[str, typer.Option(help="Which table; any but pixels.")] = "annotations",
    layout: Annotated[
        ExportFormat | None,
        typer.Option(
            "--format",
            help="By default as the file's name says; .json is COCO for annotations.",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            metavar="SQL",
            help="Which rows: \"category = 'Boat'\"; by default all.",
            show_default=False,
        ),
    ] = "",
    samples: Annotated[
        str,
        typer.Option(
            metavar="IDS",
            help="Only rows on these samples: ids with commas between, or a slice's id.",
            show_default=False,
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Write a table as a file that QGIS, CVAT or a spreadsheet edits."""
    from registry.curate.exchange import export as write

    registry = connected()
    done = write(
        registry,
        registry.resolve(ref),
        table,
        out,
        format=layout,
        where=where,
        samples=samples,
    )
    emit(done, done.to_text)


def edit(
    ref: RefArgument,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="COLUMN=SQL",
            help="New value of a column: \"label=['Forest']\". Repeatable.",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            metavar="SQL",
            help="Which rows: \"id = 'Forest_12'\"; true for all.",
            show_default=False,
        ),
    ] = "",
    delete: Annotated[
        bool, typer.Option("--delete", help="Delete the rows instead of setting columns.")
    ] = False,
    table: Annotated[
        str | None,
        typer.Option(
            help="Which table; by default samples, or what the file says.", show_default=False
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Bring rows back that were exported and edited elsewhere: GeoPackage, GeoJSON, "
            "COCO, CSV or Parquet. What would change is shown first.",
            show_default=False,
        ),
    ] = None,
    delete_missing: Annotated[
        bool,
        typer.Option(
            "--delete-missing", help="Delete rows that were exported and are not in the file."
        ),
    ] = False,
    base: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            help="What the file was exported from, if it does not say: v3, or a commit.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what a file would change, and change nothing.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Commit what a file changes without asking.")
    ] = False,
    message: Why = None,
    as_json: Json = False,
) -> None:
    """Change rows of a draft or branch, by SQL or from a file, as one commit."""
    if file is not None:
        _refuse_both(assignments, where, delete=delete)
        _bring_back(
            ref, file, table=table, delete_missing=delete_missing, base=base, dry_run=dry_run,
            yes=yes, message=message,
        )  # fmt: skip
        return
    if delete_missing or base is not None or dry_run or yes:
        raise InvalidInputError(
            "--delete-missing, --base, --dry-run and --yes are about a file, and none is named",
            hint="name it: --from fix.gpkg",
        )
    from registry.catalog import edit_rows

    result = edit_rows(
        connected(),
        ref,
        table=table or "samples",
        assignments=assignments or [],
        where=where,
        delete=delete,
        message=message,
    )
    emit(result, result.to_text)


def _refuse_both(assignments: list[str] | None, where: str, *, delete: bool) -> None:
    if assignments or where or delete:
        raise InvalidInputError(
            "an edit comes from a file or from --set, --where and --delete, not both",
            hint="run two edits",
        )


def _bring_back(
    ref: str,
    file: Path,
    *,
    table: str | None,
    delete_missing: bool,
    base: str | None,
    dry_run: bool,
    yes: bool,
    message: str | None,
) -> None:
    from registry.curate.exchange import propose

    if not (dry_run or yes or _is_watched()):
        raise InvalidInputError(
            "nobody is there to say whether the edits are meant",
            hint="look at them by --dry-run, then commit them by --yes",
        )
    with propose(
        connected(), ref, file, table=table, delete_missing=delete_missing, base=base
    ) as proposal:
        found = proposal.brought
        asks = not (dry_run or yes) and found.differs
        if asks:
            with listener() as stdout:
                stdout.write(f"{found.to_text()}\n".encode())
        if dry_run or (asks and not typer.confirm(f"commit this to {found.ref}?")):
            emit(found, "nothing changed" if asks else f"{found.to_text()}\n{_only_shown(found)}")
            return
        done = proposal.commit(message)
        emit(done, f"committed as {done.commit}" if asks else done.to_text)


def _only_shown(found: "Brought") -> str:
    return "nothing changed: this was a dry run" if found.differs else ""


def _is_watched() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty() and not json_wanted.get()
