"""Simulated samples of a recipe's layout, to see that all of it runs."""

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.learn.training.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry.catalog.registry import Registry

__all__ = ["as_smoke", "smoked"]


@contextmanager
def smoked(recipe: Recipe, *, seed: int) -> "Iterator[tuple[Registry, Recipe]]":
    """Yield a lake of its own with simulated samples, and the recipe that learns from them.

    Args:
        recipe: Says what is simulated.
        seed: What the simulation starts from.

    Yields:
        The lake, gone afterwards, and the recipe, cut short and with a small network.
    """
    from registry.catalog.registry import Registry
    from registry.lake import init
    from registry.learn.training.simulated import spec_of, write

    with tempfile.TemporaryDirectory(prefix="eolab-smoke-") as folder:
        registry = Registry(lake=init(str(Path(folder) / "lake")))
        spec = spec_of(recipe.smoke, seed=seed)
        draft = registry.create(spec)
        with draft.edit("simulate") as root:
            write(root, recipe.smoke, seed=seed)
        yield registry, as_smoke(recipe, f"{spec.name}@{draft.branch}")


def as_smoke(recipe: Recipe, ref: str) -> Recipe:
    """Return a recipe that runs on simulated samples for a few steps, from random weights.

    Args:
        recipe: The real one.
        ref: Where the simulated samples are.
    """
    said = recipe.smoke
    changes: dict[str, Any] = {
        "data.ref": ref,
        "data.splits": "default",
        "data.slice": None,
        "data.fraction": max(recipe.data.fraction, 0.5) if recipe.data.fraction < 1 else 1.0,
        "data.batch_size": said.batch_size,
        "data.absent_classes": "allow",
        "data.bands": None,
        "data.crop": None,
        "data.augment": [one for one in recipe.data.augment if not one.startswith("crop")],
        "data.threads": 1,
        "epochs": 1,
        "steps": said.steps,
        "accumulate": 1,
        "checkpoint_steps": None,
        "init": {},
        **{f"architecture.args.{name}": value for name, value in said.architecture.items()},
        **{f"heads.{number}.classes": [] for number in range(len(recipe.heads))},
        **{f"heads.{number}.class_weights": "none" for number in range(len(recipe.heads))},
    }
    if recipe.data.frames is not None:
        changes["data.frames"] = min(recipe.data.frames, 3)
    return recipe.replaced(changes)
