"""A version becomes a model, a model becomes a map.

Only this room imports torch, and only where it is used: ``import registry.learn`` does not.
"""

from importlib import import_module
from typing import Any

_ROOMS = frozenset({"compute", "inference", "loading", "models", "scoring", "training"})


def __getattr__(name: str) -> Any:  # noqa: ANN401 — a module's attribute is whatever it is
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
