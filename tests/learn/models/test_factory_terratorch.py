"""Foundation models, built offline with random weights; the tiny ones alone."""

import copy

import pytest
import torch

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.models.architecture import Architecture, Head, HeadTask
from registry.learn.models.factory import build, freeze, initialise

MASK = Head(name="mask", task=HeadTask.SEGMENTATION, classes=("land", "burnt"))
LABEL = Head(name="label", task=HeadTask.CLASSIFICATION, classes=("a", "b"))
CHANGE = Head(name="change", task=HeadTask.CHANGE, classes=("same", "burnt"))
SHIPS = Head(name="detection", task=HeadTask.DETECTION, classes=("ship",))
HLS = ("B02", "B03", "B04", "B8A", "B11", "B12")
SENTINEL_2 = (
    "B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12",
)  # fmt: skip


def reads(frames=None, **assets):
    return Contract(
        inputs=tuple(
            Input(asset=asset, bands=tuple(Band(name=band) for band in bands), frames=frames)
            for asset, bands in assets.items()
        )
    )


def made(backbone, *heads, contract=None, **args):
    torch.manual_seed(0)
    architecture = Architecture(factory="terratorch", args={"backbone": backbone, **args})
    contract = contract or reads(hls=HLS)
    return build(architecture, contract=contract, heads=heads or (MASK,), size=(32, 32)).eval()


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("backbone", "head", "args"),
    [
        ("prithvi_eo_tiny", MASK, {}),
        ("prithvi_eo_tiny", MASK, {"decoder": "UperNetDecoder"}),
        ("prithvi_eo_tiny", MASK, {"decoder": "FCNDecoder", "decoder_channels": 16}),
        ("prithvi_eo_tiny", LABEL, {}),
        ("prithvi_eo_v2_tiny_tl", MASK, {}),
        ("terramind_v1_tiny", MASK, {}),
        ("dofa_small_patch16_224", MASK, {}),
    ],
    ids=lambda one: str(getattr(one, "name", one)),
)
def test_each_learns_with_all_its_weights_at_any_size(backbone, head, args):
    network, batch = made(backbone, head, **args).train(), {"hls": images(2, 6, 35, 45)}
    answer = network(batch)[head.name]
    assert answer.shape == ((2, 2, 35, 45) if head is MASK else (2, 2))
    answer.square().mean().backward()
    assert [
        name
        for name, weight in network.named_parameters()
        if weight.requires_grad and weight.grad is None
    ] == []
    assert network.embed(batch).ndim == 2


def test_the_order_of_the_bands_is_the_datas_own():
    straight = made("prithvi_eo_tiny")
    order = [5, 2, 0, 3, 1, 4]
    mixed = made("prithvi_eo_tiny", contract=reads(hls=[HLS[place] for place in order]))
    mixed.load_state_dict(straight.state_dict())
    batch = images(1, 6, 32, 32)
    assert torch.equal(mixed({"hls": batch[:, order]})["mask"], straight({"hls": batch})["mask"])


@pytest.mark.parametrize(
    ("backbone", "bands"), [("prithvi_eo_tiny", HLS), ("terramind_v1_tiny", SENTINEL_2)]
)
def test_weights_of_all_bands_are_cut_to_those_of_the_data(backbone, bands):
    whole = made(backbone, contract=reads(hls=bands))
    three = made(backbone, contract=reads(rgb=("B04", "B03", "B02")))
    state = {f"model.encoder.{name}": one for name, one in whole.encoder_state().items()}
    loaded, missing = initialise(three, state)
    assert not any(name.startswith("encoder.") for name in missing)
    assert len(loaded) == len(whole.encoder_state())
    # with zeros for the bands that it lacks, the whole model sees the same
    batch = images(1, 3, 32, 32)
    padded = torch.zeros(1, len(bands), 32, 32)
    padded[:, bands.index("B02") : bands.index("B04") + 1] = batch.flip(1)
    assert torch.allclose(three.embed({"rgb": batch}), whole.embed({"hls": padded}), atol=1e-4)


def test_a_masked_autoencoder_of_prithvi_begins_a_network():
    from terratorch.registry import TERRATORCH_FULL_MODEL_REGISTRY

    torch.manual_seed(3)
    pretrained = TERRATORCH_FULL_MODEL_REGISTRY.build(
        "prithvi_eo_v2_tiny_tl_mae", pretrained=False, num_frames=1, decoder_depth=1
    )
    network = made("prithvi_eo_v2_tiny_tl")
    state = pretrained.state_dict()
    _, missing = initialise(network, state)
    assert not any(name.startswith("encoder.") for name in missing)
    mine = network.encoder_state()
    for name in ("patch_embed.proj.weight", "blocks.11.attn.qkv.weight", "norm.weight"):
        assert torch.equal(mine[f"inner.{name}"], state[f"encoder.{name}"])


def test_time_steps_go_into_prithvi_itself():
    network = made("prithvi_eo_tiny", contract=reads(frames=3, hls=HLS))
    batch = {"hls": images(2, 3, 6, 32, 32)}
    assert network(batch)["mask"].shape == (2, 2, 32, 32)
    assert network.embed(batch).shape == (2, 3 * 256)
    with pytest.raises(InvalidInputError, match="4 time steps; the encoder takes 3"):
        network({"hls": images(2, 4, 6, 32, 32)})
    alone = made("prithvi_eo_tiny", contract=reads(frames=3, hls=HLS), time="attention")
    assert alone({"hls": images(2, 4, 6, 32, 32)})["mask"].shape == (2, 2, 32, 32)


def test_two_dates_and_boxes_by_a_foundation_model():
    network = made("prithvi_eo_tiny", CHANGE, contract=reads(frames=2, hls=HLS))
    assert network({"hls": images(1, 2, 6, 32, 32)})["change"].shape == (1, 2, 32, 32)
    found = made("prithvi_eo_tiny", SHIPS)({"hls": images(1, 6, 64, 64)})
    assert found["detection"][0]["boxes"].shape[1] == 4


def test_terramind_hears_modalities_together_and_does_without_one():
    contract = reads(optical=HLS, radar=("VV", "VH"), height=("dem",))
    network = made("terramind_v1_tiny", contract=contract)
    batch = {
        "optical": images(2, 6, 32, 48),
        "radar": images(2, 2, 32, 48),
        "height": images(2, 1, 32, 48),
    }
    every = network(batch)["mask"]
    assert every.shape == (2, 2, 32, 48)
    gone = {name: one for name, one in batch.items() if name != "radar"}
    lacking = network({**batch, "radar_valid": torch.zeros(2).bool()})["mask"]
    assert torch.equal(network(gone)["mask"], lacking)
    assert not torch.allclose(every, lacking)


def test_radar_beside_prithvi_gets_a_small_network_of_its_own():
    contract = reads(hls=HLS, radar=("VV", "VH"))
    network = made("prithvi_eo_tiny", contract=contract, others="vit").train()
    batch = {"hls": images(2, 6, 32, 32), "radar": images(2, 2, 32, 32)}
    network(batch)["mask"].square().mean().backward()
    assert all(weight.grad is not None for weight in network.parameters())
    assert network.eval()({"radar": batch["radar"]})["mask"].shape == (2, 2, 32, 32)
    with pytest.raises(InvalidInputError, match="takes single images"):
        made("prithvi_eo_tiny", contract=reads(3, hls=HLS, radar=("VV", "VH")), others="vit")


def test_a_copy_has_weights_of_its_own():
    network = made("prithvi_eo_tiny")
    twin = copy.deepcopy(network)
    with torch.no_grad():
        for weight in twin.parameters():
            weight.zero_()
    assert network.embed({"hls": images(1, 6, 32, 32)}).abs().sum() > 0
    assert twin.embed({"hls": images(1, 6, 32, 32)}).abs().sum() == 0


def test_half_precision_and_freezing_do_not_break_it():
    network = made("prithvi_eo_tiny").train()
    assert freeze(network, "encoder")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        answer = network({"hls": images(1, 6, 32, 32)})["mask"]
    answer.float().square().mean().backward()
    assert all(weight.grad is None for weight in network.encoder.parameters())
    assert any(weight.grad is not None for weight in network.decoder.parameters())


@pytest.mark.parametrize(
    ("backbone", "bands", "args", "said", "hint"),
    [
        ("prithvi_eo_tinny", HLS, {}, "no backbone of TerraTorch", "prithvi_eo_tiny"),
        ("prithvi_eo_tiny", ("VV", "VH"), {}, "no place for band VV", "leave the band out"),
        ("prithvi_eo_tiny", ("B08", "B8A"), {}, "no place for band", "leave the band out"),
        ("prithvi_eo_tiny", ("one", "two"), {}, "which band 'one'", "bands: [BLUE"),
        ("prithvi_eo_tiny", ("one",), {"bands": ["RED", "BLUE"]}, "bands RED, BLUE", "each once"),
        ("prithvi_eo_tiny", ("one",), {"bands": ["MAROON"]}, "bands MAROON", "RED"),
        ("dofa_small_patch16_224", ("dem",), {}, "wavelengths", "leave the band out"),
        ("terramind_v1_tiny", HLS, {"modalities": {"hls": "S3"}}, "no modality 'S3'", "S2L2A"),
        ("prithvi_eo_tiny", HLS, {"decoder": "Linear"}, "no decoder of TerraTorch", "UNetDecoder"),
        ("prithvi_eo_tiny", HLS, {"ckpt_path": "/etc/passwd"}, "no argument 'ckpt_path'", "take"),
        ("prithvi_eo_tiny", HLS, {"decoder_channels": [8]}, "cannot be built", "four numbers"),
    ],
)
def test_what_a_model_cannot_read_is_an_error_with_the_remedy(backbone, bands, args, said, hint):
    with pytest.raises(InvalidInputError, match=said) as raised:
        made(backbone, contract=reads(hls=bands), **args)
    assert hint in raised.value.hint
