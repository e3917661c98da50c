"""What a shell offers for a name: datasets and refs of the lake at hand."""

import os
from pathlib import Path

import typer

from registry.errors import RegistryError

LAKE = "lake.json"
"""What a folder holds that is a lake."""

__all__ = [
    "complete_addresses", "complete_datasets", "complete_jobs", "complete_places", "complete_refs",
]  # fmt: skip


def complete_datasets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of datasets that begin with what was typed; none if there is no lake."""
    from registry.catalog import connect

    try:
        names = connect(_address(ctx)).names()
    except RegistryError:
        return []  # a shell that completes has nobody to tell
    return [name for name in names if name.startswith(incomplete)]


def complete_refs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return datasets, or behind an ``@`` the versions and branches of one."""
    dataset, at, begun = incomplete.partition("@")
    if not at:
        return complete_datasets(ctx, incomplete)
    from registry.catalog import connect

    try:
        registry = connect(_address(ctx))
        places = [*registry.lake.repository(dataset).tags(), "draft", *registry.branches(dataset)]
    except RegistryError:
        return []
    return [f"{dataset}@{place}" for place in places if place.startswith(begun)]


def complete_models(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of models that begin with what was typed."""
    from registry.lake import connect
    from registry.lake.names import MODELS

    try:
        names = connect(_address(ctx)).repositories()
    except RegistryError:
        return []
    found = [name.removeprefix(MODELS) for name in names if name.startswith(MODELS)]
    return [name for name in found if name.startswith(incomplete)]


def complete_model_refs(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return models, or behind an ``@`` the versions of one."""
    from registry.lake import connect
    from registry.lake.names import MODELS

    name, at, begun = incomplete.partition("@")
    if not at:
        return complete_models(ctx, incomplete)
    try:
        tags = connect(_address(ctx)).repository(MODELS + name).tags()
    except RegistryError:
        return []
    return [f"{name}@{tag}" for tag in tags if tag.startswith(begun)]


def complete_addresses(incomplete: str) -> list[str]:
    """Return folders that begin with what was typed, and those of them that are lakes first."""
    begun = Path(incomplete or ".").expanduser()
    above, name = (begun, "") if incomplete.endswith("/") or not incomplete else (
        begun.parent, begun.name
    )  # fmt: skip
    try:
        found = sorted(one for one in above.iterdir() if one.is_dir())
    except OSError:
        return []
    matching = [one for one in found if one.name.startswith(name)]
    return [str(one) for one in sorted(matching, key=lambda one: not (one / LAKE).exists())]


def complete_places(incomplete: str) -> list[str]:
    """Return places to run at that begin with what was typed."""
    from registry.learn.compute.targets import targets

    try:
        return [name for name in targets() if name.startswith(incomplete)]
    except RegistryError:
        return []


def complete_jobs(incomplete: str) -> list[str]:
    """Return jobs whose names begin with what was typed."""
    from registry.learn.compute.records import Records

    return [job.id for job in Records().all() if job.id.startswith(incomplete)]


def _address(ctx: typer.Context) -> str | None:
    said = ctx.find_root().params.get("lake_address") or os.environ.get("EOLAB_LAKE")
    return str(said) if said else None
