"""The command ``eolab``: one verb a command, one error a failure."""

import os
import sys
from typing import Annotated

import typer

from registry.cli.commands import datasets, history, lake, publishing, queries, samples
from registry.cli.output import fail, json_wanted
from registry.errors import RegistryError

__all__ = ["app", "main"]

app = typer.Typer(
    name="eolab",
    help="Create, check, version, explore and share Earth-observation training data.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (lake, datasets, samples, publishing, history, queries):
    group.register(app)


def _say_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        sys.stdout.write(f"eolab {version('eo-training-data-lab')}\n")
        raise typer.Exit


@app.callback()
def options(
    lake_address: Annotated[
        str | None,
        typer.Option(
            "--lake",
            metavar="ADDRESS",
            help="Which lake: a folder or file:///…; else EOLAB_LAKE, else .eolab/lake here.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Say the version.", callback=_say_version)
    ] = False,
) -> None:
    """Create, check, version, explore and share Earth-observation training data."""
    if lake_address is not None:
        os.environ["EOLAB_LAKE"] = lake_address


def main() -> None:
    """Run a command and exit with the status of what it came to."""
    json_wanted.set("--json" in sys.argv)
    try:
        app()
    except RegistryError as error:
        sys.exit(fail(error))
