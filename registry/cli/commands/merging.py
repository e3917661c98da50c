"""Merging: bring branches together, decide what both changed, take single commits back."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from registry.cli.options import Allow, Dataset, Json, Why, allowed, connected
from registry.cli.output import emit, table_text
from registry.cli.watch import watching
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.catalog import Merged, Pending

__all__ = ["register"]

Prefer = Annotated[
    Literal["ours", "theirs"] | None,
    typer.Option(
        help="Where both sides changed the same and nobody decided: keep that of the branch that "
        "gets the change, or take the other; by default the merge waits for decisions.",
        show_default=False,
    ),
]
Into = Annotated[
    str | None,
    typer.Option(
        help="The branch that is merged into; needed if several merges wait.", show_default=False
    ),
]
On = Annotated[str, typer.Option("--on", help="The branch that gets the commit; draft is yours.")]
Commit = Annotated[
    str, typer.Argument(help="The commit: its first digits, or a version.", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("merge")(merge)
    app.command("conflicts")(conflicts)
    app.command("resolve")(resolve)
    app.command("revert")(revert)
    app.command("cherry-pick")(cherry_pick)


def merge(
    dataset: Dataset,
    branch: Annotated[
        str | None,
        typer.Argument(help="What is merged: a branch, tag or commit.", show_default=False),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            help="Branch to merge into, main by default; what a protected one would become is "
            "checked first.",
            show_default=False,
        ),
    ] = None,
    prefer: Prefer = None,
    abort: Annotated[
        bool, typer.Option("--abort", help="Drop the merge that waits for decisions.")
    ] = False,
    message: Why = None,
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Merge a branch into another, tables row by row; conflicts wait until they are decided."""
    from registry.curate import merging

    if abort == (branch is not None):
        raise InvalidInputError(
            "a merge names a branch, or drops the one that waits",
            hint=f"eolab merge {dataset} BRANCH, or eolab merge {dataset} --abort",
        )
    if branch is None:
        dropped = merging.abort(connected(), dataset, into)
        emit(
            {"dropped": dropped},
            f"what waited to go into {dropped} is dropped; {dataset}@{dropped} stays as it is",
        )
        return
    with watching() as progress:
        merged = merging.merge(
            connected(),
            dataset,
            branch,
            into,
            prefer=prefer,
            message=message,
            allow=allowed(allow),
            progress=progress,
        )
    _say(merged)


def conflicts(
    dataset: Dataset,
    into: Into = None,
    open_only: Annotated[
        bool, typer.Option("--open", help="Only what nobody has decided yet.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Write them to a file: .parquet, .csv or .json.",
            show_default=False,
        ),
    ] = None,
    page: Annotated[
        Path | None,
        typer.Option(
            help="Draw them as one HTML file: both sides on the chip, and how to take either.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List what both sides of a merge changed differently, and what was decided."""
    from registry.catalog.merging.conflicts import table_of_clashes
    from registry.cli.commands.comparing import refuse_missing_folder
    from registry.cli.deciding import conflict_rows, documents_of, frames_of, write_conflicts
    from registry.curate.merging import waiting_for

    for file in filter(None, (page, output)):
        refuse_missing_folder(file)
    waiting = waiting_for(connected(), dataset, into)
    shown = waiting.open if open_only else waiting.clashes
    if page is not None:
        from registry.web.conflicts import render

        render(connected(), dataset, waiting, page)
        emit({"page": page, "open": len(waiting.open)}, str(page))
        return
    if output is not None:
        write_conflicts(table_of_clashes(shown), output)
        emit({"file": output, "conflicts": len(shown)}, f"{len(shown):,} conflicts in {output}")
        return
    emit(
        {
            "merge": waiting.joining,
            "trees": waiting.trees,
            "open": len(waiting.open),
            "conflicts": documents_of(table_of_clashes(shown)),
        },
        lambda: (
            table_text(
                ("table", "key", "columns", "base", "ours", "theirs", "decision"),
                conflict_rows(shown, frames_of(connected(), dataset, waiting, shown)),
            )
            + _standing(waiting)
        ),
    )


def resolve(
    dataset: Dataset,
    keys: Annotated[
        list[str] | None,
        typer.Argument(
            help="Keys of rows that conflict; without any and without --where all that are open.",
            show_default=False,
        ),
    ] = None,
    ours: Annotated[
        bool, typer.Option("--ours", help="Keep what the branch that is merged into has.")
    ] = False,
    theirs: Annotated[bool, typer.Option("--theirs", help="Take what is merged.")] = False,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="COLUMN=SQL",
            help="Set a value of your own: \"label=['Forest']\". Repeatable.",
            show_default=False,
        ),
    ] = None,
    edit: Annotated[
        bool, typer.Option("--edit", help="Decide in your editor ($VISUAL, $EDITOR).")
    ] = False,
    read: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="FILE",
            help="Read decisions as --edit writes them.",
            show_default=False,
        ),
    ] = None,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="SQL",
            help="Which conflicts: \"category = 'Boat'\" speaks of the row as the chosen side has "
            "it, ours.category and theirs.category of either's.",
            show_default=False,
        ),
    ] = None,
    table: Annotated[
        str | None, typer.Option(help="Only conflicts of this table.", show_default=False)
    ] = None,
    into: Into = None,
    message: Why = None,
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Decide conflicts of a merge; with the last decision the merge is finished."""
    from registry.catalog.editing import parsed
    from registry.catalog.merging.choosing import Choice
    from registry.cli.deciding import decided_in_editor, decided_in_file
    from registry.curate import merging

    ways = [ours, theirs, bool(assignments), edit, read is not None]
    if sum(ways) != 1:
        raise InvalidInputError(
            "a conflict is decided in one way",
            hint="give one of --ours, --theirs, --set, --edit and --from",
        )
    registry = connected()
    decided = {}
    if edit or read is not None:
        waiting = merging.waiting_for(registry, dataset, into)
        decided = decided_in_editor(waiting) if read is None else decided_in_file(waiting, read)
    choice = Choice(
        side="ours" if ours else "theirs" if theirs else None,
        values=parsed(assignments or ()),
        keys=tuple(keys or ()),
        where=where,
        table=table,
        decided=decided,
    )
    with watching() as progress:
        outcome = merging.resolve(
            registry,
            dataset,
            choice,
            into,
            message=message,
            allow=allowed(allow),
            progress=progress,
        )
    _say(outcome)


def revert(
    dataset: Dataset,
    commit: Commit,
    on: On = "draft",
    prefer: Prefer = None,
    message: Why = None,
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Take back what one commit changed, row by row, wherever it is in the history."""
    from registry.curate import merging

    with watching() as progress:
        done = merging.revert(
            connected(),
            dataset,
            commit,
            on,
            message=message,
            prefer=prefer,
            allow=allowed(allow),
            progress=progress,
        )
    _say(done)


def cherry_pick(
    dataset: Dataset,
    commit: Commit,
    on: On = "draft",
    prefer: Prefer = None,
    message: Why = None,
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Do on a branch what one commit did elsewhere, row by row."""
    from registry.curate import merging

    with watching() as progress:
        done = merging.cherry_pick(
            connected(),
            dataset,
            commit,
            on,
            message=message,
            prefer=prefer,
            allow=allowed(allow),
            progress=progress,
        )
    _say(done)


def _say(outcome: "Merged | Pending") -> None:
    from registry.catalog import Pending
    from registry.catalog.merging.conflicts import table_of_clashes
    from registry.cli.deciding import documents_of

    if isinstance(outcome, Pending):
        said = {
            "merge": outcome.joining,
            "open": len(outcome.open),
            "conflicts": documents_of(outcome.conflicts),
        }
        emit(said, _standing(outcome))
        return
    decided = documents_of(table_of_clashes(outcome.decided))
    document = {
        name: getattr(outcome, name)
        for name in (
            "commit",
            "joining",
            "moved",
            "tables",
            "taken",
            "paths",
            "duplicates",
            "authors",
        )
    }
    emit({**document, "decided": decided}, outcome.to_text)


def _standing(waiting: "Pending") -> str:
    left, all_of_them = len(waiting.open), len(waiting.clashes)
    return (
        f"{left:,} of {all_of_them:,} conflicts of the {waiting.joining.way} of "
        f"{waiting.joining.name} into {waiting.into} are open"
    )
