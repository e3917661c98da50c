"""Models on a server are versions as in a folder, and travel between the two."""

import torch

from registry.catalog.registry import Registry
from registry.lake import init
from registry.lake import transfer as transfers
from registry.lake.names import MODELS
from registry.learn.loading.contract import Band, Contract, Input
from registry.learn.models import shelf, weights
from registry.learn.models.architecture import Architecture
from registry.learn.models.card import Card

CARD = Card(
    name="tiny-net",
    architecture=Architecture(factory="weights"),
    heads=(),
    contract=Contract(inputs=(Input(asset="image", bands=(Band(name="B03"),)),)),
)


def saved(registry, value):
    return shelf.save(registry, CARD, {"a": torch.full((3,), value)}, message=f"value {value}")


def value(registry, ref):
    return weights.read(shelf.resolve(registry, ref).path(shelf.WEIGHTS))["a"][0].item()


def test_a_model_is_kept_withdrawn_and_brought_to_a_folder_and_back(lake, tmp_path):
    server, folder = Registry(lake=lake), Registry(lake=init(str(tmp_path / "folder")))
    assert [saved(server, one).ref for one in (1.0, 2.0, 2.0)] == [
        "tiny-net@v1", "tiny-net@v2", "tiny-net@v2",
    ]  # fmt: skip
    assert (shelf.names(server), server.names()) == (["tiny-net"], [])
    assert (value(server, "tiny-net@v1"), value(server, "tiny-net")) == (1.0, 2.0)

    transfers.push(lake, f"{MODELS}tiny-net", to=folder.lake)
    assert value(folder, "tiny-net") == 2.0
    assert saved(folder, 3.0).tag == "v3"
    shelf.withdraw(folder, "tiny-net@v2", "old")
    transfers.push(folder.lake, f"{MODELS}tiny-net", to=lake)
    assert value(server, "tiny-net") == 3.0
    assert shelf.resolve(server, "tiny-net@v2").tombstone.reason == "old"
    for tag in ("v1", "v2", "v3"):
        here, there = (shelf.resolve(one, f"tiny-net@{tag}") for one in (server, folder))
        assert here.version.content_id == there.version.content_id
    assert list(shelf.repository_of(server, "tiny-net").fsck()) == []
