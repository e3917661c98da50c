"""STAC: items come in from other catalogues and go out with every version."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.stac.catalog_files import write_catalog
    from registry.stac.documents import collection, item, items
    from registry.stac.validation import validate
    from registry.stac.writing import ItemsWritten, write_items

__all__ = [
    "ItemsWritten",
    "collection",
    "item",
    "items",
    "validate",
    "write_catalog",
    "write_items",
]

_HOMES = {
    "collection": "documents",
    "item": "documents",
    "items": "documents",
    "validate": "validation",
    "write_catalog": "catalog_files",
    "ItemsWritten": "writing",
    "write_items": "writing",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
