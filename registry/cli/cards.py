"""Models as text for people: what they read and give, and what made them."""

from typing import TYPE_CHECKING

from registry.cli.output import printable, size_text, table_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry.learn.loading.contract import Input
    from registry.learn.models.card import Card, Lineage
    from registry.learn.models.shelf import Model
    from registry.learn.scoring.notes import Note

__all__ = ["model_document", "model_text", "models_text"]


def models_text(rows: list[dict[str, object]]) -> str:
    """Return models line by line."""
    if not rows:
        return "no models yet; train one: eolab recipes, or bring weights: eolab models add FILE"
    cells = [
        (
            row["name"],
            f"{row['version']}{' (withdrawn)' if row['withdrawn'] else ''}",
            ", ".join(map(str, row["tasks"])) if isinstance(row["tasks"], list) else "",
            row["learned_from"],
            size_text(int(str(row["size"]))),
            row["licence"],
            "smoke" if row["smoke"] else "",
        )
        for row in rows
    ]
    return table_text(("name", "version", "gives", "learned from", "size", "licence", ""), cells)


def model_document(model: "Model") -> dict[str, object]:
    """Return what is known of a model as JSON's own types."""
    card = model.card
    return {
        "ref": model.ref,
        "withdrawn": model.tombstone and model.tombstone.reason,
        **card.to_document(),
        "commit": model.version.commit.id,
        "content_id": model.version.content_id,
        "at": model.version.commit.at,
        "author": model.version.commit.author,
        "message": model.version.commit.message.splitlines()[0],
        "files": dict(model.files),
    }


def model_text(model: "Model", notes: "Sequence[Note]") -> str:
    """Return what is known of a model, and what to read it with."""
    card, commit = model.card, model.version.commit
    lineage = card.lineage
    lines: dict[str, object] = {
        "ref": model.ref,
        "notes": "\n".join(map(str, notes)),
        "smoke": "trained to see that everything runs; it knows nothing" if card.smoke else None,
        "network": _network_text(card),
        "reads": "\n".join(map(_input_text, card.contract.inputs)),
        "gives": "\n".join(
            f"{head.name}: {head.task.value}"
            + (f" of {', '.join(head.classes)}" if head.classes else "")
            + (f" in {head.unit}" if head.unit else "")
            for head in card.heads
        ),
        "chips": card.size and f"{card.size[0]} by {card.size[1]} pixels",
        "learned from": lineage and _learned_text(lineage),
        "began with": lineage and lineage.parent,
        "source": card.recipe.get("source"),
        "validation": "\n".join(
            f"{name} {value:.4g}" for name, value in card.to_document()["metrics"].items()
        ),
        "licence": card.licence,
        "made": f"{commit.at:%Y-%m-%d %H:%M} by {commit.author}",
        "message": commit.message.splitlines()[0],
        "sha256": card.weights_sha256,
        "files": ", ".join(f"{name} ({size_text(size)})" for name, size in model.files.items()),
    }
    return "\n".join(
        f"{name if not number else '':<13} {line}".rstrip()
        for name, value in lines.items()
        if value
        for number, line in enumerate(printable(str(value)).splitlines())
    )


def _learned_text(lineage: "Lineage") -> str:
    parts = [lineage.dataset]
    parts += [f"split {lineage.split}"] if lineage.split else []
    parts += [f"slice {lineage.slice}"] if lineage.slice else []
    held = [one for one in lineage.learned if one.subsets == "but-test"]
    parts += [f"without the tests of split {one.split} of {one.ref}" for one in held]
    return ", ".join(parts)


def _network_text(card: "Card") -> str:
    args = card.architecture.args
    said = ", ".join(f"{name} {value}" for name, value in args.items())
    return f"{card.architecture.factory}{f': {said}' if said else ''}"


def _input_text(one: "Input") -> str:
    units = sorted({band.unit for band in one.bands if band.unit})
    facts = [
        ", ".join(band.name for band in one.bands),
        ", ".join(units),
        f"{one.gsd:g} m" if one.gsd is not None else "",
        one.level or "",
        f"{one.frames} time steps" if one.frames is not None else "",
    ]
    return f"{one.asset}: {'; '.join(fact for fact in facts if fact)}"
