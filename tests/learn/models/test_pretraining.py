"""Learning without labels, and boxes: the networks that come with losses of their own."""

import numpy as np
import pytest
import torch

from registry.errors import InvalidInputError
from registry.learn.loading.batch import Boxes
from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.models.architecture import Architecture, Head, HeadTask
from registry.learn.models.factory import build, freeze, initialise

HIDDEN = Head(name="reconstruction", task=HeadTask.RECONSTRUCTION)
VIEWS = Head(name="contrastive", task=HeadTask.CONTRASTIVE)
SHIPS = Head(name="detection", task=HeadTask.DETECTION, classes=("ship", "island"))
MASK = Head(name="mask", task=HeadTask.SEGMENTATION, classes=("land", "water"))
LABEL = Head(name="label", task=HeadTask.CLASSIFICATION, classes=("a", "b"))
VIT = {"name": "vit", "width": 32, "depth": 2, "patch": 4, "heads": 2}


def reads(**assets):
    return Contract(
        inputs=tuple(
            Input(
                asset=asset,
                bands=tuple(Band(name=f"b{number}") for number in range(said[0])),
                frames=said[1],
            )
            for asset, said in assets.items()
        )
    )


def made(contract, *heads, factory="lab", **args):
    torch.manual_seed(0)
    return build(Architecture(factory=factory, args=args or VIT), contract=contract, heads=heads)


def seeded(number=0):
    return torch.Generator().manual_seed(number)


def fields(count=8, bands=6, side=16):
    """Smooth images: a few waves of a random phase."""
    phase = torch.rand(count, bands, 1, 1, generator=seeded(5)) * 6
    along = torch.linspace(0, 6, side)
    return torch.sin(along[None, None, :, None] + phase) + torch.cos(along[None, None, None, :])


def trained(network, batch, *, steps, rate=3e-3):
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate)
    generator, course = seeded(), []
    for _ in range(steps):
        loss = sum(network.losses(batch, generator).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        course.append(loss.item())
    return course


def unused(network):
    return [
        name
        for name, weight in network.named_parameters()
        if weight.requires_grad and weight.grad is None
    ]


def test_a_masked_autoencoder_learns_to_fill_in_what_was_hidden():
    network = made(reads(hls=(6, None)), HIDDEN)
    course = trained(network, {"hls": fields()}, steps=60)
    assert unused(network) == []
    assert np.mean(course[-5:]) < 0.6 * np.mean(course[:5])


def test_the_same_generator_hides_the_same():
    network, batch = made(reads(hls=(6, None)), HIDDEN), {"hls": fields()}
    first, again, other = (
        network.losses(batch, seeded(n))["reconstruction"].item() for n in (1, 1, 2)
    )
    assert first == again != other


@pytest.mark.parametrize("how", ["said", "nan", "zero"])
def test_pixels_without_data_do_not_count(how):
    network = made(reads(hls=(3, None)), HIDDEN).eval()
    whole = fields(bands=3)
    gap = torch.zeros(8, 1, 16, 16, dtype=torch.bool)
    gap[:, :, :7, :9] = True
    empty = {"said": 0.0, "nan": float("nan"), "zero": 0.0}[how]
    batch = {"hls": torch.where(gap, empty, whole)}
    if how == "said":
        batch["hls_observed"] = ~gap[:, 0]
    losses = network.losses(batch, seeded())["reconstruction"]
    assert torch.isfinite(losses)
    wanted, mean, _ = network._wanted(*network._images(batch)[:2])
    weight = network._patches(network._images(batch)[1])
    assert weight.sum() == (~gap).sum() * 3
    # the first patch has no pixel, one at the rim has the mean of what was observed alone
    assert weight[:, 0].sum() == 0
    rim = (~gap)[0, 0, 4:8, 8:12]
    assert torch.allclose(mean[0, 4 * 1 + 2], whole[0, :, 4:8, 8:12][:, rim].mean(), atol=1e-5)
    assert torch.isfinite(wanted).all()


def test_an_image_without_any_data_costs_nothing():
    network = made(reads(hls=(3, None)), HIDDEN)
    loss = network.losses({"hls": torch.zeros(2, 3, 16, 16)}, seeded())["reconstruction"]
    assert loss.item() == 0
    loss.backward()


@pytest.mark.parametrize(
    ("contract", "batch", "shape"),
    [
        (reads(a=(3, None)), {"a": (2, 3, 17, 19)}, (2, 3, 17, 19)),
        (reads(a=(3, 4)), {"a": (2, 4, 3, 16, 16)}, (2, 4, 3, 16, 16)),
        (
            reads(a=(3, None), b=(2, None)),
            {"a": (2, 3, 16, 16), "b": (2, 2, 16, 16)},
            (2, 5, 16, 16),
        ),
        (reads(a=(3, None), b=(2, None)), {"b": (2, 2, 16, 16)}, (2, 5, 16, 16)),
        (
            reads(a=(3, 2), b=(1, None)),
            {"a": (2, 2, 3, 16, 16), "b": (2, 1, 16, 16)},
            (2, 2, 4, 16, 16),
        ),
    ],
    ids=["one", "series", "two", "one missing", "series and still"],
)
def test_any_assets_can_be_rebuilt(contract, batch, shape):
    network = made(contract, HIDDEN)
    batch = {name: torch.randn(one, generator=seeded(3)) for name, one in batch.items()}
    assert torch.isfinite(network.losses(batch, seeded())["reconstruction"])
    assert network(batch)["reconstruction"].shape == shape
    assert network.embed(batch).shape == (2, 32)


def test_rebuilding_keeps_each_pixel_in_its_place():
    network = made(reads(hls=(3, None)), HIDDEN)
    images = torch.randn(2, 3, 12, 8, generator=seeded())
    assert torch.equal(network._pictures(network._patches(images), images), images)


def test_contrastive_learning_tells_samples_apart():
    network = made(reads(hls=(3, None)), VIEWS, name="cnn", width=8, depth=2)
    batch = {"hls": fields(bands=3) + torch.arange(8)[:, None, None, None] / 2 - 2}
    course = trained(network, batch, steps=40)
    assert unused(network) == []
    assert np.mean(course[-5:]) < 0.7 * np.mean(course[:5])
    vectors = network(batch)["contrastive"]
    assert torch.allclose(vectors.norm(dim=1), torch.ones(8), atol=1e-5)


@pytest.mark.parametrize("fusion", ["early", "middle", "late"])
def test_contrastive_learning_takes_several_assets_and_series(fusion):
    contract = reads(optical=(3, 2), radar=(2, None))
    network = made(contract, VIEWS, name="cnn", width=8, depth=1, fusion=fusion)
    batch = {
        "optical": torch.randn(3, 2, 3, 16, 16, generator=seeded()),
        "optical_valid": torch.tensor([[1, 1], [1, 0], [1, 1]]).bool(),
        "radar": torch.randn(3, 2, 16, 16, generator=seeded()),
    }
    loss = network.losses(batch, seeded())["contrastive"]
    assert torch.isfinite(loss)
    loss.backward()
    assert unused(network) == []


def test_a_view_shows_one_place_in_all_its_assets():
    from registry.learn.models.networks.contrasting import _view

    place = torch.arange(1, 257).float().reshape(1, 1, 16, 16).expand(4, -1, -1, -1)
    view = _view({"a": place.clone(), "b": 1000 * place}, seeded())
    for one, two in zip(view["a"], view["b"], strict=True):
        assert torch.corrcoef(torch.stack([one.flatten(), two.flatten()]))[0, 1] > 0.99
    assert not torch.equal(view["a"][0], view["a"][1])


def test_gaps_stay_gaps_in_every_view():
    from registry.learn.models.networks.contrasting import _view

    image = torch.ones(2, 1, 16, 16)
    image[..., :8] = 0
    view = _view({"a": image}, seeded())["a"]
    assert 0.1 < (view == 0).float().mean() < 0.9


@pytest.mark.parametrize("args", [VIT, {"name": "cnn", "width": 8, "depth": 2}], ids=["vit", "cnn"])
def test_weights_go_on_from_pretraining_to_labels(args):
    head = HIDDEN if args is VIT else VIEWS
    first, then = made(reads(hls=(6, None)), head, **args), made(reads(hls=(6, None)), MASK, **args)
    with torch.no_grad():
        for weight in first.parameters():
            weight.add_(1)
    loaded, missing = initialise(then, first.encoder_state())
    assert len(loaded) == len(first.encoder_state())
    assert not any(name.startswith("encoder.") for name in missing)
    batch = {"hls": fields(2)}
    assert torch.allclose(then.eval().embed(batch), first.eval().embed(batch), atol=1e-4)


def test_weights_of_a_whole_pretraining_network_find_their_place_too():
    first, then = made(reads(hls=(6, None)), HIDDEN), made(reads(hls=(6, None)), MASK)
    wrapped = {f"model.{name}": weight for name, weight in first.state_dict().items()}
    loaded, missing = initialise(then, wrapped)
    assert {name.removeprefix("encoder.0.") for name in loaded} == set(first.encoder_state())
    assert not any(name.startswith("encoder.") for name in missing)


def test_several_encoders_begin_with_the_same_weights():
    first = made(reads(hls=(6, None)), HIDDEN)
    then = made(reads(before=(6, None), after=(6, None)), MASK, **VIT, fusion="middle")
    loaded, _ = initialise(then, first.encoder_state())
    assert len(loaded) == 2 * len(first.encoder_state())


def test_other_classes_keep_their_own_head():
    other = Head(name="mask", task=HeadTask.SEGMENTATION, classes=("a", "b", "c"))
    first, then = made(reads(hls=(6, None)), MASK), made(reads(hls=(6, None)), other)
    _, missing = initialise(then, first.state_dict())
    assert missing == ("answers.0.answer.weight", "answers.0.answer.bias")
    with pytest.raises(InvalidInputError, match="of 50 tensors"):
        initialise(then, first.state_dict(), strict=True)


def test_weights_of_something_else_are_refused():
    with pytest.raises(InvalidInputError, match="the weights have 0"):
        initialise(made(reads(hls=(6, None)), MASK), {"conv.weight": torch.zeros(1, 2, 3)})


def test_a_frozen_encoder_stays_as_it_is():
    network = made(reads(hls=(3, None)), MASK, name="unet", width=8, depth=1)
    frozen = freeze(network, "encoder")
    before = {name: one.clone() for name, one in network.encoder.state_dict().items()}
    optimiser = torch.optim.SGD([w for w in network.parameters() if w.requires_grad], lr=0.1)
    for _ in range(2):
        network.train()
        network({"hls": fields(2, bands=3)})["mask"].square().sum().backward()
        optimiser.step()
    assert frozen
    assert all(torch.equal(one, before[name]) for name, one in network.encoder.state_dict().items())
    assert any(weight.grad is not None for weight in network.decoder.parameters())
    network.encoder.requires_grad_(requires_grad=True)  # thawed
    network.train()({"hls": fields(2, bands=3)})
    assert all(layer.training for layer in network.encoder.modules())
    with pytest.raises(InvalidInputError, match="no part 'spine'"):
        freeze(network, "spine")


# ------------------------------------------------------------------------------------------ boxes
def squares(count=6, side=32):
    """Bright squares, of two sizes for two classes, and where they are."""
    generator = seeded(7)
    images, boxes = 0.1 * torch.randn(count, 2, side, side, generator=generator), []
    for number in range(count):
        kind = number % 2
        size = (8, 14)[kind]
        x, y = torch.randint(0, side - size, (2,), generator=generator).tolist()
        images[number, kind, y : y + size, x : x + size] += 3
        boxes.append(
            Boxes(
                corners=np.array([[x, y, x + size, y + size]], np.float32),
                classes=np.array([kind], np.int64),
            )
        )
    return images, tuple(boxes)


def test_squares_are_found_where_they_are():
    torch.manual_seed(0)
    network = made(reads(image=(2, None)), SHIPS, name="unet", width=16, depth=3)
    images, boxes = squares()
    optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3)
    for _ in range(70):
        loss = sum(network.losses({"image": images}, boxes).values())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert unused(network) == []
    with torch.no_grad():
        found = network.eval()({"image": images})["detection"]
    for one, true in zip(found, boxes, strict=True):
        best = one["boxes"][0].numpy()
        assert one["labels"][0] == true.classes[0]
        assert np.abs(best - true.corners[0]).max() < 3
        assert one["scores"][0] >= one["scores"][-1]


def test_boxes_that_lost_their_area_still_learn():
    network = made(reads(image=(2, None)), SHIPS, name="cnn", width=8, depth=2).train()
    last = network.fcos.head.regression_head.bbox_reg
    (distances,) = (one for one in last.modules() if isinstance(one, torch.nn.Conv2d))
    torch.nn.init.constant_(distances.bias, -4.0)  # of the far end of a step that was too long
    images, boxes = squares()
    network.losses({"image": images}, boxes)["box"].backward()
    assert distances.weight.grad.abs().max() > 0


@pytest.mark.parametrize(("finest", "strides"), [(1, [1, 2, 4]), (2, [2, 4]), (4, [4]), (8, [4])])
def test_objects_are_looked_for_on_no_finer_level_than_asked(finest, strides):
    network = made(reads(image=(2, None)), SHIPS, name="cnn", width=8, depth=2, finest=finest)
    assert [network.network.strides[level] for level in network.levels] == strides


@pytest.mark.parametrize(
    ("factory", "args"),
    [("lab", VIT), ("lab", {"name": "cnn", "width": 8, "depth": 3})],
    ids=["vit", "cnn"],
)
def test_boxes_lie_inside_images_of_any_size(factory, args):
    network = made(reads(image=(2, None)), SHIPS, LABEL, factory=factory, **args).eval()
    given = network({"image": torch.randn(2, 2, 37, 41, generator=seeded())})
    assert given["label"].shape == (2, 2)
    corners = torch.cat([one["boxes"] for one in given["detection"]])
    assert corners.min() >= 0
    assert corners[:, [0, 2]].max() <= 41
    assert corners[:, [1, 3]].max() <= 37


def test_an_image_without_objects_is_a_lesson_too():
    network = made(reads(image=(2, None)), SHIPS, name="unet", width=8, depth=3)
    empty = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.int64)}
    flat = {"boxes": torch.tensor([[3.0, 3.0, 3.0, 9.0]]), "labels": torch.tensor([0])}
    losses = network.losses({"image": torch.randn(2, 2, 32, 32, generator=seeded())}, [empty, flat])
    assert losses["classification"] > 0
    assert losses["box"] == 0
    sum(losses.values()).backward()
    assert unused(network) == []


def test_a_class_that_the_head_lacks_is_named():
    network = made(reads(image=(2, None)), SHIPS, name="unet", width=8, depth=2)
    wrong = [{"boxes": torch.tensor([[1.0, 1, 5, 5]]), "labels": torch.tensor([2])}]
    with pytest.raises(InvalidInputError, match="class 2; the head has 2"):
        network.losses({"image": torch.zeros(1, 2, 16, 16)}, wrong)
