"""What a shell offers for a name: datasets and refs of the lake at hand."""

import os

import typer

from registry.errors import RegistryError

__all__ = ["complete_datasets", "complete_refs"]


def complete_datasets(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return names of datasets that begin with what was typed; none if there is no lake."""
    from registry.lake import connect

    try:
        names = connect(_address(ctx)).repositories()
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


def _address(ctx: typer.Context) -> str | None:
    said = ctx.find_root().params.get("lake_address") or os.environ.get("EOLAB_LAKE")
    return str(said) if said else None
