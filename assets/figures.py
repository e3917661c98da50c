"""What people see of models, scores and maps in Dagster's UI: figures, curves, pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from assets.views import markdown
from registry.catalog import Registry

__all__ = ["floor_described", "map_described", "model_described", "scores_described"]

_SCORE_COLUMNS = ("metric", "class", "value", "low", "high", "samples")
_MOST_ROWS = 60


def model_described(
    registry: Registry, name: str, made: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return metadata and data version of a model.

    Args:
        registry: Where it is.
        name: Its version, such as ``ships-unet@v3``.
        made: What training said, one a seed.
    """
    from registry.learn.models import shelf
    from registry.web.pictures import data_uri

    model = shelf.resolve(registry, name)
    rows = [
        (one["model"], one["seed"], *(f"{key} {value:.4g}" for key, value in _plain(one)))
        for one in made
    ]
    shown: dict[str, Any] = {
        "model": name,
        "smoke": bool(made[-1]["smoke"]),
        "seeds": dg.MetadataValue.md(
            "\n".join(f"- {', '.join(str(cell) for cell in row)}" for row in rows)
        ),
        "card": dg.MetadataValue.json(dict(made[-1])),
        "commit": model.version.commit.id,
    }
    for file in sorted(model.files):
        if file.endswith(".png"):
            picture = data_uri(model.path(file).read_bytes())
            shown[file.removesuffix(".png")] = dg.MetadataValue.md(f"![{file}]({picture})")
    # Numbers of their own are drawn over runs.
    shown |= {key: float(value) for key, value in _plain(made[-1])}
    return {"metadata": shown, "data_version": dg.DataVersion(model.version.content_id)}


def scores_described(said: Mapping[str, Any], page: Path) -> dict[str, Any]:
    """Return metadata and data version of an evaluation.

    Args:
        said: What evaluating said.
        page: The page with its pictures.
    """
    scores = list(said["scores"])
    shown: dict[str, Any] = {
        "model": said["model"],
        "scored on": said["ref"],
        "samples": said["samples"],
        "smoke": said["smoke"],
        "scores": dg.MetadataValue.md(_table(scores)),
    }
    if page.exists():
        shown["page"] = dg.MetadataValue.url(page.as_uri())
    return {"metadata": shown, "data_version": dg.DataVersion(str(said["run"]))}


def floor_described(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata of a floor.

    Args:
        said: What measuring it said.
    """
    shown = {key: value for key, value in said.items() if isinstance(value, str | int | float)}
    tables = {
        key: dg.MetadataValue.md(_table(value))
        for key, value in said.items()
        if isinstance(value, list) and value and all(isinstance(row, dict) for row in value)
    }
    return {"metadata": shown | tables}


def map_described(said: Mapping[str, Any], out: Path) -> dict[str, Any]:
    """Return metadata of a map.

    Args:
        said: What predicting said.
        out: The map.
    """
    return {
        "metadata": {"map": dg.MetadataValue.path(str(out)), "said": dg.MetadataValue.json(said)}
    }


def _plain(one: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the figures of a model that are not of one class or stratum."""
    return [(key, value) for key, value in one["metrics"].items() if "/" not in key]


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    known = [name for name in _SCORE_COLUMNS if any(name in row for row in rows)]
    headings = known or list(dict.fromkeys(name for row in rows for name in row))[:8]
    return markdown(
        headings, [[_cell(row.get(name)) for name in headings] for row in rows[:_MOST_ROWS]]
    )


def _cell(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value
