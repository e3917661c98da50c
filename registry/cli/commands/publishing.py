"""From a draft to a version: check, merge, publish."""

import json
from typing import Annotated

import typer

from registry.cli.options import Allow, Dataset, Json, Message, RefArgument, allowed, connected
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
    """Judge a draft or version; exit 5 if an error is left."""
    from registry.curate.quality import check as judge

    with watching() as progress:
        report = judge(connected().resolve(ref), allow=allowed(allow), progress=progress)
    emit({**json.loads(report.to_json()), "findings": report.findings}, report.to_text)
    if not report.passed:
        raise typer.Exit(RejectedError.exit_status)


def merge(
    dataset: Dataset,
    branch: Annotated[str, typer.Argument(help="What is merged.", show_default=False)],
    into: Annotated[
        str, typer.Option(help="Where to; main is judged first, as publishing does.")
    ] = "main",
    prefer: Annotated[
        str | None, typer.Option(help="ours or theirs, where both changed the same.")
    ] = None,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Why.")] = None,
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Merge a branch row by row."""
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
        str | None, typer.Option(help="Which branch; by default your draft, else main.")
    ] = None,
    allow: Allow = None,
    as_json: Json = False,
) -> None:
    """Make a version of what passes its checks."""
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
