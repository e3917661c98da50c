"""What a network is given, what it gives, and what it does without."""

import copy
import pickle
from dataclasses import replace

import pytest
import torch

from registry.errors import InvalidInputError
from registry.learn.models.architecture import Architecture
from registry.learn.models.factory import build
from registry.learn.models.networks.convolution import Decoder
from registry.learn.models.networks.encoding import Encoder
from tests.learn.models.networks import (
    BIOMASS,
    CHANGE,
    CNN,
    HEIGHT,
    HIDDEN,
    LABEL,
    MANY,
    MASK,
    SHIPS,
    STEM,
    UNET,
    VIT,
    images,
    made,
    reads,
)


@pytest.mark.parametrize("kind", [Encoder, Decoder])
def test_what_gives_no_features_of_its_own_is_not_made(kind):
    class Nothing(kind):
        """Without forward."""

    with pytest.raises(TypeError, match="forward"):
        Nothing()


def unused(network):
    """Names of the weights that would learn but got no gradient."""
    return [
        name
        for name, weight in network.named_parameters()
        if weight.requires_grad and weight.grad is None
    ]


@pytest.mark.parametrize("args", [UNET, STEM, CNN, VIT], ids=["unet", "stem", "cnn", "vit"])
def test_every_head_answers_in_its_own_shape(args):
    heads = (MASK, LABEL, MANY, HEIGHT, BIOMASS)
    network = made(reads(image=5), *heads, **args)
    given = network({"image": images(2, 5, 24, 16)})
    shapes = {name: tuple(answer.shape) for name, answer in given.items()}
    assert shapes == {
        "mask": (2, 3, 24, 16),
        "label": (2, 2),
        "labels": (2, 4),
        "height": (2, 1, 24, 16),
        "biomass": (2, 1),
    }


@pytest.mark.parametrize("args", [UNET, VIT], ids=["unet", "vit"])
def test_sizes_that_no_stride_divides_come_back_as_they_were(args):
    network = made(reads(image=2), **args)
    assert network({"image": images(1, 2, 37, 41)})["mask"].shape == (1, 3, 37, 41)
    assert network({"image": images(1, 2, 3, 5)})["mask"].shape == (1, 3, 3, 5)


def test_a_last_batch_of_one_small_sample_trains():
    network = made(reads(image=2), MASK, LABEL, name="unet", width=8, depth=4).train()
    answer = network({"image": images(1, 2, 16, 16)})
    assert answer["mask"].shape == (1, 3, 16, 16)
    assert torch.isfinite(answer["label"]).all()


def test_padding_leaves_the_far_corner_as_it_was():
    network = made(reads(image=2), name="unet", width=8, depth=1)
    whole = images(1, 2, 32, 32)
    part = network({"image": whole[..., :31, :31]})["mask"]
    assert torch.allclose(part[..., :16, :16], network({"image": whole})["mask"][..., :16, :16])


@pytest.mark.parametrize("args", [UNET, STEM, CNN, VIT], ids=["unet", "stem", "cnn", "vit"])
@pytest.mark.parametrize("head", [MASK, LABEL, BIOMASS], ids=lambda head: head.name)
@pytest.mark.parametrize("fusion", [None, "middle", "late"])
def test_every_weight_of_a_network_with_one_head_learns(args, head, fusion):
    contract = reads(optical=3, radar=2) if fusion else reads(optical=3)
    network = made(contract, head, **args, fusion=fusion).train()
    batch = {"optical": images(4, 3, 16, 16), "radar": images(4, 2, 16, 16)}
    network(batch)[head.name].square().sum().backward()
    assert unused(network) == []


@pytest.mark.parametrize("fusion", ["early", "middle", "late"])
def test_a_missing_asset_is_what_nobody_looks_at(fusion):
    network = made(reads(optical=3, radar=2), MASK, LABEL, **UNET, fusion=fusion)
    optical, radar = images(2, 3, 16, 16), images(2, 2, 16, 16)
    absent = network({"optical": optical})
    said = network({"optical": optical, "radar": radar, "radar_valid": torch.zeros(2).bool()})
    both = network({"optical": optical, "radar": radar})
    for name in ("mask", "label"):
        assert torch.equal(absent[name], said[name])
        assert not torch.allclose(absent[name], both[name])


def test_late_fusion_without_an_asset_is_the_other_network_alone():
    network = made(reads(optical=3, radar=2), **UNET, fusion="late")
    batch = {"optical": images(2, 3, 16, 16)}
    assert torch.equal(network(batch)["mask"], network.parts()[0](batch)["mask"])


def test_one_sample_may_lack_an_asset_that_its_neighbour_has():
    network = made(reads(optical=3, radar=2), **UNET, fusion="middle")
    batch = {"optical": images(2, 3, 16, 16), "radar": images(2, 2, 16, 16)}
    mixed = network({**batch, "radar_valid": torch.tensor([True, False])})["mask"]
    assert torch.allclose(mixed[0], network(batch)["mask"][0], atol=1e-5)
    assert torch.allclose(mixed[1], network({"optical": batch["optical"]})["mask"][1], atol=1e-5)


def test_training_forgets_assets_but_never_all_of_them():
    network = made(reads(optical=1, radar=1), **UNET, modality_dropout=0.9).train()
    ones = torch.ones(400, 1, 4, 4)
    seen = torch.stack([
        one.present for one in network.reader({"optical": ones, "radar": ones}).assets
    ])
    assert seen.amax(dim=0).eq(1).all()
    assert 0.4 < seen.mean() < 0.7
    network.eval()
    assert network.reader({"optical": ones, "radar": ones}).assets[0].present.eq(1).all()


def test_assets_of_other_spacing_meet_at_the_finest():
    contract = reads(optical=(3, None, 10.0), dem=(1, None, 30.0))
    network = made(contract, **UNET)
    batch = {"optical": images(1, 3, 30, 33), "dem": images(1, 1, 10, 11)}
    assert network(batch)["mask"].shape[-2:] == (30, 33)
    assert network({"dem": batch["dem"]})["mask"].shape[-2:] == (30, 33)


@pytest.mark.parametrize("args", [UNET, VIT], ids=["unet", "vit"])
def test_what_lies_in_padding_of_a_series_changes_nothing(args):
    network = made(reads(series=(2, 4)), MASK, LABEL, **args)
    series, valid = images(2, 4, 2, 16, 16), torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]).bool()
    other = torch.where(valid[:, :, None, None, None], series, torch.full_like(series, 99.0))
    first = network({"series": series, "series_valid": valid})
    second = network({"series": other, "series_valid": valid})
    assert torch.equal(first["mask"], second["mask"])
    assert torch.equal(first["label"], second["label"])
    assert not torch.allclose(first["mask"], network({"series": other})["mask"])


def test_a_series_of_padding_alone_gives_numbers():
    network = made(reads(series=(2, 3)), **UNET)
    batch = {"series": images(1, 3, 2, 16, 16), "series_valid": torch.zeros(1, 3).bool()}
    assert torch.isfinite(network(batch)["mask"]).all()


def test_a_series_may_be_longer_than_those_it_learned_from():
    network = made(reads(series=(2, 3)), **UNET)
    assert network({"series": images(1, 7, 2, 16, 16)})["mask"].shape == (1, 3, 16, 16)


def test_the_day_of_the_year_is_heard():
    network = made(reads(series=(2, 3)), **UNET)
    series = images(1, 3, 2, 16, 16)
    spring = network({"series": series, "series_day": torch.tensor([[60.0, 80.0, 100.0]])})["mask"]
    autumn = network({"series": series, "series_day": torch.tensor([[60.0, 80.0, 300.0]])})["mask"]
    assert not torch.allclose(spring, autumn)


def test_two_dates_are_encoded_by_the_same_weights_and_their_order_counts():
    network = made(reads(image=(3, 2)), CHANGE)
    single = made(reads(image=3), CHANGE)
    assert [w.shape for w in network.encoder.parameters()] == [
        w.shape for w in single.encoder.parameters()
    ]
    dates = images(1, 2, 3, 16, 16)
    forth, back = (network({"image": one})["change"] for one in (dates, dates.flip(1)))
    assert forth.shape == (1, 2, 16, 16)
    assert not torch.allclose(forth, back)


def test_two_assets_of_the_same_bands_are_two_dates():
    by_frames = made(reads(image=(3, 2)), CHANGE)
    by_assets = made(reads(before=3, after=3), CHANGE)
    by_assets.load_state_dict(by_frames.state_dict())
    dates = images(1, 2, 3, 16, 16)
    assert torch.equal(
        by_assets({"before": dates[:, 0], "after": dates[:, 1]})["change"],
        by_frames({"image": dates})["change"],
    )


def test_dates_can_be_stacked_instead():
    network = made(reads(image=(3, 2)), CHANGE, **UNET, time="stack")
    assert network({"image": images(1, 2, 3, 16, 16)})["change"].shape == (1, 2, 16, 16)


@pytest.mark.parametrize("fusion", ["early", "middle", "late"])
def test_every_network_embeds(fusion):
    network = made(reads(optical=3, radar=2), LABEL, **CNN, fusion=fusion)
    batch = {"optical": images(2, 3, 16, 16), "radar": images(2, 2, 16, 16)}
    assert network.embed(batch).shape == (2, 64 if fusion == "late" else 32)
    assert network.encoder_state()


def test_the_same_seed_builds_the_same_bits():
    batch = {"image": images(2, 3, 16, 16)}
    first, again, other = (made(reads(image=3), seed=seed)(batch)["mask"] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_a_network_answers_for_a_sample_does_not_hang_on_its_neighbours():
    network, batch = made(reads(image=3)), images(3, 3, 16, 16)
    together = network({"image": batch})["mask"]
    assert torch.allclose(together[1:2], network({"image": batch[1:2]})["mask"], atol=1e-5)


def test_half_precision_and_copies_do_not_break_it():
    network = made(reads(image=3, radar=2), MASK, LABEL, **VIT)
    batch = {"image": images(1, 3, 18, 18), "radar": images(1, 2, 18, 18)}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = network(batch)
    assert torch.isfinite(half["mask"].float()).all()
    assert torch.allclose(half["mask"].float(), network(batch)["mask"], atol=0.2)
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for weight in twin.parameters():
            weight.zero_()
    assert network(batch)["mask"].abs().sum() > 0
    again = pickle.loads(pickle.dumps(network))  # noqa: S301 — made a line before
    assert torch.equal(again(batch)["mask"], network(batch)["mask"])


def test_it_compiles_as_one_graph():
    network = made(reads(image=3, radar=(2, 3)), MASK, **UNET, fusion="middle")
    batch = {"image": images(1, 3, 16, 16), "radar": images(1, 3, 2, 16, 16)}
    compiled = torch.compile(network, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(batch)["mask"], network(batch)["mask"], atol=1e-5)


def test_wrong_bands_are_named_with_what_to_give():
    network = made(reads(image=3))
    with pytest.raises(InvalidInputError, match="has 4 bands; the network reads 3") as raised:
        network({"image": images(1, 4, 8, 8)})
    assert "b0, b1, b2" in raised.value.hint
    with pytest.raises(InvalidInputError, match="no asset of the network"):
        network({"other": images(1, 3, 8, 8)})
    with pytest.raises(InvalidInputError, match="5 time steps"):
        network({"image": images(1, 5, 3, 8, 8)})
    with pytest.raises(InvalidInputError, match="shape"):
        network({"image": images(3, 8, 8)})


def test_names_that_are_not_there_bring_the_nearest():
    with pytest.raises(InvalidInputError, match="no factory 'lap'") as raised:
        made(reads(image=3), factory="lap")
    assert "lab" in raised.value.hint
    with pytest.raises(InvalidInputError, match="no network of the lab 'unnet'") as raised:
        made(reads(image=3), name="unnet")
    assert "unet" in raised.value.hint
    with pytest.raises(InvalidInputError, match="has no argument 'widht'") as raised:
        made(reads(image=3), widht=8)
    assert "width" in raised.value.hint


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ({"width": 10**9}, "is 1000000000"),
        ({"width": 600}, "width is 600"),
        ({"dropout": float("nan")}, "is nan"),
        ({"width": "32"}, "width is 32"),
        ({"depth": True}, "depth is True"),
        ({"fusion": "sideways"}, "no fusion 'sideways'"),
        ({"time": "native"}, "takes single images"),
        ({"time": "difference"}, "difference is of two dates"),
        ({"modality_dropout": 1}, "modality_dropout is 1"),
        ({"name": "vit", "width": 30}, "cannot be shared"),
        ({"name": ["unet"]}, "no network of the lab"),
    ],
)
def test_arguments_out_of_range_are_refused(args, said):
    with pytest.raises(InvalidInputError, match=said):
        made(reads(image=(3, 3)), **args)


def test_series_of_two_lengths_cannot_be_stacked():
    contract = reads(optical=(3, 4), radar=(2, 6))
    with pytest.raises(InvalidInputError, match="2 lengths") as raised:
        made(contract, **UNET, fusion="early")
    assert "middle" in raised.value.hint
    batch = {"optical": images(1, 4, 3, 8, 8), "radar": images(1, 6, 2, 8, 8)}
    assert made(contract, **UNET)(batch)["mask"].shape == (1, 3, 8, 8)


def test_heads_that_cannot_stand_together_are_refused():
    with pytest.raises(InvalidInputError, match="cannot be in one network"):
        made(reads(image=3), HIDDEN, MASK, **VIT)
    with pytest.raises(InvalidInputError, match="two heads have one name"):
        made(reads(image=3), MASK, replace(LABEL, name="mask"))
    with pytest.raises(InvalidInputError, match="has no head"):
        build(Architecture(factory="lab"), contract=reads(image=3), heads=())
    with pytest.raises(InvalidInputError, match="needs the lab's transformer"):
        made(reads(image=3), HIDDEN, **UNET)
    with pytest.raises(InvalidInputError, match="no classes of objects"):
        made(reads(image=3), replace(SHIPS, classes=()))
