"""From a draft to a version: check, publish."""

import json
from typing import Annotated

import typer

from registry.cli.options import (
    Allow,
    Dataset,
    Json,
    Message,
    RefArgument,
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
    app.command("publish")(publish)


def check(ref: RefArgument, allow: Allow = None, as_json: Json = False) -> None:
    """Judge a draft, branch or version; exit with 5 if an error is left."""
    from registry.curate.quality import check as judge

    with watching() as progress:
        report = judge(connected().resolve(ref), allow=allowed(allow), progress=progress)
    emit({**json.loads(report.to_json()), "findings": report.findings}, report.to_text)
    if not report.passed:
        raise typer.Exit(RejectedError.exit_status)


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
