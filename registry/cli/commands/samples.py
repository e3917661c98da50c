"""Samples: bring them in, change them, give them back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.options import Json, RefArgument, connected
from registry.cli.output import emit, table_text
from registry.cli.watch import watching

if TYPE_CHECKING:
    from registry.curate.checkout import CheckoutReport

__all__ = ["register"]

_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("ingest")(ingest)
    app.command("edit")(edit)
    app.command("checkout")(checkout)
    app.command("simulate")(simulate)


def ingest(
    source: Annotated[str, typer.Argument(help="Folder, archive or file.", show_default=False)],
    into: Annotated[str, typer.Option(help="Dataset; made if there is none.", show_default=False)],
    task: Annotated[
        str | None, typer.Option(help="classification, detection, segmentation, …")
    ] = None,
    licence: Annotated[
        str | None, typer.Option("--licence", "--license", help="Of the data, as SPDX writes it.")
    ] = None,
    provider: Annotated[str | None, typer.Option(help="Who made the data.")] = None,
    time: Annotated[
        str | None, typer.Option(help="START/END, where the data do not say: 2015/2017.")
    ] = None,
    crs: Annotated[str | None, typer.Option(help="EPSG:n, where the data do not say.")] = None,
    bands: Annotated[
        str | None, typer.Option(help="Names in order, where the data do not say: B2,B3,B4.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option("--format", help="Which reader; else found by looking.")
    ] = None,
    name_pattern: Annotated[
        str | None,
        typer.Option(help="Regular expression with the groups id, time, group over file names."),
    ] = None,
    on_error: Annotated[str, typer.Option(help="stop, or skip what cannot be read.")] = "stop",
    workers: Annotated[int | None, typer.Option(help="Processes that read.")] = None,
    as_json: Json = False,
) -> None:
    """Bring a folder, an archive or a STAC file into a draft."""
    from registry.curate.ingest import SourceOptions
    from registry.curate.ingest import ingest as bring

    options = SourceOptions.of(
        task=task,
        licence=licence,
        provider=provider,
        time=time,
        crs=crs,
        bands=bands,
        format=layout,
        name_pattern=name_pattern,
    )
    with watching() as progress:
        result = bring(
            connected(),
            source,
            into=into,
            options=options,
            on_error=on_error,
            workers=workers,
            progress=progress,
        )
    emit(result, result.to_text)


def edit(
    ref: RefArgument,
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="COLUMN=SQL", help="New value. Repeatable."),
    ] = None,
    where: Annotated[str, typer.Option(help="Which rows, as SQL.", show_default=False)] = "",
    delete: Annotated[bool, typer.Option("--delete", help="Delete the rows instead.")] = False,
    table: Annotated[str, typer.Option(help="Which table.")] = "samples",
    message: Annotated[str | None, typer.Option("--message", "-m", help="Why.")] = None,
    as_json: Json = False,
) -> None:
    """Change rows of a draft or branch, as one commit."""
    from registry.catalog import edit_rows

    result = edit_rows(
        connected(),
        ref,
        table=table,
        assignments=assignments or [],
        where=where,
        delete=delete,
        message=message,
    )
    emit(result, result.to_text)


def checkout(
    ref: RefArgument,
    folder: Annotated[Path, typer.Argument(help="New or empty folder.", show_default=False)],
    as_: Annotated[str, typer.Option("--as", help="files or coco.")] = "files",
    as_json: Json = False,
) -> None:
    """Give a version back as files that other tools read."""
    from registry.curate.checkout import checkout as give

    with watching() as progress:
        report = give(connected().resolve(ref), folder, as_=as_, progress=progress)
    emit(report, lambda: _checkout_text(folder, report))


def _checkout_text(folder: Path, report: "CheckoutReport") -> str:
    said = f"{report.files} files in {folder}\n"
    if not report.lost_tags:
        return said + "every tag was kept"
    rows = [(lost,) for lost in report.lost_tags[:_SHOWN]]
    left = len(report.lost_tags) - len(rows)
    more = f"and {left} more; --json lists them all\n" if left else ""
    return (
        f"{said}{len(report.lost_tags)} tags could not be kept:\n{table_text(('tag',), rows)}{more}"
    )


def simulate(
    task: Annotated[
        str,
        typer.Argument(
            help="classification, segmentation, burn-scars, floods, detection, regression, "
            "time-series.",
            show_default=False,
        ),
    ],
    folder: Annotated[Path, typer.Argument(help="New folder.", show_default=False)],
    samples: Annotated[int, typer.Option(help="How many.")] = 48,
    seed: Annotated[int, typer.Option(help="One seed, one set of scenes, byte for byte.")] = 1,
    sensor: Annotated[
        str | None, typer.Option(help="hls or sentinel-2; by default what fits the task.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a folder of scenes with known truth, as a source to ingest."""
    from registry.curate.ingest.simulator import write_folder

    made = write_folder(task, folder, samples=samples, seed=seed, sensor=sensor)
    emit(made, f"{made.samples} samples in {made.path} ({made.layout})")
