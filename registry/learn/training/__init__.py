"""Recipes, the loop that runs them, and what comes of it."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.learn.training.recipe import Recipe, named, shipped
    from registry.learn.training.running import Run, fit, train

__all__ = ["Recipe", "Run", "fit", "named", "shipped", "train"]

_HOMES = {
    "Recipe": "recipe", "named": "recipe", "shipped": "recipe",
    "Run": "running", "fit": "running", "train": "running",
}  # fmt: skip


def __getattr__(name: str) -> Any:  # noqa: ANN401 — a module's attribute is whatever it is
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
