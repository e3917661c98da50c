"""Simulated samples of a recipe's layout, to see that all of it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from registry.learn.training.recipe import Recipe

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["smoked"]


@contextmanager
def smoked(
    registry: "Registry", recipe: Recipe, *, seed: int
) -> "Iterator[tuple[Registry, Recipe]]":
    """Yield."""
    yield registry, recipe
