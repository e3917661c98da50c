"""Weights in files: safetensors read directly, everything else opened at arm's length.

Whoever opens a pickle runs what it says. So PyTorch's checkpoints are opened once, by its
weights-only reader in a limited process, and kept as safetensors, which holds numbers alone.
"""

import hashlib
import json
import math
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry.cache import cache_folder
from registry.errors import InvalidInputError, NotFoundError, RejectedError, UnavailableError
from registry.learn.models.pickles import UnwantedError, inspect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

__all__ = [
    "MOST_BYTES", "ChangedWeightsError", "WeightsRefusedError", "as_safetensors", "check",
    "digest", "header", "read", "write",
]  # fmt: skip

MOST_BYTES: Final = 4 << 30
"""How large a checkpoint may be that is converted, in bytes; safetensors may have any size."""

SECONDS: Final = 300.0
"""How long the conversion of a checkpoint may take."""

MEMORY: Final = 6 << 30
"""Address space that opening one may take beside its content, in bytes; PyTorch's own libraries
take half of it."""

_MOST_HEADER: Final = 64 << 20
_MOST_TENSORS: Final = 200_000
_MOST_AXES: Final = 16
_ITEM: Final = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "I16": 2, "F16": 2,
    "BF16": 2, "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8, "C64": 8,
}  # fmt: skip
_ZIP: Final = b"PK\x03\x04"
_PICKLE: Final = b"\x80"
_CHILD: Final = Path(__file__).with_name("weights_child.py")
_ROOT: Final = Path(__file__).parents[3]
_LONGEST: Final = 400
_HINT: Final = "open it nowhere; ask whoever made it for safetensors, which hold numbers alone"


class WeightsRefusedError(RejectedError):
    """A file of weights holds what the lab does not open, or is not what it says."""

    code = "weights-refused"


class ChangedWeightsError(RejectedError):
    """A file of weights is another one than was named by its hash."""

    code = "weights-changed"


def write(tensors: "Mapping[str, Tensor]", path: Path) -> None:
    """Write tensors as safetensors; the same tensors give the same bytes.

    Args:
        tensors: By name; those that share memory are written once each.
        path: The file, which is replaced.

    Raises:
        InvalidInputError: There is none, or one is no plain dense tensor.
    """
    import torch
    from safetensors.torch import save_file

    if not tensors:
        raise InvalidInputError("there are no weights to save", hint="give a network's state_dict")
    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        if getattr(tensor, "layout", None) != torch.strided:
            raise InvalidInputError(
                f"'{name}' is no plain tensor", hint="save what the network's state_dict holds"
            )
        here = tensor.detach().to("cpu").contiguous()
        storage = here.untyped_storage()
        if storage.data_ptr() in seen or storage.nbytes() != here.nbytes:  # memory that is shared
            here = here.clone()
        seen.add(storage.data_ptr())
        plain[name] = here
    save_file(plain, path, metadata={"format": "pt"})


def read(path: Path, *, sha256: str | None = None) -> "dict[str, Tensor]":
    """Return the tensors of a file of weights.

    Args:
        path: Safetensors, or a PyTorch checkpoint, which is converted once: see
            :func:`as_safetensors`.
        sha256: What the file's hash must be, in hex; any if None.

    Returns:
        By name, on the CPU.

    Raises:
        ChangedWeightsError: The hash is another.
        NotFoundError: There is no such file.
        WeightsRefusedError: It is not what it says, or holds more than numbers.
    """  # noqa: DOC501 — a function makes the error
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found = as_safetensors(path, sha256=sha256)
    check(found)
    try:
        tensors: dict[str, Tensor] = load_file(found)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _refused(path, f"cannot be read: {error}") from error
    return tensors


def as_safetensors(path: Path, *, sha256: str | None = None) -> Path:
    """Return a safetensors file with the weights of any file.

    Args:
        path: Safetensors is given back as it is. A PyTorch checkpoint (``.pt``, ``.pth``,
            ``.ckpt``, ``.bin``) is opened by its weights-only reader, in a process with little
            memory and time and without network, and kept converted in the cache by its hash.
        sha256: What the file's hash must be, in hex; any if None.

    Raises:
        ChangedWeightsError: The hash is another.
        NotFoundError: There is no such file.
        WeightsRefusedError: It is not what it says, or holds more than numbers.
        UnavailableError: The process that converts it cannot be started.
    """
    path = Path(path).expanduser()
    size = _size(path)
    if sha256 is not None:
        _compare(path, sha256)
    if _is_checkpoint(path, size):
        return _converted(path, size)
    check(path)
    return path


def _is_checkpoint(path: Path, size: int) -> bool:
    with path.open("rb") as file:
        magic = file.read(9)
    # The length of a header may begin as a pickle does; what follows it never is one's.
    if magic[8:] == b"{" and int.from_bytes(magic[:8], "little") <= size - 8:
        return False
    return magic.startswith((_ZIP, _PICKLE))


def _size(path: Path) -> int:
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        raise NotFoundError(f"there is no file {str(path)!r}", hint="check the path") from error
    if not stat.S_ISREG(found.st_mode):
        raise InvalidInputError(f"{str(path)!r} is no file", hint="name the file itself")
    return found.st_size


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hex.

    Raises:
        NotFoundError: There is no such file.
    """
    _size(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _compare(path: Path, sha256: str) -> None:
    if (found := digest(path)) != sha256.strip().lower():
        raise ChangedWeightsError(
            f"{path.name} has the SHA-256 {found}, not {sha256}",
            hint="fetch it again from where the hash was published; do not use this file",
        )


# ---------------------------------------------------------------- safetensors
def header(path: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return what tensors a safetensors file holds, by name: type and shape.

    Its header is read and compared with the file's size; no tensor is touched.

    Raises:
        WeightsRefusedError: It is no safetensors, or its header lies.

    References:
        Safetensors, format 0.4: 8 bytes of length, little-endian; JSON; then the tensors without
        gaps.
    """  # noqa: DOC501 — a function makes the error
    size = _size(path)
    with path.open("rb") as file:
        prefix = file.read(8)
        length = int.from_bytes(prefix, "little")
        if len(prefix) < 8 or not 2 <= length <= min(_MOST_HEADER, size - 8):  # noqa: PLR2004 — "{}"
            raise _refused(path, "is no safetensors, or is cut short")
        said = _json(path, file.read(length))
    spans: list[tuple[int, int]] = []
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, one in said.items():
        if name == "__metadata__":
            continue
        kind, shape, span = _entry(path, name, one)
        tensors[name] = (kind, shape)
        spans.append(span)
    _check_spans(path, spans, size - 8 - length)
    return tensors


def check(path: Path) -> None:
    """Refuse a file that is no safetensors or whose header does not fit its size.

    Raises:
        WeightsRefusedError: It is one of these, or it holds no tensor.
    """  # noqa: DOC501 — a function makes the error
    if not header(path):
        raise _refused(path, "holds no tensor")


def _json(path: Path, text: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name is there twice")
        return found

    try:
        said = json.loads(text, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise _refused(path, f"has a header that cannot be read: {error}") from error
    if not isinstance(said, dict) or len(said) > _MOST_TENSORS:
        raise _refused(path, "has a header that lists no tensors, or too many")
    return said


def _entry(path: Path, name: str, one: Any) -> tuple[str, tuple[int, ...], tuple[int, int]]:  # noqa: ANN401 — foreign JSON
    try:
        kind, shape = one["dtype"], tuple(one["shape"])
        begin, end = one["data_offsets"]
    except (KeyError, TypeError, ValueError) as error:
        raise _refused(path, f"describes tensor {name[:80]!r} wrongly") from error
    numbers = (*shape, begin, end)
    whole = all(type(number) is int and 0 <= number < 1 << 62 for number in numbers)
    if not whole or not isinstance(kind, str) or kind not in _ITEM or len(shape) > _MOST_AXES:
        raise _refused(path, f"describes tensor {name[:80]!r} wrongly")
    if math.prod(shape) * _ITEM[kind] != end - begin:
        raise _refused(path, f"says a size of tensor {name[:80]!r} that its shape does not have")
    return kind, shape, (begin, end)


def _check_spans(path: Path, spans: list[tuple[int, int]], size: int) -> None:
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise _refused(path, "has tensors that overlap, or gaps between them")
        at = end
    if at != size:
        raise _refused(path, f"holds {size:,} bytes of tensors where its header says {at:,}")


def _refused(path: Path, why: str, hint: str = "") -> WeightsRefusedError:
    return WeightsRefusedError(
        f"{path.name} {why}"[:_LONGEST],
        hint=hint or "fetch the file again, or ask whoever made it for safetensors",
    )


# ----------------------------------------------------------------- checkpoints
def _converted(path: Path, size: int) -> Path:
    # The checkpoint as safetensors, from the cache where it was converted before.
    if size > MOST_BYTES:
        raise _refused(
            path,
            f"has {size >> 20:,} MiB; a checkpoint may have {MOST_BYTES >> 20:,}",
            "convert it where it was made, and bring the safetensors",
        )
    folder = cache_folder("weights")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".converting-", dir=folder) as private:
        copy = Path(private) / "checkpoint"
        shutil.copyfile(path, copy)  # what is opened is what was hashed, whoever writes meanwhile
        known = folder / f"{digest(copy)}.safetensors"
        if not known.exists():
            _inspect(path, copy)
            made = Path(private) / "weights.safetensors"
            _run(path, copy, made)
            check(made)
            made.replace(known)
    check(known)
    return known


def _inspect(path: Path, copy: Path) -> None:
    try:
        inspect(copy)
    except UnwantedError as error:
        raise _refused(path, str(error), _HINT) from error


def _run(path: Path, copy: Path, made: Path) -> None:
    memory = MEMORY + 4 * copy.stat().st_size
    job = {
        "path": str(copy), "out": str(made), "memory": memory, "seconds": int(SECONDS),
        "parent": os.getpid(),
    }  # fmt: skip
    try:
        done = subprocess.run(
            [sys.executable, "-P", str(_CHILD)],
            input=json.dumps(job).encode(),
            capture_output=True,
            timeout=SECONDS,
            check=False,
            cwd=made.parent,
            env=_environment(),
            start_new_session=True,
        )
    except subprocess.TimeoutExpired as error:
        raise _refused(path, f"takes longer than {SECONDS:g} s to open") from error
    except OSError as error:
        raise UnavailableError(
            f"the process that opens checkpoints cannot start: {error}", hint="free some memory"
        ) from error
    if done.returncode:
        raise _reason(path, done.stderr)


def _environment() -> dict[str, str]:
    return {
        "PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1", "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }  # fmt: skip


def _reason(path: Path, said: bytes) -> WeightsRefusedError:
    line = said[-1 << 14 :].rpartition(b"\n")[2]
    try:
        problem = str(json.loads(line)["problem"])
    except (ValueError, KeyError, TypeError):
        last = line.decode("utf-8", "replace") or (said.decode("utf-8", "replace").strip())
        problem = f"cannot be opened: {last.splitlines()[-1] if last else 'its reader was ended'}"
    return _refused(path, "".join(one if one.isprintable() else " " for one in problem))
