"""What a checkpoint's pickle asks for, read without opening it.

A pickle is a program. Its instructions are listed here, never followed: whatever it would import
is compared with the few names that tensors need. Torch's own weights-only reader decides again, in
a process of its own; two readers must both be wrong before anything runs.
"""

import io
import pickletools
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

__all__ = ["UnwantedError", "inspect"]

_MOST_BYTES: Final = 64 << 20
_MOST_MEMBERS: Final = 200_000
_PICKLES: Final = 5  # of the format before torch 1.6: its magic, its version, where, what, keys
_KNOWN: Final = re.compile(
    r"collections (OrderedDict|Counter)"
    r"|torch (\w+Storage|Size|Tensor|device|(b?float|u?int|complex|qu?int)\d*\w*|bool|half|double)"
    r"|torch\.storage \w+Storage"
    r"|torch\._utils _rebuild_\w+"
    r"|torch\._tensor _rebuild_from_type_v2"
    r"|torch\.nn\.parameter (Parameter|Buffer)"
    r"|torch\.serialization _get_layout"
    r"|_codecs encode"
    r"|numpy(\._core|\.core)?(\.multiarray)? (dtype|scalar|_reconstruct|ndarray)"
)
_ASKS: Final = frozenset({"GLOBAL", "INST"})
_HIDES: Final = {
    "STACK_GLOBAL": "a name that is put together while it is opened",
    "OBJ": "an object of a class that is put together while it is opened",
    "EXT1": "a registered extension",
    "EXT2": "a registered extension",
    "EXT4": "a registered extension",
}


class UnwantedError(Exception):
    """Why a checkpoint is not opened, as the end of a sentence."""


def inspect(path: Path) -> None:
    """Refuse a checkpoint that asks for more than tensors.

    Args:
        path: A zip archive as torch writes it, or a pickle as it did before 1.6.

    Raises:
        UnwantedError: It does, or it is neither.

    References:
        Python 3.11, Lib/pickletools.py, which lists the instructions.
    """
    with path.open("rb") as file:
        zipped = file.read(4) == b"PK\x03\x04"
        file.seek(0)
        try:
            if zipped:
                _archive(path)
            else:
                for _ in range(_PICKLES):
                    _program(file)
        except UnwantedError:
            raise
        except (ValueError, EOFError, IndexError, OverflowError, MemoryError) as error:
            raise UnwantedError(f"is no whole checkpoint: {error}") from error


def _archive(path: Path) -> None:
    size = path.stat().st_size
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check_members(members, size)
            for member in members:
                if member.filename.endswith(".pkl"):
                    with archive.open(member) as stream:
                        _program(io.BytesIO(stream.read(_MOST_BYTES + 1)[:_MOST_BYTES]))
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        raise UnwantedError(f"is no whole archive: {error}") from error


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    names = [member.filename for member in members]
    if len(members) > _MOST_MEMBERS or len(set(names)) != len(names):
        raise UnwantedError("has too many members, or two of one name")
    if any("/code/" in name or name.endswith("/constants.pkl") for name in names):
        raise UnwantedError("is TorchScript, a program, where weights are wanted")
    if sum(name.endswith("/data.pkl") for name in names) != 1:
        raise UnwantedError("is an archive of something else than PyTorch's checkpoints")
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise UnwantedError("is a compressed archive, which no checkpoint of PyTorch is")
    if sum(member.file_size for member in members) > size:
        raise UnwantedError("says that it holds more bytes than it has")
    if any(member.file_size > _MOST_BYTES for member in members if _is_pickle(member)):
        raise UnwantedError("has a pickle beside its tensors that is larger than any list of them")


def _is_pickle(member: zipfile.ZipInfo) -> bool:
    return member.filename.endswith(".pkl")


def _program(stream: BinaryIO) -> None:
    for name, argument in _instructions(stream):
        if name in _HIDES:
            raise UnwantedError(f"would run code when it is opened: it asks for {_HIDES[name]}")
        if name in _ASKS and not _KNOWN.fullmatch(str(argument)):
            asked = str(argument)[:100].replace(" ", ".")
            raise UnwantedError(f"would run code when it is opened: it asks for {asked}")


def _instructions(stream: BinaryIO) -> Iterator[tuple[str, object]]:
    for instruction, argument, _ in pickletools.genops(stream):
        yield instruction.name, argument
