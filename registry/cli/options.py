"""Arguments and options that several commands share."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from registry.cli.completion import complete_datasets, complete_refs
from registry.cli.output import json_wanted
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.catalog import Registry

__all__ = [
    "Allow", "Dataset", "EngineName", "Json", "Message", "RefArgument", "Why", "allowed",
    "connected",
]  # fmt: skip

EngineName = Literal["auto", "library", "spark"]
"""Who does what both this process and Spark can do."""


def _want_json(value: bool) -> bool:
    json_wanted.set(value)
    return value


Json = Annotated[
    bool,
    typer.Option("--json", help="Print one JSON document, errors too.", callback=_want_json),
]
Dataset = Annotated[
    str,
    typer.Argument(
        help="Name of the dataset.", show_default=False, autocompletion=complete_datasets
    ),
]
RefArgument = Annotated[
    str,
    typer.Argument(
        help="Dataset and where in its history: ships (newest version), ships@v3, ships@draft "
        "(yours), ships@branch, ships@<commit>.",
        show_default=False,
        autocompletion=complete_refs,
    ),
]
Message = Annotated[
    str,
    typer.Option("--message", "-m", "--why", help="Why, for the history.", show_default=False),
]
Why = Annotated[
    str | None,
    typer.Option(
        "--message",
        "-m",
        "--why",
        help="Why, for the history; by default what was done.",
        show_default=False,
    ),
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        "--allow",
        metavar="CHECK=REASON",
        help="Let a check's findings, or one finding by its id, pass, and record why. Repeatable.",
        show_default=False,
    ),
]


def allowed(pairs: Sequence[str] | None) -> dict[str, str]:
    """Return ``check=reason`` pairs as a mapping.

    Raises:
        InvalidInputError: A pair has no reason.
    """
    reasons: dict[str, str] = {}
    for pair in pairs or ():
        check, sign, reason = pair.partition("=")
        if not (check.strip() and sign and reason.strip()):
            raise InvalidInputError(
                f"--allow {pair!r} gives no reason",
                hint="say why it may pass: --allow shape-mismatch='kept for the paper'",
            )
        reasons[check.strip()] = reason.strip()
    return reasons


def connected() -> "Registry":
    """Return the registry that ``--lake`` or ``EOLAB_LAKE`` names."""
    from registry.catalog import connect

    return connect(None)
