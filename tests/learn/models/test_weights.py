"""Weights come out of a file as they went in; how they are harmful is in tests/hostile."""

import pytest
import torch

from registry.errors import InvalidInputError, NotFoundError, UnavailableError
from registry.learn.models import adding, shelf, weights
from registry.learn.models.adding import HubFile, add
from registry.learn.models.opening import network


def tensors():
    torch.manual_seed(0)
    return {
        "encoder.weight": torch.randn(4, 3),
        "encoder.half": torch.randn(5).bfloat16(),
        "encoder.scalar": torch.tensor(3.5),
        "encoder.empty": torch.zeros(0, 2),
        "encoder.count": torch.tensor([1, 2], dtype=torch.int64),
        "encoder.view": torch.randn(4, 4).T,
    }


def alike(one, other):
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one
    )


def test_safetensors_give_back_what_was_written_and_are_the_same_bytes_again(tmp_path):
    for name in ("a", "b"):
        weights.write(tensors(), tmp_path / name)
    assert alike(weights.read(tmp_path / "a"), tensors())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_tensors_that_share_memory_are_written_once_each(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    given = {"whole": whole, "same": whole, "row": whole[1]}
    weights.write(given, tmp_path / "a")
    assert alike(weights.read(tmp_path / "a"), given)


def test_a_header_says_types_and_shapes_without_a_tensor_being_read(tmp_path):
    weights.write(tensors(), tmp_path / "a")
    said = weights.header(tmp_path / "a")
    assert said["encoder.weight"] == ("F32", (4, 3))
    assert said["encoder.half"] == ("BF16", (5,))


def test_a_header_of_any_length_is_told_from_a_pickle(tmp_path):
    lengths = set()
    for letters in range(1, 420, 8):
        weights.write({"x" * letters: torch.ones(1)}, tmp_path / "a")
        assert weights.read(tmp_path / "a")
        lengths.add((tmp_path / "a").read_bytes()[0])
    assert 0x80 in lengths  # as pickles begin


@pytest.mark.parametrize("wrong", [{}, {"a": 3}, {"a": torch.eye(2).to_sparse()}])
def test_what_is_no_plain_tensor_is_not_written(tmp_path, wrong):
    with pytest.raises(InvalidInputError):
        weights.write(wrong, tmp_path / "a")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_checkpoint_is_converted_once_and_kept_by_its_hash(tmp_path, cache, monkeypatch):
    training = {"state_dict": tensors(), "optimizer": {"state": torch.ones(9)}, "epoch": 3}
    torch.save(training, tmp_path / "net.ckpt")
    digest = weights.digest(tmp_path / "net.ckpt")
    assert alike(weights.read(tmp_path / "net.ckpt", sha256=digest.upper()), tensors())
    assert [one.name for one in (cache / "weights").iterdir()] == [f"{digest}.safetensors"]
    monkeypatch.setattr(weights, "_run", None)  # nothing is started the second time
    assert alike(weights.read(tmp_path / "net.ckpt"), tensors())


def test_an_old_checkpoint_and_nested_names_are_read_as_well(tmp_path, cache):
    nested = {"encoder": {"weight": torch.ones(2), "deep": {"bias": torch.zeros(1)}}}
    torch.save(nested, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert set(weights.read(tmp_path / "old.pth")) == {"encoder.weight", "encoder.deep.bias"}


# --------------------------------------------------------------------- adding
def test_weights_of_a_file_become_a_model_for_trainings_to_begin_with(lake, tmp_path):
    weights.write(tensors(), tmp_path / "prithvi.safetensors")
    model = add(lake, tmp_path / "prithvi.safetensors", "prithvi", licence="Apache-2.0")
    assert model.ref == "prithvi@v1"
    assert model.card.licence == "Apache-2.0"
    assert model.card.recipe["source"] == "prithvi.safetensors"
    assert model.card.recipe["source_sha256"] == weights.digest(tmp_path / "prithvi.safetensors")
    assert alike(weights.read(model.path(shelf.WEIGHTS)), tensors())
    with pytest.raises(InvalidInputError, match="without a network"):
        network(model)


def test_weights_of_a_known_network_are_compared_with_it(lake, parts, tmp_path):
    card = parts.card(metrics={"iou": 0.9})
    state = parts.network(card).state_dict()
    weights.write(state, tmp_path / "a.safetensors")
    model = add(lake, str(tmp_path / "a.safetensors"), "theirs", card=card)
    assert (model.card.metrics, model.card.lineage) == ({}, None)
    assert alike(dict(network(model).state_dict()), dict(state))
    other = parts.card(contract=parts.reads("B03", "B08", "B11"))
    with pytest.raises(InvalidInputError, match="not of that network"):
        add(lake, str(tmp_path / "a.safetensors"), "theirs", card=other)


def test_another_file_than_was_named_is_not_added(lake, tmp_path):
    weights.write(tensors(), tmp_path / "a.safetensors")
    with pytest.raises(weights.ChangedWeightsError):
        add(lake, tmp_path / "a.safetensors", "prithvi", sha256="ab" * 32)
    with pytest.raises(NotFoundError):
        add(lake, tmp_path / "gone.safetensors", "prithvi")
    assert shelf.names(lake) == []


@pytest.mark.parametrize(
    "address",
    ["hf://", "hf://owner", "hf://owner/name", "hf://owner/name/../x", "hf://o/n/f@a b",
     "hf://o/n/f@x;y", "https://o/n/f", "hf://../../etc/passwd", "hf://o//f"],
)  # fmt: skip
def test_what_names_no_file_of_a_hub_is_refused(address):
    with pytest.raises(InvalidInputError, match="no file on a hub"):
        HubFile.parse(address)


def test_a_file_of_a_hub_is_pinned_to_the_commit_that_it_came_from(lake, tmp_path, monkeypatch):
    import huggingface_hub

    commit, asked = "12" * 20, []
    place = tmp_path / "hub" / "snapshots" / commit
    place.mkdir(parents=True)
    weights.write(tensors(), place / "net.safetensors")

    def download(repository, path, *, revision, cache_dir, local_files_only):
        assert not local_files_only
        asked.append((repository, path, revision))
        return str(place / path)

    monkeypatch.setattr(adding, "_answers", lambda _: True)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    model = add(lake, "hf://owner/name/net.safetensors@main", "prithvi")
    assert asked == [("owner/name", "net.safetensors", "main")]
    assert model.card.recipe["source"] == f"hf://owner/name/net.safetensors@{commit}"


def test_without_a_network_the_hub_is_said_not_to_answer(lake, monkeypatch):
    import huggingface_hub
    from huggingface_hub import errors

    monkeypatch.setattr(adding, "_answers", lambda _: True)
    for error, kind in (
        (errors.LocalEntryNotFoundError("offline"), UnavailableError),
        (OSError("no route"), UnavailableError),
        (errors.EntryNotFoundError("404"), NotFoundError),
        (errors.HFValidationError("bad"), InvalidInputError),
    ):

        def download(*_, error=error, **__):
            raise error

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
        with pytest.raises(kind):
            add(lake, "hf://owner/name/net.pt", "prithvi")
    assert adding.HubFile.parse("hf://owner/name/net.pt").revision is None


def test_a_hub_that_does_not_answer_is_asked_once(lake, tmp_path, monkeypatch, caplog):
    import requests

    asked = []

    def head(address, **_):
        asked.append(address)
        raise requests.ConnectionError

    monkeypatch.setattr(requests, "head", head)
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UnavailableError, match="does not answer, and no copy is kept here"):
        add(lake, "hf://owner/name/net.pt", "prithvi")
    assert len(asked) == 1
    assert caplog.records == []
