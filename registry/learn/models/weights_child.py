"""The limited process that opens PyTorch's checkpoints; started by ``weights``, never by hand.

It takes its limits before it loads anything: no network, no core dumps, little memory, little
time. It reads with the weights-only unpickler alone and writes one safetensors file, which its
parent checks.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn

from registry.curate.formats.child import WithoutPandas, confine, end_with

__all__ = ["main"]

_ROOTS: Final = ("state_dict", "model_state_dict", "model", "module", "network", "net", "weights")
_ASKING: Final = (
    "Unsupported global: GLOBAL ",
    "Unsupported class ",
    "Trying to call reduce for unrecognized function ",
)
_DEEPEST: Final = 6
_FILES: Final = 256


def main() -> None:
    """Convert the checkpoint that the job on standard input names."""
    job = json.load(sys.stdin)
    confine(job["memory"])
    resource.setrlimit(resource.RLIMIT_CPU, (job["seconds"], job["seconds"] + 5))
    end_with(job["parent"])
    sys.meta_path.insert(0, WithoutPandas())

    import pickle

    import torch

    torch.set_num_threads(1)
    try:
        found = torch.load(job["path"], map_location="cpu", weights_only=True, mmap=False)
        _write(found, job["out"])
    except pickle.UnpicklingError as error:
        _refuse(_why(str(error)))
    except MemoryError:
        _refuse("takes more memory to open than a checkpoint may")
    # Whatever else a foreign file makes torch raise ends this process; its parent reads why.


def _why(said: str) -> str:
    # The name of what it asks for, out of torch's page of advice on how to open it all the same.
    for begin in _ASKING:
        if begin in said:
            name = said.partition(begin)[2].split()[0].strip("`'\",.")
            return f"would run code when it is opened: it asks for {name}"
    lines = [line.strip() for line in said.splitlines() if "WeightsUnpickler error" in line]
    return f"holds more than numbers: {_first_line(lines[0] if lines else said)}"


def _first_line(said: object) -> str:
    lines = [line.strip() for line in str(said).splitlines() if line.strip()]
    return lines[0][:200] if lines else "no reason given"


def _write(found: object, out: str) -> None:
    import torch
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    for name, tensor in _walk(_chosen(found), "", 0):
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            _refuse(f"holds '{name[:80]}', which is no plain tensor")
        tensors[name] = tensor.detach().contiguous().clone()
    if not tensors:
        _refuse("holds no weights: neither tensors by name nor a state_dict")
    save_file(tensors, out, metadata={"format": "pt"})


def _chosen(found: object) -> object:
    # What of a checkpoint is the network's: optimisers keep tensors as well.
    if isinstance(found, Mapping):
        for name in _ROOTS:
            if isinstance(found.get(name), Mapping):
                return found[name]
    return found


def _walk(found: object, prefix: str, depth: int) -> "Iterator[tuple[str, Any]]":
    import torch

    if not isinstance(found, Mapping) or depth > _DEEPEST:
        return
    for key, value in found.items():
        name = f"{prefix}{key}"
        if name.startswith("optim"):
            continue
        if isinstance(value, torch.Tensor):
            yield name, value
        else:
            yield from _walk(value, f"{name}.", depth + 1)


def _refuse(problem: str) -> NoReturn:
    sys.stderr.write(f"\n{json.dumps({'problem': problem})}")
    sys.stderr.flush()
    os._exit(3)


if __name__ == "__main__":
    main()
