"""Streams of batches straight from the tables of a version, and what their numbers mean."""

from importlib import import_module
from typing import Any

_ROOMS = frozenset({"sklearn", "stream", "tensorflow", "torch"})


def __getattr__(name: str) -> Any:  # noqa: ANN401 — a module's attribute is whatever it is
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return import_module(f"{__name__}.{name}")
