"""From a draft to a version: check, merge, publish."""

import json
from typing import Annotated, Literal

import typer

from registry.cli.options import (
    Allow,
    Dataset,
    Json,
    Message,
    RefArgument,
    Why,
    allowed,
    connected,
)
from registry.cli.output import emit
from registry.cli.watch import watching
from registry.errors import RejectedError

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("check")(check)
    app.command("merge")(merge)
    app.command("publish")(publish)


def check(ref: RefArgument, allow: Allow = None, as_json: Json = False) -> None:
    """Judge a draft, branch or version; exit with 5 if an error is left."""
    from registry.curate.quality import check as judge

    with watching() as progress:
        report = judge(connected().resolve(ref), allow=allowed(allow), progress=progress)
    emit({**json.loads(report.to_json()), "findings": report.findings}, report.to_text)
    if not report.passed:
        raise typer.Exit(RejectedError.exit_status)


def merge(
    dataset: Dataset,
    branch: Annotated[
        str, typer.Argument(help="What is merged: a branch, tag or commit.", show_default=False)
    ],
    into: Annotated[
        str, typer.Option(help="Branch to merge into; what main would become is checked first.")
    ] = "main",
    prefer: Annotated[
        Literal["ours", "theirs"] | None,
        typer.Option(
            help="Where both sides changed the same: keep that of --into, or of the branch; "
            "by default conflicts are listed and nothing is merged."
        ),
    ] = None,
    message: Why = None,
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Merge a branch into another, tables row by row."""
    from registry.curate.publishing import merge as join

    with watching() as progress:
        merged = join(
            connected(),
            dataset,
            branch,
            into=into,
            prefer=prefer,
            message=message,
            allow=allowed(allow),
            progress=progress,
        )
    emit(merged, merged.to_text)


def publish(
    dataset: Dataset,
    message: Message,
    branch: Annotated[
        str | None,
        typer.Option(
            help="Which branch is published; by default your draft, else what main holds.",
            show_default=False,
        ),
    ] = None,
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Make the next version of what passes its checks."""
    from registry.curate.publishing import publish as release

    with watching() as progress:
        version = release(
            connected(),
            dataset,
            branch=branch,
            message=message,
            allow=allowed(allow),
            progress=progress,
        )
    emit(
        {
            "ref": str(version.ref),
            "version": version.tag,
            "content_id": version.content_id,
            "commit": version.commit.id,
            "level": version.commit.metadata.get("level"),
        },
        lambda: (
            f"{version.dataset}@{version.tag}"
            f"  {version.count('samples'):,} samples"
            f"  level {version.commit.metadata.get('level') or 'none'}"
            f"  content id {version.content_id[:16]}…"
        ),
    )
