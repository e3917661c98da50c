"""Datasets: which there are, what one is, how it is cited and found."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from registry.cli.extent import extent
from registry.cli.options import Json, RefArgument, Why, connected
from registry.cli.output import emit, json_wanted, jsonable, size_text, table_text
from registry.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from registry.catalog import Registry, Version
    from registry.lake import Repository

__all__ = ["CitationStyle", "register"]

CitationStyle = Literal["bibtex", "datacite", "cff"]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("list")(list_datasets)
    app.command("show")(show)
    app.command("card")(card)
    app.command("cite")(cite)
    app.command("stac")(stac)
    app.command("croissant")(croissant)
    app.command("page")(page)
    app.command("withdraw")(withdraw)


def list_datasets(as_json: Json = False) -> None:
    """List the datasets of the lake with their newest version."""
    registry = connected()
    rows: list[dict[str, object]] = []
    for name in registry.names():
        newest = _newest(registry, name)
        rows.append({
            "name": name,
            "version": newest.tag,
            "level": newest.commit.metadata.get("level") if newest.tag else None,
            "task": newest.spec.task,
            "samples": newest.count("samples") if newest.tag else None,
            "licence": newest.spec.licence,
        })
    emit(rows, lambda: _list_text(rows))


def _newest(registry: "Registry", name: str) -> "Version":
    """Return the newest version that stands; what ``main`` holds if there is none."""
    try:
        return registry.resolve(name)
    except NotFoundError:
        return registry.resolve(f"{name}@main")


def _list_text(rows: list[dict[str, object]]) -> str:
    if not rows:
        return "no datasets yet; bring one: eolab ingest FOLDER --into NAME"
    return table_text(tuple(rows[0]), [tuple(row.values()) for row in rows])


def show(ref: RefArgument, as_json: Json = False) -> None:
    """Say what a version, draft or branch is and holds."""
    version = connected().resolve(ref)
    shown = _shown(version)
    emit(shown, lambda: _show_text(shown))


def _shown(version: "Version") -> dict[str, object]:
    spec, entries = version.spec, list(version.repository.entries(version.commit.id))
    return {
        "ref": str(version.ref),
        "title": spec.title or spec.name,
        "version": version.tag,
        "withdrawn": version.tombstone and version.tombstone.reason,
        "stands_in_for": _purged_commit(version),
        "purged": _purges(version),
        "type": spec.type,
        "task": spec.task,
        "licence": spec.licence,
        "providers": [provider.name for provider in spec.providers],
        "classes": list(spec.classes),
        **extent(version),
        "content_id": version.content_id,
        "commit": version.commit.id,
        "at": jsonable(version.commit.at),
        "author": version.commit.author,
        "message": version.commit.message.splitlines()[0],
        "level": version.commit.metadata.get("level"),
        "waits": _waiting(version),
        "tables": {name: version.count(name) for name in version.tables()},
        "files": len(entries),
        "size": sum(entry.size for entry in entries),
    }


def _purged_commit(version: "Version") -> str | None:
    """Return the digits of a purged commit that were asked for, if they were."""
    from registry.catalog.ref import like_commit

    asked = version.ref.at
    known = asked is not None and like_commit(asked) and version.purges
    return asked if known and not version.commit.id.startswith(str(asked)) else None


def _purges(version: "Version") -> list[dict[str, object]]:
    shown: list[dict[str, object]] = []
    content_id = version.content_id
    for one in reversed(version.purges):
        before = {new: old for old, new in one.contents.items()}.get(content_id)
        content_id = before or content_id
        shown.append({
            "on": one.at, "by": one.by, "for": one.reason, "rows": dict(one.rows),
            "content_id_before": before, "record": one.id,
        })  # fmt: skip
    return shown[::-1]


def _purged_text(one: "Mapping[str, object]") -> str:
    before = one["content_id_before"]
    said = f"; its content id was {before}" if before else ""
    return f"on {str(one['on'])[:10]} for: {one['for']}{said}"


def _waiting(version: "Version") -> str | None:
    """Return which merge into the branch that was asked for waits for decisions."""
    from registry.catalog import draft_branch, pending

    at = version.ref.at
    found = pending(version.repository, draft_branch() if at == "draft" else at) if at else None
    if found is None:
        return None
    return (
        f"{found.joining.way} of {found.joining.name}, {len(found.open)} of {len(found.clashes)} "
        f"conflicts open: eolab conflicts {version.dataset} --into {found.into}"
    )


def _show_text(shown: dict[str, object]) -> str:
    def said(value: object) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{name} {count:,}" for name, count in value.items())
        if value is shown["time"] and isinstance(value, list):
            return " to ".join(value)
        if value is shown["purged"] and isinstance(value, list):
            return "; ".join(map(_purged_text, value))
        if isinstance(value, list):
            return ", ".join(map(str, value))
        return f"{value:,}" if isinstance(value, int) else str(value)

    lines = {name: value for name, value in shown.items() if value not in (None, [], {})}
    lines["size"] = size_text(int(str(shown["size"])))
    return "\n".join(f"{name.replace('_', ' '):<11} {said(value)}" for name, value in lines.items())


def card(
    ref: RefArgument,
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=YAML",
            help='New value of a key: "classes=[Boat, Ferry]", before.merge=[exact-duplicates]; '
            "KEY= takes it out. Repeatable.",
            show_default=False,
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="README",
            help="Bring the whole card, a README.md.",
            show_default=False,
        ),
    ] = None,
    in_editor: Annotated[
        bool, typer.Option("--edit", help="Change it in your editor ($VISUAL, $EDITOR).")
    ] = False,
    message: Why = None,
    as_json: Json = False,
) -> None:
    """Print the card of a dataset, or change that of a draft or branch, as one commit.

    The card is README.md: front matter, then prose. A name alone is your draft; what is printed, if
    you have none, is the newest version's. Nothing is committed that could not be read.
    """
    from registry.catalog.card.changing import CardChanged, change_card, read_card, settings
    from registry.cli.editor import edited, read_text
    from registry.curate.hooks import checks_of

    if bool(assignments) + (file is not None) + in_editor > 1:
        raise InvalidInputError(
            "a card is changed by --set, --from or --edit, one at a time", hint="give one of them"
        )
    registry = connected()
    if assignments:
        done = change_card(
            registry, ref, values=settings(assignments), message=message, look_up=checks_of
        )
    elif file is not None:
        text = read_text(file)
        done = change_card(registry, ref, text=text, message=message, look_up=checks_of)
    elif in_editor:
        base = read_card(*_writable(registry, ref))

        def take(written: Path) -> CardChanged:
            text = read_text(written)
            return change_card(
                registry, ref, text=text, base=base, message=message, look_up=checks_of
            )

        done = edited(base, name="README.md", take=take)
    else:
        _print_card(registry, ref, message)
        return
    emit(done, done.to_text)


def _writable(registry: "Registry", ref: str) -> "tuple[Repository, str]":
    from registry.catalog.card.changing import card_branch

    draft = card_branch(registry, ref)
    return draft.repository, draft.head


def _print_card(registry: "Registry", ref: str, message: str | None) -> None:
    from registry.catalog.card.changing import read_card

    if message is not None:
        raise InvalidInputError(
            "nothing is changed, so there is nothing to say why",
            hint="give --set, --from or --edit",
        )
    version = _at_hand(registry, ref)
    text = read_card(version.repository, version.commit.id)
    if sys.stdout.isatty():  # a text of somebody else does not steer the terminal
        text = "".join(each if each.isprintable() or each in "\n\t" else "\ufffd" for each in text)
    said = jsonable(version.spec) if json_wanted.get() else {}
    emit({key: value for key, value in said.items() if key != "text"}, text)


def _at_hand(registry: "Registry", ref: str) -> "Version":
    """Return what a ref names; a name alone is the caller's draft, if there is one."""
    if "@" in ref:
        return registry.resolve(ref)
    try:
        return registry.resolve(f"{ref}@draft")
    except NotFoundError:
        return _newest(registry, ref)


def cite(
    ref: RefArgument,
    style: Annotated[
        CitationStyle,
        typer.Option("--format", help="BibTeX, DataCite's JSON, or a CITATION.cff."),
    ] = "bibtex",
    as_json: Json = False,
) -> None:
    """Say how to cite a version."""
    from registry.catalog import cite as cited

    text = cited(connected().resolve(ref), style)
    emit({"ref": ref, "format": style, "citation": text}, text)


def stac(
    ref: RefArgument,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="New or empty folder for the collection and one file an item; by default the "
            "collection is printed.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Give a version as a STAC collection, with its items if a folder is named."""
    import json

    from registry.stac import collection, write_catalog

    version = connected().resolve(ref)
    if folder is None:
        document = collection(version)
        emit(document, lambda: json.dumps(document, indent=2, ensure_ascii=False))
        return
    written = write_catalog(version, folder)
    emit(
        {"folder": folder, "items": written}, f"{written:,} items and their collection in {folder}"
    )


def croissant(
    ref: RefArgument,
    out: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="File to write; by default it is printed."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Describe a version in GeoCroissant, its known biases among the rest."""
    import json

    from registry.curate.bias.responsible import responsible
    from registry.curate.formats.croissant import croissant as described

    version = connected().resolve(ref)
    document = described(version, responsible(version))
    text = json.dumps(document, indent=2, ensure_ascii=False)
    if out is None:
        emit(document, text)
        return
    out.write_text(text + "\n", encoding="utf-8")
    emit({"croissant": out}, str(out))


def page(
    ref: RefArgument,
    out: Annotated[Path, typer.Option("--output", "-o", help="The HTML file to write.")],
    as_json: Json = False,
) -> None:
    """Draw a version as one HTML file: chips, map, classes, findings, history."""
    from registry.web.page import render

    registry = connected()
    version = registry.resolve(ref)
    render(version, out, history=registry.log(version.ref))
    emit({"page": out}, str(out))


def withdraw(
    ref: RefArgument,
    reason: Annotated[str, typer.Option(help="Why, for those who use it.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Leave a tombstone on a version: readable, but not to be used any more."""
    version = connected().withdraw(ref, reason)
    emit(
        {"ref": str(version.ref), "tombstone": version.tombstone},
        f"{version.ref} is withdrawn: {reason}",
    )
