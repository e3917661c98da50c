"""Models: versions of weights with their cards."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.cards import model_document, model_text, models_text
from registry.cli.commands import transfer
from registry.cli.completion import complete_addresses, complete_model_refs, complete_models
from registry.cli.options import Json, Why, connected
from registry.cli.output import emit, table_text
from registry.cli.watch import watching
from registry.errors import InvalidInputError
from registry.lake.names import MODELS

if TYPE_CHECKING:
    from registry.learn.models.shelf import Model

__all__ = ["register"]

Name = Annotated[
    str,
    typer.Argument(help="Name of the model.", show_default=False, autocompletion=complete_models),
]
ModelRef = Annotated[
    str,
    typer.Argument(
        help="Model and version: burnscar-unet (the newest), burnscar-unet@v1.",
        show_default=False,
        autocompletion=complete_model_refs,
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        help="Address of the other lake; by default where the model came from.",
        show_default=False,
        autocompletion=complete_addresses,
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help=models.__doc__, callback=models
    )
    for name, command in (
        ("list", list_models), ("show", show), ("log", log), ("export", export), ("add", add),
        ("withdraw", withdraw), ("copy", copy), ("push", push), ("pull", pull), ("clone", clone),
    ):  # fmt: skip
        group.command(name)(command)
    app.add_typer(group, name="models")


def models() -> None:
    """List and show models, export and add them, withdraw them, bring them to other lakes."""


def list_models(as_json: Json = False) -> None:
    """List the models of the lake with their newest version."""
    from registry.learn.models import shelf

    registry = connected()
    rows: list[dict[str, object]] = []
    for name in shelf.names(registry):
        if not (there := shelf.versions(registry, name)):
            continue
        newest = next((one for one in reversed(there) if one.tombstone is None), there[-1])
        rows.append({
            "name": name,
            "version": newest.tag,
            "withdrawn": newest.tombstone is not None,
            "tasks": [head.task.value for head in newest.card.heads],
            "learned_from": newest.card.lineage and newest.card.lineage.dataset,
            "size": newest.files["model.safetensors"],
            "licence": newest.card.licence,
            "smoke": newest.card.smoke,
        })
    emit(rows, lambda: models_text(rows))


def show(ref: ModelRef, as_json: Json = False) -> None:
    """Say what a model reads and gives, what made it, how well it did, and what to read that with.

    The notes say what is known now: a withdrawal, rows that were purged, leaks of its split.
    """
    from registry.learn.models import shelf
    from registry.learn.scoring.notes import of_model

    registry = connected()
    model = shelf.resolve(registry, ref)
    notes = of_model(registry, model)
    emit({**model_document(model), "notes": notes}, lambda: model_text(model, notes))


def log(name: Name, as_json: Json = False) -> None:
    """List the versions of a model, newest first."""
    from registry.learn.models import shelf

    rows = [
        {
            "ref": one.ref,
            "at": one.version.commit.at,
            "author": one.version.commit.author,
            "message": one.version.commit.message.splitlines()[0],
            "learned_from": one.card.lineage and one.card.lineage.dataset,
            "smoke": one.card.smoke,
            "withdrawn": one.tombstone and one.tombstone.reason,
            "commit": one.version.commit.id,
        }
        for one in reversed(shelf.versions(connected(), name))
    ]
    emit(
        rows,
        lambda: table_text(
            ("version", "at", "author", "message", "withdrawn"),
            [
                (row["ref"], f"{row['at']:%Y-%m-%d %H:%M}", row["author"], row["message"],
                 row["withdrawn"])
                for row in rows
            ],
        ),
    )  # fmt: skip


def export(
    ref: ModelRef,
    onnx: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write it as ONNX, which takes stored values and gives probabilities.",
            show_default=False,
        ),
    ] = None,
    safetensors: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write its weights alone.", show_default=False),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Lay all its files into a new folder.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a model for other programs; ONNX is proven to answer what the model answers."""
    from registry.learn.models import shelf

    if sum(one is not None for one in (onnx, safetensors, folder)) != 1:
        raise InvalidInputError(
            "a model is exported as one thing at a time",
            hint="give --onnx FILE, --safetensors FILE or --folder FOLDER",
        )
    model = shelf.resolve(connected(), ref)
    if onnx is not None:
        _export_onnx(model, onnx)
    elif safetensors is not None:
        shutil.copyfile(model.path(shelf.WEIGHTS), safetensors)
        emit({"ref": model.ref, "safetensors": safetensors}, str(safetensors))
    elif folder is not None:
        model.version.repository.mount(model.version.commit.id, folder)
        emit({"ref": model.ref, "folder": folder, "files": list(model.files)}, str(folder))


def _export_onnx(model: "Model", path: Path) -> None:
    from registry.learn.models.onnx import TOLERANCE
    from registry.learn.models.onnx import export as written

    with watching() as progress:
        progress.stage("exporting, and proving that it answers the same", total=None, unit="steps")
        made = written(model, path)
    sizes = "any size" if made.multiple_of == 1 else f"sides a multiple of {made.multiple_of}"
    emit(
        {
            "ref": model.ref,
            "onnx": made.path,
            "tolerance": TOLERANCE,
            "inputs": made.inputs,
            "outputs": made.outputs,
            "multiple_of": made.multiple_of,
            "differs": made.differs,
        },
        f"{made.path}: takes stored values, "
        + "; ".join(f"{name} {list(shape)}" for name, shape in made.inputs.items())
        + (f", {sizes}" if any("height" in shape for shape in made.inputs.values()) else "")
        + f"; gives {', '.join(made.outputs)}",
    )


def add(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|HUB",
            help="Safetensors or a PyTorch checkpoint; or hf://owner/name/file@revision.",
            show_default=False,
        ),
    ],
    name: Annotated[str, typer.Option(help="What the model is to be called.", show_default=False)],
    sha256: Annotated[
        str | None,
        typer.Option(metavar="HEX", help="What the file's hash must be.", show_default=False),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Of the weights.", show_default=False)] = None,
    like: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="A model whose network, bands and classes the weights are for.",
            show_default=False,
            autocompletion=complete_model_refs,
        ),
    ] = None,
    card: Annotated[
        Path | None,
        typer.Option(
            metavar="CARD.JSON",
            help="The same from the card of an exported model.",
            show_default=False,
        ),
    ] = None,
    message: Why = None,
    as_json: Json = False,
) -> None:
    """Bring weights that were trained elsewhere: checked, converted once, pinned by their hash."""
    from registry.learn.models import shelf
    from registry.learn.models.adding import add as bring
    from registry.learn.models.card import Card

    if like is not None and card is not None:
        raise InvalidInputError("--like and --card exclude each other", hint="give one of them")
    registry = connected()
    said = None
    if like is not None:
        said = shelf.resolve(registry, like).card
    elif card is not None:
        said = Card.from_json(card.read_bytes())
    with watching() as progress:
        progress.stage("checking and keeping the weights", total=None, unit="steps")
        model = bring(
            registry, source, name, sha256=sha256, card=said, licence=licence, message=message
        )
    found = model.card.recipe.get("source_sha256")
    emit(
        {"ref": model.ref, "sha256": found, "weights_sha256": model.card.weights_sha256},
        f"{model.ref}: SHA-256 of the file {found}",
    )


def withdraw(
    ref: ModelRef,
    reason: Annotated[str, typer.Option(help="Why, for those who use it.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Leave a tombstone on a model's version: usable, but not to be used any more."""
    from registry.learn.models import shelf

    model = shelf.withdraw(connected(), ref, reason)
    emit({"ref": model.ref, "tombstone": model.tombstone}, f"{model.ref} is withdrawn: {reason}")


def copy(
    ref: ModelRef,
    to: Annotated[
        str,
        typer.Option(
            help="Address of the other lake: a folder, file:///… or lakefs://….",
            show_default=False,
            autocompletion=complete_addresses,
        ),
    ],
    as_json: Json = False,
) -> None:
    """Bring a model to another lake, up to a version, with its history and tags."""
    transfer.copy(_repository(ref), to)


def push(name: Name, to: To = None, as_json: Json = False) -> None:
    """Send another lake the versions that it lacks of a model."""
    transfer.push(_repository(name), to)


def pull(
    name: Name,
    origin: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Address of the other lake; by default where the model came from.",
            show_default=False,
            autocompletion=complete_addresses,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fetch the versions that this lake lacks of a model."""
    transfer.pull(_repository(name), origin)


def clone(
    address: Annotated[
        str,
        typer.Argument(
            help="The lake that has it: a folder, file:///… or lakefs://….",
            show_default=False,
            autocompletion=complete_addresses,
        ),
    ],
    name: Annotated[str, typer.Argument(help="Name of the model there.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Bring a model of another lake here."""
    transfer.clone(address, _repository(name))


def _repository(ref: str) -> str:
    from registry.learn.models.shelf import check_name

    check_name(ref.partition("@")[0])
    return MODELS + ref
