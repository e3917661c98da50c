"""A card says the same after it was written and read; its README says it to people."""

import json
from dataclasses import replace

import pytest
import yaml

from registry.catalog.card.front import split
from registry.errors import CorruptError, InvalidInputError
from registry.learn.models.card import Card
from registry.learn.models.readme import readme, recipe_text


@pytest.fixture
def card(parts, lineage):
    return parts.card(
        parts.segments,
        parts.height,
        lineage=lineage,
        recipe={"name": "water", "data": {"batch_size": 4, "assets": ("image",)}},
        metrics={"iou": 0.75},
        seed=3,
        code_version="1.2.3",
        weights_sha256="ef" * 32,
        licence="CC-BY-4.0",
        domain={"threshold": 3.5, "mean": [0.5, 1.0]},
    )


def test_a_card_is_the_same_after_it_was_written_and_read(card):
    again = Card.from_json(card.to_json())
    assert again.to_json() == card.to_json()
    assert (again.heads, again.contract, again.lineage) == (card.heads, card.contract, card.lineage)
    assert (again.size, again.seed, again.metrics) == ((16, 16), 3, {"iou": 0.75})


def test_the_least_card_is_the_same_too(parts):
    card = parts.card()
    assert Card.from_json(card.to_json()) == card


def test_numbers_of_other_libraries_become_plain(card):
    import numpy as np

    said = replace(
        card,
        domain={"mean": np.arange(2.0), "n": np.int64(3)},
        metrics={"iou": np.float32(0.5), "missing": float("nan"), "endless": float("inf")},
    )
    again = Card.from_json(said.to_json())
    assert again.domain == {"mean": [0.0, 1.0], "n": 3}
    assert again.metrics == {"iou": 0.5}


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"{}", b'{"name": 3}', b"\xff", b'{"architecture": {"x": 1}}']
)
def test_what_is_no_card_is_said_to_be_damaged(text):
    with pytest.raises(CorruptError, match="card cannot be read"):
        Card.from_json(text)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metrics",), {"iou": "high"}), (("metrics",), []), (("size",), ["a", "b"]),
        (("heads", 0, "std"), 0), (("heads", 0, "mean"), "x"), (("heads", 0, "classes"), [1]),
        (("heads", 0, "task"), "magic"), (("contract", "inputs", 0, "bands", 0, "scale"), "x"),
        (("contract", "inputs", 0, "bands"), []), (("contract", "inputs", 0, "frames"), "3"),
        (("lineage", "dataset"), None), (("lineage", "pretrained_on"), [3]),
        (("lineage", "learned"), [3]), (("lineage", "learned_before", 0, "ref"), 3),
        (("lineage", "learned_before", 0, "subsets"), "none"), (("lineage", "slice"), 3),
        (("architecture", "args"), 3), (("smoke",), "no"), (("name",), None), (("more",), 1),
        (("lineage",), "scenes@v2"), (("heads", 0), "mask"), (("contract",), []),
    ],
)  # fmt: skip
def test_a_card_of_somebody_else_is_believed_only_in_its_types(card, path, value):
    said = json.loads(card.to_json())
    inner = said
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(CorruptError):
        Card.from_json(json.dumps(said).encode())


def test_a_card_of_endless_brackets_is_refused():
    with pytest.raises(CorruptError):
        Card.from_json(b"[" * 200_000)


def test_a_smoke_model_holds_no_score(card):
    with pytest.raises(InvalidInputError, match="smoke"):
        replace(card, smoke=True)
    assert "Smoke." in readme(replace(card, smoke=True, metrics={}), [])


def test_the_readme_says_what_goes_in_and_out_and_where_it_came_from(card):
    front, prose = split(readme(card, ["curves.png", "model.safetensors"]))
    assert front["license"] == "CC-BY-4.0"
    assert front["datasets"] == ["scenes@v2"]
    assert front["base_model"] == "mae-hls@v3"
    assert "segmentation" in front["tags"]
    for words in (
        "| B03 |", "reflectance", "land, water", "a quantity in m", "| iou | 0.75 |", "scenes@v2",
        "split `default`", "pretrained", "raw@v1", "![curves.png](curves.png)", "16 by 16",
    ):  # fmt: skip
        assert words.lower() in prose.lower(), words


def test_the_readme_of_weights_alone_says_so(parts):
    card = replace(parts.card(), heads=(), recipe={"source": "hf://a/b/c.pt"})
    text = readme(card, [])
    assert "Weights alone" in text
    assert "hf://a/b/c.pt" in text
    assert "Ask before you pass it on" in text


def test_a_name_with_a_bar_does_not_break_the_table(parts):
    card = parts.card(contract=parts.reads("B|03\n"))
    assert "| B\\|03  |" in readme(card, [])


def test_the_recipe_is_yaml_of_plain_data(card):
    assert yaml.safe_load(recipe_text(card)) == {
        "name": "water", "data": {"batch_size": 4, "assets": ["image"]},
    }  # fmt: skip
