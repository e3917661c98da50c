"""The limited process that opens foreign rasters; started by ``RasterPool``, never by hand.

It takes its limits before it loads anything: no network, no core dumps, little memory, little
time. It may write into the part it was told and read what it was handed; its parent believes
nothing it says without checking types and sizes.
"""

import ctypes
import json
import mmap
import os
import resource
import signal
import sys
from typing import Final

__all__ = ["WithoutPandas", "confine", "end_with", "main"]

_CLONE_NEWNET: Final = 0x40000000
_CLONE_NEWUSER: Final = 0x10000000
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_LARGEST_PART: Final = 4 << 30
_SETTINGS: Final = {
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_NUM_THREADS": "1",
    "GDAL_CACHEMAX": "16",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_HTTP_MAX_RETRY": "0",
    "GDAL_HTTP_TIMEOUT": "1",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "{noext}",
    "GTIFF_VIRTUAL_MEM_IO": "NO",
    "PROJ_NETWORK": "OFF",
    "VRT_SHARED_SOURCE": "0",
    "HDF5_PLUGIN_PRELOAD": "::",  # no filter is ever loaded from disk
}


def main() -> None:
    """Serve batches from standard input until it closes."""
    limits = json.loads(sys.argv[1])
    confine(limits["memory"])
    end_with(limits["parent"])
    answers = os.dup(1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)  # whatever a library prints must not pass for an answer
    os.environ.update(_SETTINGS)
    sys.meta_path.insert(0, WithoutPandas())

    from rasterio import Env  # here, because limits come before libraries

    from registry.curate.formats.part import PartWriter, Turn

    with mmap.mmap(limits["progress"], 24) as shared, Env():
        turn = Turn(limits["turn"], shared)
        writer = PartWriter(turn, shared, seconds=limits["seconds"])
        os.write(answers, b"R")
        for line in sys.stdin.buffer:
            try:
                writer.write(json.loads(line))
            except OSError:  # what cannot be read is a row; this is a part that cannot be written
                os.write(answers, b"F")
            else:
                os.write(answers, b"D")


class WithoutPandas:
    """Keeps pyarrow from loading pandas, which takes longer than everything else together."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        """Say that pandas is not installed.

        Raises:
            ModuleNotFoundError: It was asked for.
        """
        if name == "pandas":
            raise ModuleNotFoundError(name)


def confine(memory: int) -> None:
    """Give up what a reader of files never needs; what the system refuses is gone without.

    Args:
        memory: Address space that may be taken, in bytes.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, _LARGEST_PART),
        (resource.RLIMIT_NOFILE, 128),
    ):
        _, most = resource.getrlimit(limit)
        resource.setrlimit(limit, (value, value if most < 0 else min(value, most)))


def end_with(parent: int) -> None:
    """Die when the parent does, even in the middle of a file.

    Args:
        parent: Its process id.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was dead already
        sys.exit(1)


if __name__ == "__main__":
    main()
