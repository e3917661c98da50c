"""A model's card for people: front matter that others read too, then what to know."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import yaml

from registry.catalog.card.licence import spdx

if TYPE_CHECKING:
    from registry.learn.loading.contract import Band, Input
    from registry.learn.models.card import Card

__all__ = ["readme", "recipe_text"]

_PICTURES: Final = (".png", ".jpg", ".svg")
_TABLE = "| {} |"


def recipe_text(card: "Card") -> str:
    """Return the recipe of a card as YAML."""
    return yaml.safe_dump(
        json.loads(card.to_json())["recipe"], sort_keys=False, allow_unicode=True, width=100
    )


def readme(card: "Card", files: Sequence[str]) -> str:
    """Return the README of a model.

    Args:
        card: What is said of it.
        files: Names of the files beside it; pictures among them are shown.

    Returns:
        Markdown with YAML front matter, whose keys are those that model hubs read.
    """
    front = yaml.safe_dump(_front(card), sort_keys=False, allow_unicode=True, width=100)
    parts = [
        f"# {card.name}", _first(card), "## What it reads", _reads(card), "## What it gives",
        _gives(card), "## Scores", _scores(card), "## How it was made", _made(card),
        "## Limits", _limits(card), "## Licence", _licence(card),
    ]  # fmt: skip
    pictures = [name for name in files if name.endswith(_PICTURES)]
    if pictures:
        parts += ["## Pictures", "\n\n".join(f"![{name}]({name})" for name in pictures)]
    body = "\n\n".join(parts)
    return f"---\n{front}---\n\n{body}\n"


def _front(card: "Card") -> dict[str, Any]:
    lineage = card.lineage
    said: dict[str, Any] = {
        "name": card.name,
        "license": spdx(card.licence) or ("other" if card.licence else None),
        "library_name": "eolab",
        "tags": ["earth-observation", *(head.task.value for head in card.heads)],
        "datasets": lineage.dataset.split(",") if lineage else None,
        "base_model": lineage.parent if lineage else None,
        "smoke": card.smoke or None,
        "weights_sha256": card.weights_sha256,
    }
    return {name: value for name, value in said.items() if value}


def _first(card: "Card") -> str:
    if not card.heads:
        return "Weights alone: a training may begin with them; they give no answer by themselves."
    tasks = ", ".join(head.task.value.replace("-", " ") for head in card.heads)
    args = card.architecture.args
    built = args.get("name") or args.get("class_path") or args.get("backbone") or "a network"
    text = f"{tasks.capitalize()} by {built} of the factory `{card.architecture.factory}`."
    if card.smoke:
        text += (
            "\n\n**Smoke.** Trained on simulated samples or from random weights, to see that "
            "everything runs. It says nothing about the world and holds no score."
        )
    return text


def _reads(card: "Card") -> str:
    if not card.contract.inputs:
        return "Nobody said."
    parts = [_input(one) for one in card.contract.inputs]
    if card.size is not None:
        parts.append(f"It learned from chips of {card.size[0]} by {card.size[1]} pixels.")
    return "\n\n".join(parts)


def _input(one: "Input") -> str:
    facts = [
        f"{one.gsd:g} m" if one.gsd is not None else None,
        one.level,
        f"nodata {one.nodata:g}" if one.nodata is not None else None,
        f"{one.frames} time steps" if one.frames is not None else None,
    ]
    said = ", ".join(fact for fact in facts if fact)
    rows = [
        "| band | letter | unit | from stored values | mean | deviation |",
        "|---|---|---|---|---|---|",
        *(_row(band) for band in one.bands),
    ]
    return f"**{one.asset}**{f' ({said})' if said else ''}\n\n" + "\n".join(rows)


def _row(band: "Band") -> str:
    cells = (
        band.name, band.common or "", band.unit or "", f"times {band.scale:g} plus {band.offset:g}",
        "" if band.mean is None else f"{band.mean:.6g}",
        "" if band.std is None else f"{band.std:.6g}",
    )  # fmt: skip
    return _TABLE.format(" | ".join(map(_cell, cells)))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _gives(card: "Card") -> str:
    lines = []
    for head in card.heads:
        what = ", ".join(head.classes) or (f"a quantity in {head.unit}" if head.unit else "")
        lines.append(f"- **{head.name}** ({head.task.value}){f': {what}' if what else ''}")
    return "\n".join(lines) or "Nothing by itself."


def _scores(card: "Card") -> str:
    if card.smoke:
        return "None: smoke."
    if not card.metrics:
        return "None measured."
    metrics = card.to_document()["metrics"]
    rows = [f"| {_cell(name)} | {value:.4g} |" for name, value in sorted(metrics.items())]
    said = "Of the validation subset during training; scores to compare come from `eolab evaluate`."
    return said + "\n\n" + "\n".join(["| metric | value |", "|---|---|", *rows])


def _made(card: "Card") -> str:
    lineage, lines = card.lineage, []
    if lineage is None:
        source = card.recipe.get("source")
        lines.append(f"Weights that came from {source}." if source else "Nobody said.")
    else:
        part = f", split `{lineage.split}`" if lineage.split else ""
        part += f", slice `{lineage.slice}`" if lineage.slice else ""
        lines.append(f"- Learned from `{lineage.dataset}`{part}")
        lines.append(
            f"- Content of that version: `{lineage.content_id}`, commit `{lineage.commit}`"
        )
        if held := [one for one in lineage.learned if one.subsets == "but-test"]:
            tests = ", ".join(f"split `{one.split}` of `{one.ref}`" for one in held)
            lines.append(f"- Left out what is called test by {tests}")
        if lineage.parent:
            lines.append(f"- Began with the weights of `{lineage.parent}`")
        if lineage.pretrained_on:
            lines.append(
                f"- Pretrained on {', '.join(f'`{one}`' for one in lineage.pretrained_on)}"
            )
    if isinstance(card.recipe.get("name"), str):
        lines.append(f"- Recipe `{card.recipe['name']}`, all of it in `recipe.yaml`")
    facts: Mapping[str, object] = {
        "Seed": card.seed, "Version of the lab": card.code_version,
        "SHA-256 of the weights": card.weights_sha256,
    }  # fmt: skip
    lines += [f"- {name}: `{value}`" for name, value in facts.items() if value is not None]
    return "\n".join(lines)


def _limits(card: "Card") -> str:
    lines = [
        "- It is meant for images like those it learned from: same bands, unit, level, pixel size."
    ]
    if card.domain:
        lines.append(
            "- Where an image is unlike its training samples, the lab says so: their embeddings "
            "are described in `card.json`."
        )
    else:
        lines.append("- Nobody measured where it is valid.")
    return "\n".join(lines)


def _licence(card: "Card") -> str:
    return f"{card.licence}." if card.licence else "Nobody said. Ask before you pass it on."
