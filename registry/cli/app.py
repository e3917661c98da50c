"""The command ``eolab``: one verb a command, one error a failure."""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from registry.cli.commands import (
    bias,
    comparing,
    datasets,
    exchange,
    features,
    history,
    inference,
    jobs,
    lake,
    merging,
    models,
    publishing,
    queries,
    samples,
    scoring,
    splits,
    training,
    transfer,
)
from registry.cli.lean import leave_out_pandas
from registry.cli.on import typed
from registry.cli.output import fail, json_wanted
from registry.cli.subjects import BySubject
from registry.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RegistryError,
    UnavailableError,
)

__all__ = ["app", "main", "run"]

_STOPPED = 130
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_LOCKED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})

app = typer.Typer(
    name="eolab",
    cls=BySubject,
    help="Create, check, version, explore and share Earth-observation training data.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for group in (
    lake,
    datasets,
    transfer,
    samples,
    exchange,
    publishing,
    merging,
    history,
    comparing,
    queries,
    splits,
    features,
    bias,
    training,
    models,
    scoring,
    inference,
    jobs,
):
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
            help="Which lake: a folder, file:///… or lakefs://host:port; by default EOLAB_LAKE, "
            "else .eolab/lake here.",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", help="Say the version and exit.", callback=_say_version)
    ] = False,
) -> None:
    """Create, check, version, explore and share Earth-observation training data."""
    if lake_address is not None:
        os.environ["EOLAB_LAKE"] = lake_address


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Args:
        arguments: What follows ``eolab`` on the command line.

    Returns:
        The exit status: 0, or that of the error's branch.
    """
    json_wanted.set("--json" in arguments)
    typed.set(tuple(arguments))
    try:
        status = app(list(arguments), prog_name="eolab", standalone_mode=False)
    except RegistryError as error:
        return fail(error)
    except TyperException as error:
        return _misused(error)
    except OSError as error:
        return fail(_refused(error))
    if status == _STOPPED:
        sys.stderr.write(
            "stopped; nothing half done is visible, and the same call may be repeated\n"
        )
    return status if isinstance(status, int) else 0


def main() -> None:
    """Run the command of this process and exit with the status of what it came to."""
    leave_out_pandas()
    sys.exit(run(sys.argv[1:]))


def _misused(error: TyperException) -> int:
    """Say that a command was written wrongly, as any other argument that can never be right."""
    context = getattr(error, "ctx", None)
    if context is not None and type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(f"{context.get_help()}\n")
        return InvalidInputError.exit_status
    said = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
    path = context.command_path if context is not None else "eolab"
    return fail(InvalidInputError(said[:1].lower() + said[1:], hint=f"see how: {path} --help"))


def _refused(error: OSError) -> RegistryError:
    """Return what the system refused for a file that the user named."""
    said = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    if error.errno in _LOCKED:
        return ForbiddenError(said, hint="choose another place, or ask for the right")
    if error.errno in _FULL:
        return UnavailableError(said, hint="free some space and run it again; see eolab gc")
    if error.errno == errno.ENOENT:
        return NotFoundError(said, hint="check the path")
    return UnavailableError(said, hint="see that the disk and the folder are there")
