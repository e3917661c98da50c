"""``python docs/recipes.py``: write the reference of recipes from their own heads."""

import dataclasses
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

from registry.learn.training import recipe as recipes
from registry.learn.training.reading import document_of

PAGE = Path(__file__).parent / "reference" / "recipes.md"
_HEAD = """# Recipes

The recipes that ship, as their own heads say it; `eolab recipes show NAME` prints one with every
default written out. A score to reach is a published figure, or what is asked of the recipe; where
there is none, none could be verified. Scores of your own runs come from `eolab evaluate`. This page
is made from the recipes themselves.
"""
_CELL = str.maketrans({"|": "\\|", "\n": " ", "<": "&lt;"})
_PARTS = (
    recipes.Recipe, recipes.Data, recipes.HeadRecipe, recipes.Optimiser, recipes.Schedule,
    recipes.Init, recipes.Semi, recipes.Stop, recipes.Score, recipes.Smoke,
)  # fmt: skip
_ATTRIBUTE = re.compile(
    r'^    (\w+):[^\n]*(?:\n(?!    """)[^\n]*)*?\n    """(.*?)"""', re.MULTILINE | re.DOTALL
)
_WHERE = {
    "Recipe": "", "Data": "data", "HeadRecipe": "heads.N", "Optimiser": "optimiser",
    "Schedule": "schedule", "Init": "init", "Semi": "semi", "Stop": "stop", "Score": "score",
    "Smoke": "smoke",
}  # fmt: skip


def page() -> str:
    """Return the whole page as Markdown."""
    made = [recipes.named(name) for name in recipes.shipped()]
    rows = [
        f"| [{one.name}](#{one.name}) | {one.task} | {_score(one)} | {one.baseline or ''} |"
        for one in made
    ]
    table = "\n".join(["| recipe | task | score to reach | baseline |", "|---|---|---|---|", *rows])
    return "\n".join([_HEAD, table, "", *map(_section, made), _keys()])


def _score(one: recipes.Recipe) -> str:
    said = one.score
    return "" if said is None else f"{said.metric} {said.value:g} ({said.subset})"


def _section(one: recipes.Recipe) -> str:
    path = recipes.shipped_path(one.name)
    head = recipes.head_of_file(path) if path is not None else ""
    said = [
        f"- Paper: {one.paper}",
        f"- Command: `{one.command}`",
        f"- Cost: {one.cost}",
    ]
    if one.score is not None:
        said.append(f"- Score to reach: {_score(one)}. {one.score.source}")
    if one.baseline is not None:
        said.append(f"- Baseline: [{one.baseline}](#{one.baseline})")
    return f"## {one.name}\n\n{one.title}. {head}\n\n" + "\n".join(said) + "\n"


def _keys() -> str:
    lines = ["## Keys of a recipe", "", "| key | default | meaning |", "|---|---|---|"]
    for part in _PARTS:
        meanings = _meanings(part)
        for one in dataclasses.fields(part):
            key = f"{_WHERE[part.__name__]}.{one.name}".lstrip(".")
            lines.append(f"| `{key}` | {_default(one)} | {meanings[one.name].translate(_CELL)} |")
    return "\n".join(lines) + "\n"


def _default(one: "dataclasses.Field[Any]") -> str:
    if one.default is not dataclasses.MISSING:
        return f"`{json.dumps(document_of(one.default), ensure_ascii=False)}`"
    return "" if one.default_factory is not dataclasses.MISSING else "(needed)"


def _meanings(part: type) -> dict[str, str]:
    """Return what stands below each attribute."""
    source = inspect.getsource(part)
    return {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(source)}


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
