"""Inference: a model over scenes of any size."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from registry.cli.asking import by_input, options_of, reading_of, search_of
from registry.cli.on import Device, Place, anywhere
from registry.cli.options import Json, connected
from registry.cli.predictions import After, emit_prediction, name_of
from registry.cli.watch import watching
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.learn.inference import Prediction
    from registry.learn.inference.dates import Dated
    from registry.learn.inference.mapping import Options

__all__ = ["register"]

_OF_FILES: Final = ("bands", "scale", "offset", "nodata", "allow", "test")
_OF_ARCHIVES: Final = ("time", "max_cloud", "dates", "keep_clouds", "api")
_OF_DRAFTS: Final = ("classes", "least")


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("predict")(anywhere(predict, shares=False, before=_foreseen))


def predict(
    context: typer.Context,
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
            "--output",
            "-o",
            help="Map to write, a GeoTIFF; GeoJSON of a detector.",
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
        typer.Option(
            help="Factor from stored to physical values, such as 0.0001.", show_default=False
        ),
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
            min=1,
            help="Pixels of a window's edge; by default what the model learned from.",
            show_default=False,
        ),
    ] = None,
    overlap: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Pixels that neighbouring windows share in rows and in columns, less than a "
            "window; by default a quarter of one.",
            show_default=False,
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Windows at a time.")] = 8,
    device: Device = None,
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
    test: Annotated[
        str | None,
        typer.Option(
            metavar="REF",
            help="Version whose test samples tell the map's errors, to take them out of areas.",
            show_default=False,
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help="PNG to write of the scene beside its map.", show_default=False),
    ] = None,
    archive: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="ARCHIVE",
            help="Fetch the scene: sentinel-2-l2a, hls-s30 or hls-l30.",
            show_default=False,
        ),
    ] = None,
    aoi: Annotated[
        str | None,
        typer.Option(
            metavar="W,S,E,N|FILE",
            help="Where: a box in degrees, or GeoJSON, whose polygons alone are mapped.",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="START/END", help="When, such as 2023-07/2023-09.", show_default=False
        ),
    ] = None,
    max_cloud: Annotated[
        float | None,
        typer.Option(
            min=0, max=100, help="Most cloud of an item, in per cent.", show_default=False
        ),
    ] = None,
    dates: Annotated[
        Literal["best", "each"],
        typer.Option(help="The clearest day, or a map of each and one of what changed."),
    ] = "best",
    keep_clouds: Annotated[
        bool, typer.Option("--keep-clouds", help="Predict clouds and their shadows too.")
    ] = False,
    api: Annotated[
        str | None,
        typer.Option(
            help="Address of the archive's STAC API; by default EOLAB_STAC_API, else the public "
            "one.",
            show_default=False,
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Dataset whose draft gets the prediction as proposed annotations.",
            show_default=False,
        ),
    ] = None,
    classes: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            metavar="CLASS",
            help="Class that becomes annotations; by default all, of two the second. Repeatable.",
            show_default=False,
        ),
    ] = None,
    least: Annotated[
        int, typer.Option(min=1, help="Pixels that an annotated region has at least.")
    ] = 16,
    as_json: Json = False,
) -> None:
    """Predict scenes with a model: a map as a cloud-optimised GeoTIFF."""
    from registry.learn import devices
    from registry.learn.inference.foreseeing import foresee
    from registry.learn.inference.outputs import suffix_of
    from registry.learn.models import shelf

    _check_asked(scenes, archive, output, into)
    _check_read(context, archive, into)
    options = options_of(
        window, overlap, batch_size, probabilities=probabilities, uncertainty=uncertainty,
        abstain=abstain,
    )  # fmt: skip
    device = devices.chosen(device)
    chosen = foresee(
        shelf.resolve(connected(), model).card, head=head, options=options, out=output,
        picture=picture, into=into, classes=classes or (),
    )  # fmt: skip
    options = replace(options, probabilities=probabilities or into is not None)
    after = After(picture=picture, into=into, classes=tuple(classes or ()), least=least)
    after.name = archive or name_of(scenes or ())
    asked = by_input(scenes or ())
    with watching() as progress, tempfile.TemporaryDirectory(prefix="eolab-map-") as folder:
        out = output or Path(folder) / f"map{suffix_of(chosen)}"
        _check_places(out, picture, options, asked)
        how: dict[str, Any] = {
            "out": out, "options": options, "head": head, "device": device, "then": after,
            "progress": progress,
        }  # fmt: skip
        done: Prediction | Dated
        if archive is None:
            from registry.learn.inference import predict as predicted
            from registry.learn.inference.asked_area import area_of

            reading = reading_of(bands, scale, offset, nodata, allow)
            area = None if aoi is None else area_of(aoi)
            done = predicted(
                connected(), model, asked, reading=reading, area=area, test=test, **how
            )
        else:
            from registry.learn.inference.dates import predict_from

            wanted = search_of(archive, aoi, time, max_cloud, api)
            done = predict_from(
                connected(), model, wanted, dates=dates, keep_clouds=keep_clouds, **how
            )
    emit_prediction(done, after, kept=output is not None)


def _foreseen(*, context: typer.Context, model: str, place: Place, **said: Any) -> str:  # noqa: ANN401 — those of predict
    """Return what a job is called by, once what it would refuse at its beginning is in order."""
    from registry.learn.devices import named

    scenes, archive, aoi = said["scenes"], said["archive"], said["aoi"]
    _check_asked(scenes, archive, said["output"], said["into"])
    _check_read(context, archive, said["into"])
    named(said["device"] or "cpu")
    if archive is not None and place.shows_files:  # the area may be a file
        search_of(archive, aoi, said["time"], said["max_cloud"], said["api"])
    if place.shows_lake:
        _foresee_job(model, place, said)
    return model


def _foresee_job(model: str, place: Place, said: Mapping[str, Any]) -> None:
    from registry.learn.inference.foreseeing import foresee, foresee_scene
    from registry.learn.models import shelf

    options = options_of(
        said["window"], said["overlap"], said["batch_size"], uncertainty=said["uncertainty"],
        probabilities=said["probabilities"], abstain=said["abstain"],
    )  # fmt: skip
    card = shelf.resolve(connected(), model).card
    here = place.shows_files
    out, picture = (said[name] if here else None for name in ("output", "picture"))
    foresee(
        card, head=said["head"], options=options, out=out, picture=picture, into=said["into"],
        classes=said["classes"] or (),
    )  # fmt: skip
    if said["test"] is not None:
        connected().resolve(said["test"])
    if here and said["scenes"]:
        asked = by_input(said["scenes"])
        if out is not None:
            _check_places(out, picture, options, asked)
        reading = reading_of(
            *(said[one] for one in ("bands", "scale", "offset", "nodata", "allow"))
        )
        foresee_scene(card, asked, reading=reading, aoi=said["aoi"])


def _check_asked(
    scenes: Sequence[str] | None, archive: str | None, output: Path | None, into: str | None
) -> None:
    """Refuse what says too little, or too much, of what is predicted and of where it goes."""
    if bool(scenes) == bool(archive):
        raise InvalidInputError(
            "two scenes are given" if archive else "no scene is given",
            hint="name a GeoTIFF, or an archive: --from sentinel-2-l2a --aoi … --time …",
        )
    if output is None and into is None:
        raise InvalidInputError(
            "nobody says where the prediction goes", hint="name a map: -o map.tif, or --into NAME"
        )


def _check_read(context: typer.Context, archive: str | None, into: str | None) -> None:
    """Refuse options that were given, and that nothing would read."""
    if archive is None:
        problem = "would choose from an archive, and a file is given"
        instead = "name an archive in place of the file: --from sentinel-2-l2a"
        _refuse(context, _OF_ARCHIVES, problem, instead)
    else:
        problem = f"would tell of a file, and {archive} is fetched from an archive"
        _refuse(context, _OF_FILES, problem, "predict files of it that you have")
    if into is None:
        problem = "would choose annotations, and the prediction goes into no draft"
        _refuse(context, _OF_DRAFTS, problem, "name the draft's dataset: --into NAME")


def _refuse(context: typer.Context, names: Sequence[str], problem: str, instead: str) -> None:
    """Refuse options that were given, by the names of what takes their values."""
    words = [
        option.opts[0]
        for option in context.command.params
        if option.name in names
        and (source := context.get_parameter_source(option.name))
        and source.name == "COMMANDLINE"
    ]
    if words:
        it = "it" if len(words) == 1 else "them"
        raise InvalidInputError(
            f"{' and '.join(words)} {problem}", hint=f"leave {it} out, or {instead}"
        )


def _check_places(
    out: Path, picture: Path | None, options: "Options", asked: Path | dict[str, list[Path]]
) -> None:
    """Refuse to write over what is read, before anything is read."""
    from registry.learn.inference.outputs import check_places
    from registry.learn.inference.predicting import outputs

    inputs = [asked] if isinstance(asked, Path) else [one for it in asked.values() for one in it]
    check_places([*outputs(out, options), *([picture] if picture else [])], inputs)
