"""The lake itself: make it, prove it, clean it."""

import re
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Annotated, Literal

import typer

from registry.cli.completion import complete_datasets
from registry.cli.options import Dataset, Json, Why, connected
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
    app.command("purge")(purge)
    app.command("compact")(compact)


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


Where = Annotated[
    str,
    typer.Option(
        "--where",
        help="Which rows, as SQL, as they were in any commit: \"id = 'boat_17'\".",
        show_default=False,
    ),
]


def purge(
    dataset: Dataset,
    where: Where = "",
    table: Annotated[
        Literal["samples", "annotations"], typer.Option(help="Table that --where speaks of.")
    ] = "samples",
    sample: Annotated[
        list[str] | None,
        typer.Option("--sample", metavar="ID", help="A sample. Repeatable.", show_default=False),
    ] = None,
    annotator: Annotated[
        str | None,
        typer.Option(metavar="ID", help="All annotations of an annotator.", show_default=False),
    ] = None,
    assets: Annotated[
        list[str] | None,
        typer.Option(
            "--assets",
            metavar="NAME",
            help="Of the samples only these assets; repeatable. By default the samples go whole.",
            show_default=False,
        ),
    ] = None,
    reason: Annotated[
        str,
        typer.Option(help="Why; kept for ever, so do not name what goes.", show_default=False),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Forget rows in every commit of a dataset, for good; it cannot be undone."""
    from registry.catalog.forgetting.purging import Wanted, purge

    repository = connected().lake.repository(dataset)
    wanted = Wanted(
        table=table, where=where, samples=sample or (), annotator=annotator, assets=assets or ()
    )
    if not (dry_run or yes):
        _agree(lambda: purge(repository, wanted, reason=reason, dry_run=True).to_text(), reason)
    with watching() as progress:
        done = purge(repository, wanted, reason=reason, dry_run=dry_run, progress=progress)
    emit(done, done.to_text)


def _agree(say: Callable[[], str], reason: str) -> None:
    """Ask whoever sits at the terminal; nobody there is no yes.

    Raises:
        InvalidInputError: There is no terminal, or no reason to begin with.
    """
    if not reason.strip():
        raise InvalidInputError(
            "no reason was given to forget rows for good", hint='say why: --reason "…"'
        )
    if json_wanted.get() or not sys.stdin.isatty():
        raise InvalidInputError(
            "rows are forgotten for good, and nobody is there to be asked",
            hint="look at it by --dry-run first, then add --yes",
        )
    typer.echo(say(), err=True)
    typer.confirm("Forget them? This cannot be undone", abort=True, err=True)


def compact(dataset: Dataset, message: Why = None, as_json: Json = False) -> None:
    """Drop pixels on main that no asset of it points to; only while no draft is open."""
    from registry.catalog.compacting import compact

    done = compact(connected(), dataset, message=message)
    emit(done, done.to_text)


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text.strip())
    if match is None:
        raise InvalidInputError(
            f"{text!r} is no length of time", hint="write a number and s, m, h, d or w: 14d"
        )
    return timedelta(**{_UNITS[match[2]]: float(match[1])})
