"""History: branches, what was done, and taking it back."""

from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.options import Dataset, Json, RefArgument, connected
from registry.cli.output import emit, table_text
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.catalog import Registry
    from registry.lake import RefUpdate

__all__ = ["register"]

_SHORT = 10


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("branch")(branch)
    app.command("log")(log)
    app.command("undo")(undo)


def branch(
    dataset: Dataset,
    name: Annotated[
        str | None,
        typer.Argument(help="The branch; without it branches are listed.", show_default=False),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            help="Where it starts: a version, branch or commit; main by default.",
            show_default=False,
        ),
    ] = None,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the branch instead.")] = False,
    protect: Annotated[
        bool,
        typer.Option(
            "--protect",
            help="Protect the branch: for good, it moves by merges that pass the checks alone.",
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Make, list, protect or delete branches."""
    registry = connected()
    if (delete or protect) and (name is None or delete == protect or at is not None):
        raise InvalidInputError(
            "one branch is deleted or protected, and nothing else",
            hint=f"eolab branch {dataset} NAME --{'delete' if delete else 'protect'}",
        )
    if name is None:
        found = registry.branches(dataset)
        emit(found, lambda: _branches_text(registry, dataset))
    elif protect:
        from registry.catalog.branches import protect as guard

        guard(registry, dataset, name)
        emit({"protected": f"{dataset}@{name}"}, f"{dataset}@{name} is protected")
    elif delete:
        registry.delete_branch(dataset, name)
        emit({"deleted": f"{dataset}@{name}"}, f"{dataset}@{name} is deleted")
    else:
        made = registry.branch(dataset, name, at)
        emit({"ref": f"{dataset}@{name}", "commit": made.head}, f"{dataset}@{name}")


def _branches_text(registry: "Registry", dataset: str) -> str:
    from registry.catalog.branches import protected
    from registry.catalog.merging.pending import pendings

    waiting = {one.into: one for one in pendings(registry.lake.repository(dataset))}
    guarded = protected(registry, dataset)
    rows = [
        (
            branch,
            commit[:_SHORT],
            "protected" if branch in guarded else "",
            f"{one.joining.way} of {one.joining.name}: {len(one.open)} of {len(one.clashes)} "
            "conflicts open"
            if (one := waiting.get(branch))
            else "",
        )
        for branch, commit in registry.branches(dataset).items()
    ]
    # Columns in which nothing stands are left out.
    headings = ("branch", "commit", "", "waits")
    shown = [n for n in range(len(headings)) if n < 2 or any(row[n] for row in rows)]  # noqa: PLR2004 — name and commit always stand
    return table_text([headings[n] for n in shown], [[row[n] for n in shown] for row in rows])


def log(
    ref: RefArgument,
    path: Annotated[
        str | None,
        typer.Option(help="Only commits that changed this table or file.", show_default=False),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=1, help="How many commits at most.")
    ] = 50,
    as_json: Json = False,
) -> None:
    """List the commits behind a ref, newest first."""
    from itertools import islice

    from registry.catalog import Ref

    registry = connected()
    dataset = Ref.parse(ref).dataset
    tags: dict[str, list[str]] = {}
    for tag, commit in registry.lake.repository(dataset).tags().items():
        tags.setdefault(commit, []).append(tag)
    commits = list(islice(registry.log(ref, path), limit))
    emit(
        [{"commit": c, "versions": tags.get(c.id, [])} for c in commits],
        lambda: table_text(
            ("commit", "version", "when", "who", "why"),
            [
                (
                    c.id[:_SHORT],
                    ", ".join(tags.get(c.id, [])),
                    f"{c.at:%Y-%m-%d %H:%M}",
                    c.author.partition(" <")[0],
                    c.message.partition("\n")[0],
                )
                for c in commits
            ],
        ),
    )


def undo(
    dataset: Dataset,
    branch: Annotated[str, typer.Option(help="Which branch; draft is yours.")] = "draft",
    as_json: Json = False,
) -> None:
    """Take back the last movement of a branch; an undo can be undone."""
    taken = connected().undo(dataset, branch)
    emit(taken, lambda: f"{dataset}@{branch} went {_step(taken)}")


def _step(update: "RefUpdate") -> str:
    before, after = (commit and commit[:_SHORT] for commit in (update.before, update.after))
    return f"from {before or 'nothing'} back to {after or 'nothing'}"
