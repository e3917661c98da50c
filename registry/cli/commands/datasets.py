"""Datasets: which there are, what one is, how it is cited and found."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.options import Json, RefArgument, connected
from registry.cli.output import emit, size_text, table_text

if TYPE_CHECKING:
    from registry.catalog import Version

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
    app.command("list")(list_datasets)
    app.command("show")(show)
    app.command("cite")(cite)
    app.command("stac")(stac)
    app.command("page")(page)
    app.command("withdraw")(withdraw)


def list_datasets(as_json: Json = False) -> None:
    """Name the datasets of the lake."""
    registry = connected()
    rows: list[dict[str, object]] = []
    for name in registry.names():
        versions = registry.versions(name)
        newest = versions[-1] if versions else registry.resolve(f"{name}@main")
        rows.append({
            "name": name,
            "version": newest.tag,
            "task": newest.spec.task,
            "samples": newest.count("samples"),
            "licence": newest.spec.licence,
        })
    emit(rows, lambda: _list_text(rows))


def _list_text(rows: list[dict[str, object]]) -> str:
    if not rows:
        return "no datasets yet; bring one: eolab ingest FOLDER --into NAME"
    return table_text(tuple(rows[0]), [tuple(row.values()) for row in rows])


def show(ref: RefArgument, as_json: Json = False) -> None:
    """Say what a version is and holds."""
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
        "type": spec.type,
        "task": spec.task,
        "licence": spec.licence,
        "providers": [provider.name for provider in spec.providers],
        "classes": list(spec.classes),
        "content_id": version.content_id,
        "commit": version.commit.id,
        "at": version.commit.at,
        "author": version.commit.author,
        "message": version.commit.message.splitlines()[0],
        "level": version.commit.metadata.get("level"),
        "tables": {name: version.count(name) for name in version.tables()},
        "files": len(entries),
        "size": sum(entry.size for entry in entries),
    }


def _show_text(shown: dict[str, object]) -> str:
    def said(value: object) -> str:
        if isinstance(value, dict):
            return ", ".join(f"{name} {count:,}" for name, count in value.items())
        if isinstance(value, list):
            return ", ".join(map(str, value))
        return str(value)

    lines = {name: value for name, value in shown.items() if value not in (None, [], {})}
    lines["size"] = size_text(int(str(shown["size"])))
    return "\n".join(f"{name.replace('_', ' '):<11} {said(value)}" for name, value in lines.items())


def cite(
    ref: RefArgument,
    style: Annotated[str, typer.Option("--format", help="bibtex, datacite or cff.")] = "bibtex",
    as_json: Json = False,
) -> None:
    """Say how to cite a version."""
    from registry.catalog import cite as cited

    text = cited(connected().resolve(ref), style)
    emit({"ref": ref, "format": style, "citation": text}, text)


def stac(
    ref: RefArgument,
    folder: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it there, one file an item.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Give a version as a STAC collection, with its items where a folder is named."""
    import json

    from registry.stac import collection, write_catalog

    version = connected().resolve(ref)
    if folder is None:
        document = collection(version)
        emit(document, lambda: json.dumps(document, indent=2, ensure_ascii=False))
        return
    written = write_catalog(version, folder)
    emit({"folder": folder, "items": written}, f"{written} items and their collection in {folder}")


def page(
    ref: RefArgument,
    out: Annotated[Path, typer.Option("--output", "-o", help="The HTML file.")],
    as_json: Json = False,
) -> None:
    """Draw a version as one HTML file: chips, map, classes, findings, history."""
    from registry.web.page import render

    registry = connected()
    version = registry.resolve(ref)
    render(version, out, history=registry.log(version.ref))
    emit({"page": out}, f"{out}")


def withdraw(
    ref: RefArgument,
    reason: Annotated[str, typer.Option(help="Why, for whoever pinned it.", show_default=False)],
    as_json: Json = False,
) -> None:
    """Leave a tombstone on a version: readable, but not to be used any more."""
    version = connected().withdraw(ref, reason)
    emit(
        {"ref": str(version.ref), "tombstone": version.tombstone},
        f"{version.ref} is withdrawn: {reason}",
    )
