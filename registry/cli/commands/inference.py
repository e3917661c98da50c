"""Inference: a model over scenes of any size."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.options import Json, connected
from registry.cli.output import emit, printable, table_text
from registry.cli.watch import watching
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.learn.inference.mapping import Options
    from registry.learn.inference.predicting import Prediction
    from registry.learn.inference.scenes import Reading

__all__ = ["register"]

_HECTARE = 10_000.0


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("predict")(predict)


def predict(
    model: Annotated[
        str, typer.Argument(help="Model, such as burnscar-unet@v1.", show_default=False)
    ],
    scenes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT=]FILE",
            help="GeoTIFF; for a model of several inputs INPUT=FILE for each, and one for each "
            "time step in their order.",
            show_default=False,
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Map to write, a GeoTIFF; GeoJSON of a detector.",
            show_default=False,
        ),
    ] = None,
    head: Annotated[
        str | None,
        typer.Option(help="Which of the model's answers, if it has several.", show_default=False),
    ] = None,
    bands: Annotated[
        list[str] | None,
        typer.Option(
            "--bands",
            metavar="[INPUT=]B02,B03,…",
            help="What the file's bands are, in its order, where it does not say. Repeatable.",
            show_default=False,
        ),
    ] = None,
    scale: Annotated[
        float | None,
        typer.Option(help="Factor from stored to physical values, such as 0.0001.",
                     show_default=False),
    ] = None,
    offset: Annotated[
        float | None,
        typer.Option(help="Added after scaling, such as -0.1.", show_default=False),
    ] = None,
    nodata: Annotated[
        float | None,
        typer.Option(help="Stored value where nothing was observed.", show_default=False),
    ] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            metavar="gsd|level",
            help="What may differ from the training data: size of pixels, processing level. "
            "Repeatable.",
            show_default=False,
        ),
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(
            min=1, help="Rows and columns of a window; by default what the model learned from.",
            show_default=False,
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            min=0, help="Rows and columns that windows share; by default a quarter of one.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows at a time.")] = 8,
    device: Annotated[
        str, typer.Option(help="Where the network runs: cpu, cuda, cuda:1.")
    ] = "cpu",
    probabilities: Annotated[
        bool, typer.Option("--probabilities", help="Write the probability of each class beside.")
    ] = False,
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Write how undecided the classes are beside.")
    ] = False,
    abstain: Annotated[
        bool,
        typer.Option(
            "--abstain", help="Leave out what lies too far from what the model learned from."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Predict scenes with a model: a map as a cloud-optimised GeoTIFF."""
    from registry.learn.inference import predict as predicted

    if not scenes:
        raise InvalidInputError("no scene is given", hint="name a GeoTIFF, or --from an archive")
    if output is None:
        raise InvalidInputError("nobody says where the map goes", hint="name it: -o map.tif")
    with watching() as progress:
        done = predicted(
            connected(), model, _by_input(scenes), out=output, head=head,
            reading=_reading(bands, scale, offset, nodata, allow),
            options=_options(
                window, overlap, batch_size, probabilities=probabilities, uncertainty=uncertainty,
                abstain=abstain,
            ),
            device=device, progress=progress,
        )  # fmt: skip
    emit(done.to_document(), lambda: _told(done))


def _by_input(scenes: Sequence[str]) -> Path | dict[str, list[Path]]:
    """Return files by input, or the only one.

    Raises:
        InvalidInputError: Of several, one names no input.
    """
    if len(scenes) == 1 and ("=" not in scenes[0] or Path(scenes[0]).exists()):
        return Path(scenes[0])
    found: dict[str, list[Path]] = {}
    for one in scenes:
        name, sign, path = one.partition("=")
        if not (name and sign and path):
            raise InvalidInputError(
                f"'{one}' names no input of the model",
                hint="with several files say which is which: s2=A.tif s1=B.tif",
            )
        found.setdefault(name, []).append(Path(path))
    return found


def _reading(
    bands: Sequence[str] | None,
    scale: float | None,
    offset: float | None,
    nodata: float | None,
    allow: Sequence[str] | None,
) -> "Reading":
    from registry.learn.inference.scenes import Reading

    named: dict[str, tuple[str, ...]] = {}
    for one in bands or ():
        name, sign, listed = one.partition("=")
        names = (listed if sign else one).split(",")
        named[name if sign else ""] = tuple(band.strip() for band in names if band.strip())
    return Reading(
        bands=named, scale=scale, offset=offset, nodata=nodata, allow=tuple(allow or ())
    )


def _options(
    window: int | None,
    overlap: int | None,
    batch_size: int,
    *,
    probabilities: bool,
    uncertainty: bool,
    abstain: bool,
) -> "Options":
    from registry.learn.inference.mapping import Options

    return Options(
        window=window or 0, overlap=-1 if overlap is None else overlap, batch_size=batch_size,
        probabilities=probabilities, uncertainty=uncertainty, abstain=abstain,
    )  # fmt: skip


def _told(done: "Prediction") -> str:
    lines = [f"note: {printable(one)}" for one in done.said]
    drawn = done.drawn
    if drawn is None:
        lines.append(f"{len(done.found):,} objects found by {done.model}")
        return "\n".join(lines)
    for what, path in drawn.files.items():
        lines.append(f"{what}: {path}")
    share = drawn.observed / drawn.pixels
    left_out = f", {drawn.abstained:,} of them left out as too unlike the training data"
    lines.append(
        f"{drawn.pixels:,} pixels by {done.model}, {share:.1%} of them observed"
        f"{left_out if drawn.abstained else ''}"
    )
    if drawn.mean is not None:
        unit = f" {done.head.unit}" if done.head.unit else ""
        lines.append(f"mean {drawn.mean:.6g}{unit}")
    if not done.areas:
        return "\n".join(lines)
    rows = [
        (
            one.name,
            f"{one.pixels:,}",
            f"{one.share:.2%}",
            "" if one.area_m2 is None else f"{one.area_m2 / _HECTARE:,.2f}",
            "" if one.adjusted_share is None
            else f"{one.adjusted_share:.2%} ({one.low:.2%} to {one.high:.2%})",
        )
        for one in done.areas
    ]  # fmt: skip
    headings = ["class", "pixels", "share", "hectares", "share, errors taken out (95 %)"]
    kept = headings if any(row[4] for row in rows) else headings[:4]
    told = "\n".join(lines) + "\n\n" + table_text(kept, [row[: len(kept)] for row in rows])
    if len(kept) == len(headings):
        return told
    return f"{told}\nareas are counted pixels: no score of the model tells their error"
