"""A registry of Earth-observation training data, versioned on a lakehouse.

Names are loaded when they are first used, so that ``import registry`` costs next to nothing.

Examples:
    >>> import registry
    >>> registry.Ref.parse("ships@v2").dataset
    'ships'
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.catalog import Ref, Registry, Spec, Version, connect
    from registry.curate.checkout import checkout
    from registry.curate.ingest import ingest
    from registry.curate.publishing import publish
    from registry.curate.quality import check
    from registry.errors import RegistryError
    from registry.learn.loading.stream import stream
    from registry.query import sql

__all__ = [
    "Ref",
    "Registry",
    "RegistryError",
    "Spec",
    "Version",
    "check",
    "checkout",
    "connect",
    "ingest",
    "publish",
    "sql",
    "stream",
]

_HOMES = {
    "Ref": "registry.catalog",
    "Registry": "registry.catalog",
    "RegistryError": "registry.errors",
    "Spec": "registry.catalog",
    "Version": "registry.catalog",
    "check": "registry.curate.quality",
    "checkout": "registry.curate.checkout",
    "connect": "registry.catalog",
    "ingest": "registry.curate.ingest",
    "publish": "registry.curate.publishing",
    "sql": "registry.query",
    "stream": "registry.learn.loading.stream",
}
_ROOMS = frozenset({"learn"})


def __getattr__(name: str) -> Any:  # noqa: ANN401 — a module's attribute is whatever it is
    if name in _ROOMS:
        return import_module(f"registry.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'registry' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
