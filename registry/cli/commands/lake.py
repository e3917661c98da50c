"""The lake itself: make it, prove it, clean it."""

import re
from datetime import timedelta
from typing import Annotated

import typer

from registry.cli.completion import complete_datasets
from registry.cli.options import Json, connected
from registry.cli.output import emit, json_wanted, size_text, table_text
from registry.cli.watch import watching
from registry.errors import CorruptError, InvalidInputError

__all__ = ["register"]

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
Names = Annotated[
    list[str] | None,
    typer.Argument(
        help="Datasets; all if none is named.",
        show_default=False,
        autocompletion=complete_datasets,
    ),
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("init")(init)
    app.command("fsck")(fsck)
    app.command("gc")(gc)


def init(
    address: Annotated[
        str | None,
        typer.Argument(
            help="Folder to make it in; by default EOLAB_LAKE, else .eolab/lake here.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a lake, the place where datasets are kept; one that is there stays."""
    from registry.lake import init as make

    made = make(address)
    emit({"address": made.address}, f"lake at {made.address}")


def fsck(names: Names = None, as_json: Json = False) -> None:
    """Prove that everything stored is as it was stored; exit with 8 if it is not."""
    registry = connected()
    damages: list[dict[str, str]] = []
    checked = names or registry.lake.repositories()
    with watching() as progress:
        for name in checked:
            damages += [
                {"dataset": name, "what": d.what, "problem": d.problem, "fix": d.fix}
                for d in registry.lake.repository(name).fsck(progress=progress)
            ]
    emit({"checked": checked, "damages": damages}, lambda: _fsck_text(checked, damages))
    if damages and json_wanted.get():
        raise typer.Exit(CorruptError.exit_status)  # the document has said it all
    if damages:
        raise CorruptError(
            f"{len(damages):,} stored things are damaged, the first: {damages[0]['what']}",
            hint=damages[0]["fix"],
        )


def _fsck_text(checked: list[str], damages: list[dict[str, str]]) -> str:
    if not damages:
        return f"nothing is damaged in {', '.join(checked) or 'an empty lake'}"
    rows = [(d["dataset"], d["what"], d["problem"], d["fix"]) for d in damages]
    return table_text(("dataset", "what", "problem", "what mends it"), rows)


def gc(
    names: Names = None,
    grace: Annotated[
        str, typer.Option(help="Keep what is younger than this: 14d, 12h, 30m.")
    ] = "14d",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be removed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove stored objects that nothing refers to any more."""
    registry, keep = connected(), _duration(grace)
    sweeps = {
        name: registry.lake.repository(name).gc(grace=keep, dry_run=dry_run)
        for name in names or registry.lake.repositories()
    }
    verb = "would remove" if dry_run else "removed"
    emit(
        sweeps,
        lambda: (
            "\n".join(
                f"{name}: {verb} {sweep.objects:,} objects, {size_text(sweep.size)};"
                f" {sweep.kept_by_grace:,} are too young"
                for name, sweep in sweeps.items()
            )
            or "the lake is empty"
        ),
    )


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match is None:
        raise InvalidInputError(
            f"{text!r} is no length of time", hint="write a number and s, m, h, d or w: 14d"
        )
    return timedelta(**{_UNITS[match[2]]: float(match[1])})
