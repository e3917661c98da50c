"""How a limited process answers: one line of JSON for each, arrays in the shared memory.

Runs in such processes alone; their scripts stand beside it.
"""

import json
import mmap
import os
import sys
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["RefusedError", "Shared", "serve", "silenced"]

_LONGEST: Final = 300
_TILE: Final = "tile it: gdal_translate -co TILED=YES"


class RefusedError(Exception):
    """What will not be read, and why; stays inside the process.

    Args:
        what: What is wrong, as the end of a sentence that begins with the scene's name.
        fix: What would mend it.
    """

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


class Shared:
    """Memory that the parent reads."""

    def __init__(self, number: int) -> None:
        """Take it by the number of its file."""
        self._number = number
        self._map: mmap.mmap | None = None

    def put(self, array: npt.NDArray[np.generic], offset: int = 0) -> None:
        """Lay an array at an offset in bytes."""
        size = os.fstat(self._number).st_size
        if self._map is None or len(self._map) != size:
            self._map = mmap.mmap(self._number, size)
        into = np.frombuffer(self._map, array.dtype, array.size, offset).reshape(array.shape)
        into[...] = array


class Answering(Protocol):
    """Answers a question, or refuses."""

    def __call__(self, question: dict[str, Any]) -> dict[str, Any]:
        """Return JSON's types.

        Raises:
            RefusedError: It will not be read.
        """
        ...


def silenced() -> int:
    """Return what to answer by, and let whatever a library prints go nowhere."""
    answers = os.dup(1)
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    return answers


def serve(answers: int, answer: Answering, errors: tuple[type[Exception], ...]) -> None:
    """Answer until standard input closes.

    Args:
        answers: Where to.
        answer: Who does.
        errors: What libraries raise of a scene that cannot be read; anything else ends the
            process, which its parent sees.
    """
    for line in sys.stdin.buffer:
        try:
            said = answer(json.loads(line))
        except RefusedError as error:
            said = {"refused": [error.what, error.fix]}
        except MemoryError:
            said = {"refused": ["needs more memory than a reader may take", _TILE]}
        except errors as error:
            words = " ".join(str(error).split())[:_LONGEST]
            said = {"refused": [f"cannot be read: {words}", "fetch the file again"]}
        os.write(answers, json.dumps(said).encode() + b"\n")
