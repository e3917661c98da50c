"""A model answers stored values of any data that go with it, and the same bits every time."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from registry.errors import CorruptError, ForbiddenError, InvalidInputError
from registry.learn.loading.conversion import ContractMismatchError
from registry.learn.models import shelf
from registry.learn.models.opening import network
from registry.learn.models.predicting import Predictor, answer_of


@pytest.fixture
def kept(lake, parts):
    """Keep a model of some heads; return its version."""

    def keep(*heads, **said):
        card = parts.card(*heads, **said)
        return shelf.save(lake, card, parts.network(card).state_dict(), message="first")

    return keep


def test_probabilities_sum_to_one_and_quantities_are_in_their_unit(kept, parts):
    model = kept(parts.segments, parts.many, parts.height, parts.biomass)
    ask = Predictor(model, given=model.card.contract)
    said = ask({"image": parts.values(3, 2, 16, 16)})
    assert {name: one.shape for name, one in said.items()} == {
        "mask": (3, 2, 16, 16), "labels": (3, 3), "height": (3, 1, 16, 16), "biomass": (3, 1),
    }  # fmt: skip
    assert all(one.dtype == np.float32 for one in said.values())
    np.testing.assert_allclose(said["mask"].sum(1), 1, atol=1e-6)
    assert ((said["labels"] > 0) & (said["labels"] < 1)).all()
    raw = (said["height"] - 20.0) / 5.0
    assert np.abs(raw).max() < 20


def test_an_answer_is_what_the_network_says_of_normalised_values(kept, parts):
    model = kept(parts.height)
    stored = parts.values(1, 2, 4, 4)
    means = np.array([0.1, 0.11]).reshape(2, 1, 1)
    normal = np.where(stored == 0, 0, (stored * 1e-4 - means) / 0.05).astype(np.float32)
    with torch.inference_mode():
        true = network(model)({"image": torch.from_numpy(normal)})["height"].numpy() * 5 + 20
    ask = Predictor(model, given=model.card.contract)
    np.testing.assert_allclose(ask({"image": stored})["height"], true, rtol=1e-4)


def test_boxes_come_surest_first(kept, parts):
    model = kept(parts.boxes)
    (first, second) = Predictor(model, given=model.card.contract)({
        "image": parts.values(2, 2, 8, 8)
    })["boxes"]
    assert first.scores.tolist() == [0.75, 0.25]
    assert first.corners.tolist() == [[1, 1, 4, 5], [0, 0, 2, 2]]
    assert second.classes.dtype == np.int64


def test_no_boxes_are_boxes_too(parts):
    empty = {"boxes": torch.zeros(0, 4), "scores": torch.zeros(0), "labels": torch.zeros(0)}
    (found,) = answer_of(parts.boxes, [empty])
    assert found.corners.shape == (0, 4)


def test_data_in_another_order_and_unit_give_the_same_answer(kept, parts):
    model = kept(parts.segments)
    stored = parts.values(2, 2, 8, 8)
    plain = Predictor(model, given=model.card.contract)
    other = Predictor(model, given=parts.reads("B08", "B03"))
    assert plain.said == ()
    assert "order" in other.said[0]
    one = plain({"image": stored})["mask"]
    two = other({"image": np.ascontiguousarray(stored[:, ::-1])})["mask"]
    np.testing.assert_array_equal(one, two)


def test_data_without_a_band_are_refused(kept, parts):
    model = kept(parts.segments)
    with pytest.raises(ContractMismatchError):
        Predictor(model, given=parts.reads("B03"))


def test_the_same_arrays_give_the_same_bits_again(kept, parts):
    model = kept(parts.segments, parts.biomass)
    stored = {"image": parts.values(5, 2, 16, 16)}
    one = Predictor(model, given=model.card.contract)(stored)
    two = Predictor(model, given=model.card.contract)(stored)
    for name in one:
        np.testing.assert_array_equal(one[name], two[name])


def test_samples_that_go_alone_do_not_see_their_neighbours(kept, parts):
    model = kept(parts.segments, parts.boxes)
    stored = parts.values(4, 2, 16, 16)
    ask = Predictor(model, given=model.card.contract, alone=True)
    together = ask({"image": stored})
    assert len(together["boxes"]) == 4
    for place in range(4):
        one = ask({"image": stored[place : place + 1]})
        np.testing.assert_array_equal(together["mask"][place], one["mask"][0])


def test_an_embedding_is_one_vector_a_sample(kept, parts):
    model = kept(parts.segments)
    ask = Predictor(model, given=model.card.contract)
    assert ask.embed({"image": parts.values(3, 2, 8, 8)}).shape == (3, 8)


def test_sixteen_bits_are_near_and_other_precisions_are_refused(kept, parts):
    model = kept(parts.segments)
    stored = {"image": parts.values(2, 2, 8, 8)}
    full = Predictor(model, given=model.card.contract)(stored)["mask"]
    half = Predictor(model, given=model.card.contract, precision="bf16")(stored)["mask"]
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, full, atol=0.02)
    with pytest.raises(InvalidInputError, match="no precision"):
        Predictor(model, given=model.card.contract, precision="8")


@pytest.mark.parametrize(
    "arrays",
    [{}, {"other": np.zeros((1, 2, 8, 8), np.uint16)}, {"image": np.zeros((0, 2, 8, 8), np.uint16)},
     {"image": np.zeros((1, 3, 8, 8), np.uint16)}, {"image": np.zeros((8, 8), np.uint16)}],
)  # fmt: skip
def test_arrays_that_are_not_as_the_contract_says_are_refused(kept, parts, arrays):
    model = kept(parts.segments)
    with pytest.raises(InvalidInputError):
        Predictor(model, given=model.card.contract)(arrays)


def test_whoever_asks_a_withdrawn_or_a_smoke_model_is_told(lake, kept, parts):
    kept(parts.segments, smoke=True)
    shelf.withdraw(lake, "small-net@v1", "wrong labels")
    model = shelf.resolve(lake, "small-net@v1")
    said = Predictor(model, given=model.card.contract).said
    assert "wrong labels" in said[0]
    assert "smoke" in said[1]


def test_a_class_that_nobody_trusts_is_not_imported(kept, parts, monkeypatch):
    model = kept(parts.segments)
    assert network(model, trust=True) is not None
    monkeypatch.delenv("EOLAB_TRUST_CLASSES")
    with pytest.raises(ForbiddenError) as refusal:
        network(model)
    assert "EOLAB_TRUST_CLASSES=own_networks.Small" in refusal.value.hint


def test_weights_of_another_network_are_damage(lake, parts):
    card = parts.card(parts.segments)
    state = parts.network(card).state_dict()
    model = shelf.save(lake, card, {**state, "more": torch.ones(1)}, message="first")
    with pytest.raises(CorruptError, match="do not fit"):
        network(model)


def test_loading_a_model_does_not_move_chance(kept, parts):
    model = kept(parts.segments)
    torch.manual_seed(1)
    true = torch.rand(1)
    torch.manual_seed(1)
    found = network(model)
    assert torch.equal(torch.rand(1), true)
    assert not found.training
    assert not any(one.requires_grad for one in found.parameters())


def test_the_labs_own_network_predicts_what_it_was_saved_with(lake, parts):
    from registry.learn.models.architecture import Architecture
    from registry.learn.models.factory import build

    unet = Architecture(factory="lab", args={"name": "unet", "width": 4, "depth": 2})
    card = replace(parts.card(parts.segments, parts.biomass), architecture=unet)
    torch.manual_seed(3)
    made = build(unet, contract=card.contract, heads=card.heads, size=card.size).eval()
    model = shelf.save(lake, card, made.state_dict(), message="first")
    stored = parts.values(2, 2, 15, 17)
    ask = Predictor(model, given=card.contract)
    given = ask.conversion.apply("image", stored)
    with torch.inference_mode():
        raw = made({"image": torch.from_numpy(given)})
    said = ask({"image": stored})
    np.testing.assert_array_equal(said["mask"], raw["mask"].softmax(1).numpy())
    np.testing.assert_array_equal(said["biomass"], (raw["biomass"] * 30 + 100).numpy())
