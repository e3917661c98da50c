"""Samples: bring them in, give them back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from registry.cli.completion import complete_datasets
from registry.cli.options import Json, RefArgument, Why, connected
from registry.cli.output import emit, table_text
from registry.cli.watch import watching

if TYPE_CHECKING:
    from registry.curate.checkout import CheckoutReport

__all__ = ["Layout", "SimulatedTask", "SpecTask", "register"]

SpecTask = Literal[
    "classification", "detection", "segmentation", "regression", "change", "3d", "self-supervised"
]
SimulatedTask = Literal[
    "classification",
    "segmentation",
    "burn-scars",
    "floods",
    "detection",
    "regression",
    "time-series",
]
Layout = Literal["files", "coco", "bigearthnet", "pastis", "torchgeo"]

_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("ingest")(ingest)
    app.command("checkout")(checkout)
    app.command("simulate")(simulate)


def ingest(
    source: Annotated[
        str,
        typer.Argument(help="Folder, zip or tar archive, or file of items.", show_default=False),
    ],
    into: Annotated[
        str,
        typer.Option(
            help="Name of the dataset; it is made if there is none.",
            show_default=False,
            autocompletion=complete_datasets,
        ),
    ],
    task: Annotated[
        SpecTask | None,
        typer.Option(help="What the labels are for; by default as the source shows."),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            "--licence",
            "--license",
            help="Of the data, as SPDX writes it: CC-BY-4.0.",
            show_default=False,
        ),
    ] = None,
    provider: Annotated[
        str | None, typer.Option(help="Who made the data.", show_default=False)
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="START/END",
            help="When it was acquired, for samples that do not say: 2015/2017.",
            show_default=False,
        ),
    ] = None,
    crs: Annotated[
        str | None,
        typer.Option(metavar="EPSG:N", help="CRS of rasters that carry none.", show_default=False),
    ] = None,
    bands: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,C",
            help="Names, in order, of bands that carry none: BLUE,GREEN,RED.",
            show_default=False,
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Reader: image-folder, geotiff-sidecar, image-mask, coco or stac-items; "
            "by default found by looking.",
            show_default=False,
        ),
    ] = None,
    name_pattern: Annotated[
        str | None,
        typer.Option(
            help="How files are named, where names say more: '{group}_%Y%m%d'.",
            show_default=False,
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            help="Of the source, by default the folder's or archive's; a source of a name that "
            "was ingested before is taken for that one, corrected.",
            show_default=False,
        ),
    ] = None,
    on_error: Annotated[
        Literal["stop", "skip"],
        typer.Option(help="At a file that cannot be read: take nothing, or leave its sample out."),
    ] = "stop",
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, help="Processes that read; by default one a processor.", show_default=False
        ),
    ] = None,
    message: Why = None,
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
            name=name,
            on_error=on_error,
            workers=workers,
            message=message,
            progress=progress,
        )
    emit(result, result.to_text)


def checkout(
    ref: RefArgument,
    folder: Annotated[
        Path, typer.Argument(help="New or empty folder to write to.", show_default=False)
    ],
    as_: Annotated[
        Layout,
        typer.Option(
            "--as",
            help="Images with sidecars, images with one COCO file, or a known dataset's layout.",
        ),
    ] = "files",
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
        SimulatedTask, typer.Argument(help="What is true of the scenes.", show_default=False)
    ],
    folder: Annotated[
        Path, typer.Argument(help="New or empty folder to write to.", show_default=False)
    ],
    samples: Annotated[int, typer.Option(min=1, help="How many.")] = 48,
    seed: Annotated[
        int, typer.Option(min=0, help="The same seed makes the same scenes, byte for byte.")
    ] = 1,
    sensor: Annotated[
        Literal["hls", "sentinel-2"] | None,
        typer.Option(help="Whose bands; by default what fits the task."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a folder of scenes with known truth, as a source to ingest."""
    from registry.curate.ingest.simulator import write_folder

    made = write_folder(task, folder, samples=samples, seed=seed, sensor=sensor)
    emit(made, f"{made.samples} samples in {made.path} ({made.layout})")
