"""Files of weights made to harm whoever opens them: each is refused, and nothing of it runs."""

import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import pytest
import torch

from registry.errors import NotFoundError, RegistryError
from registry.learn.models import weights
from registry.learn.models.weights import ChangedWeightsError, WeightsRefusedError


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))


class Calls:
    """What a pickle calls when somebody opens it."""

    def __init__(self, what, *arguments):
        self.what, self.arguments = what, arguments

    def __reduce__(self):
        return self.what, self.arguments


class Builds:
    """The same by the state of an object."""

    def __init__(self, what, *arguments):
        self.call = Calls(what, *arguments)

    def __reduce__(self):
        return dict, (), None, None, iter([("x", self.call)])


def saved(content, **options):
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def rezipped(data, *, compression=zipfile.ZIP_STORED, more=()):
    """The same archive written by hand, with further members."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(stream, "w", compression) as copy,
    ):
        for member in source.infolist():
            copy.writestr(member.filename, source.read(member))
        for name, content in more:
            copy.writestr(name, content)
    return stream.getvalue()


def programs(canary):
    """Checkpoints that leave a canary where they are opened as they ask to be."""
    touch = f"open({str(canary)!r}, 'w').close()"
    shell = f"touch {canary}"
    run = Calls(exec, touch)
    good = saved({"a": torch.ones(2)})
    text = str(canary).encode()
    return {
        "os-system": saved({"a": Calls(os.system, shell)}),
        "os-popen": saved({"a": Calls(os.popen, shell)}),
        "builtins-exec": saved({"a": run}),
        "builtins-eval": saved({"a": Calls(eval, touch)}),  # noqa: S307 — handed over, not called
        "builtins-open": saved({"a": Calls(open, str(canary), "w")}),
        "builtins-import": saved({"a": Calls(__import__, "os")}),
        "at-the-top": saved(run),
        "as-a-key": saved({"a": torch.ones(2), ("k", Calls(eval, repr(touch))): 1}),  # noqa: S307 — handed over, not called
        "beside-weights": saved({"state_dict": {"a": torch.ones(2)}, "epoch": run}),
        "nested-reducers": saved({"a": Calls(tuple, [Calls(list, [run])])}),
        "by-state": saved({"a": Builds(exec, touch)}),
        "legacy-format": saved({"a": run}, _use_new_zipfile_serialization=False),
        "plain-pickle-2": pickle.dumps({"a": run}, protocol=2),
        "plain-pickle-4": pickle.dumps({"a": run}, protocol=4),
        "plain-pickle-5": pickle.dumps({"a": run}, protocol=5),
        "torch-hub": saved({"a": Calls(torch.hub.load, "owner/repository", "entry")}),
        "torch-load": saved({"a": Calls(torch.load, str(canary))}),
        "load-from-bytes": saved({"a": Calls(torch.storage._load_from_bytes, good)}),
        "whole-module": saved(torch.nn.Linear(2, 2)),
        "importlib": saved({"a": Calls(__import__("importlib").import_module, "antigravity")}),
        "inst-instruction": b"\x80\x02(S'touch " + text + b"'\nios\nsystem\n.",
        "second-pickle": rezipped(good, more=[("archive/more.pkl", pickle.dumps(run, 2))]),
        "torchscript": rezipped(good, more=[("archive/code/__torch__.py", b"import os")]),
        "global-with-dots": b"\x80\x02ctorch\nhub.os.system\n(S'touch " + text + b"'\ntR.",
    }


NAMES = sorted(programs(Path("canary")))


@pytest.mark.parametrize("name", NAMES)
def test_a_checkpoint_that_would_run_code_is_refused_and_its_canary_untouched(name, tmp_path):
    canary = tmp_path / "canary"
    file = tmp_path / f"{name}.pt"
    file.write_bytes(programs(canary)[name])

    with pytest.raises(WeightsRefusedError) as refusal:
        weights.read(file)

    assert file.name in refusal.value.problem
    assert "safetensors" in refusal.value.hint
    assert not canary.exists()
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


CHILD = ["os-system", "builtins-eval", "plain-pickle-4", "legacy-format", "whole-module"]


@pytest.mark.parametrize("name", CHILD)
def test_the_limited_process_refuses_it_too_when_nothing_was_seen_before(
    name, tmp_path, monkeypatch
):
    monkeypatch.setattr(weights, "inspect", lambda _: None)
    canary = tmp_path / "canary"
    file = tmp_path / f"{name}.pt"
    file.write_bytes(programs(canary)[name])
    with pytest.raises(WeightsRefusedError):
        weights.read(file)
    assert not canary.exists()


def header(said, data=b""):
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    return struct.pack("<Q", len(text)) + text + data


def one(**changes):
    return {"dtype": "F32", "shape": [2], "data_offsets": [0, 8], **changes}


def bomb():
    return rezipped(
        saved({"a": torch.ones(2)}),
        compression=zipfile.ZIP_DEFLATED,
        more=[("archive/data/9", bytes(64 << 20))],
    )


def overstated():
    """An archive whose list says that a member is large which is not."""
    data = bytearray(rezipped(saved({"a": torch.ones(2)})))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 1 << 31)
    return bytes(data)


LIES = {
    "empty.safetensors": b"",
    "short.safetensors": b"\x08\0\0",
    "longer-header-than-file.safetensors": struct.pack("<Q", 1 << 20) + b"{}",
    "endless-header.safetensors": struct.pack("<Q", (1 << 64) - 1) + b"{}",
    "no-json.safetensors": header(b"{nothing}"),
    "no-object.safetensors": header(b"[1, 2]"),
    "nested.safetensors": header(b"[" * 100_000 + b"]" * 100_000),
    "no-tensor.safetensors": header({"__metadata__": {"a": "b"}}),
    "twice.safetensors": header(b'{"a":%s,"a":%s}' % ((json.dumps(one()).encode(),) * 2), bytes(8)),
    "cut.safetensors": header({"a": one()}, bytes(7)),
    "longer.safetensors": header({"a": one()}, bytes(9)),
    "lying-shape.safetensors": header({"a": one(shape=[1 << 40])}, bytes(8)),
    "negative-shape.safetensors": header({"a": one(shape=[-2])}, bytes(8)),
    "huge-product.safetensors": header({"a": one(shape=[1 << 61, 1 << 61])}, bytes(8)),
    "many-axes.safetensors": header({"a": one(shape=[1] * 99 + [2])}, bytes(8)),
    "shape-of-text.safetensors": header({"a": one(shape=["2"])}, bytes(8)),
    "shape-of-truth.safetensors": header({"a": one(shape=[True, 2])}, bytes(8)),
    "no-type.safetensors": header({"a": one(dtype="PICKLE")}, bytes(8)),
    "type-of-list.safetensors": header({"a": one(dtype=["F32"])}, bytes(8)),
    "beyond.safetensors": header({"a": one(data_offsets=[8, 16])}, bytes(8)),
    "backwards.safetensors": header({"a": one(data_offsets=[8, 0])}, bytes(8)),
    "overlapping.safetensors": header({"a": one(), "b": one(data_offsets=[4, 12])}, bytes(12)),
    "gap.safetensors": header({"a": one(), "b": one(data_offsets=[12, 20])}, bytes(20)),
    "hdf5.h5": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "bomb.pt": bomb(),
    "overstated.pt": overstated(),
    "cut.pt": saved({"a": torch.ones(64)})[:-40],
    "cut-pickle.pt": pickle.dumps({"a": 1}, 2)[:-1],
    "zip-of-text.pt": rezipped(rezipped(saved({})), more=[("b/data.pkl", b".")]),
    "two-of-one-name.pt": None,
    "gzip.pt": zlib.compress(saved({"a": torch.ones(2)})),
}


@pytest.mark.parametrize("name", sorted(LIES))
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_a_file_that_lies_about_what_it_holds_is_refused(name, tmp_path):
    file = tmp_path / name
    data = LIES[name]
    if data is None:
        good = saved({"a": torch.ones(2)})
        inner = next(n for n in zipfile.ZipFile(io.BytesIO(good)).namelist() if "pkl" in n)
        data = rezipped(good, more=[(inner, b"\x80\x02}.")])
    file.write_bytes(data)
    with pytest.raises(WeightsRefusedError):
        weights.read(file)
    assert not list((tmp_path / "cache").rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("expanded", {"a": torch.ones(1).expand(1 << 40)}),
        ("nothing", {"epoch": 3, "name": "unet"}),
        ("sparse", {"a": torch.eye(3).to_sparse()}),
    ],
)
def test_tensors_that_are_larger_than_their_file_or_none_at_all_are_refused(
    name, content, tmp_path
):
    file = tmp_path / f"{name}.pt"
    file.write_bytes(saved(content))
    with pytest.raises(WeightsRefusedError):
        weights.read(file)


def test_a_name_that_a_terminal_would_obey_is_not_printed_as_it_is(tmp_path):
    file = tmp_path / "a.safetensors"
    file.write_bytes(header({"\x1b[2J": one(shape=[3])}, bytes(8)))
    with pytest.raises(WeightsRefusedError) as refusal:
        weights.read(file)
    assert "\x1b" not in refusal.value.problem


def test_a_file_that_was_exchanged_is_told_by_its_hash(tmp_path):
    file = tmp_path / "a.safetensors"
    weights.write({"a": torch.ones(2)}, file)
    with pytest.raises(ChangedWeightsError) as refusal:
        weights.read(file, sha256="0" * 64)
    assert "SHA-256" in refusal.value.problem


@pytest.mark.parametrize("path", ["missing.pt", "missing\0.pt", "."])
def test_what_is_no_file_is_said_to_be_none(path, tmp_path):
    with pytest.raises(RegistryError) as refusal:
        weights.read(tmp_path / path)
    assert isinstance(refusal.value, NotFoundError) or "is no file" in refusal.value.problem


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.pt")
    with pytest.raises(RegistryError):
        weights.read(tmp_path / "pipe.pt")
