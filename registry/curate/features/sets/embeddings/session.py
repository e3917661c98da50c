"""A foreign model at work: in a process of its own, with little memory, time and no network."""

import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.sets.embeddings.model_file import ModelFile
from registry.errors import RejectedError, UnavailableError

__all__ = ["Limits", "ModelFailedError", "Port", "Session", "session_of"]

_CHILD: Final = Path(__file__).parents[1] / "model_child.py"
_ROOT: Final = Path(__file__).parents[5]
_LONGEST_LINE: Final = 1 << 20
_MOST_NUMBERS: Final = 1 << 28
_here = threading.local()


class ModelFailedError(RejectedError):
    """A model's file was opened, but does not load, does not run, or takes too much."""

    code = "model-failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a model may take."""

    seconds: float = 60.0
    """For being opened, and for each image."""

    memory: int = 8 << 30
    """Address space in bytes; what is really used is a part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """One input or output of a model."""

    name: str
    """As the model calls it."""

    type: str
    """As onnxruntime writes it, such as ``tensor(float)``."""

    shape: tuple[int | None, ...]
    """None where any length will do."""


class Session:
    """A model that is loaded; lives as long as the object."""

    def __init__(self, model: ModelFile, limits: Limits) -> None:
        if find_spec("onnxruntime") is None:
            raise UnavailableError(
                "embeddings by an ONNX file need the package 'onnxruntime'",
                hint="pip install 'eo-training-data-lab[onnx]'",
            )
        self._limits = limits
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 — closed by _end
        said = {"memory": limits.memory + 2 * len(model.content), "parent": os.getpid()}
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_CHILD), json.dumps(said)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env={"PATH": os.defpath, "LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"},
            cwd=_ROOT,
            start_new_session=True,
        )
        self.close = weakref.finalize(self, _end, self._process, self._errors)
        with self._limited("being opened"):
            answer = self._ask({"bytes": len(model.content)}, model.content)
            self.inputs = tuple(_port(one) for one in answer["inputs"])
            self.outputs = tuple(_port(one) for one in answer["outputs"])

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._process.poll() is None

    def run(
        self, image: npt.NDArray[np.float32], *, taken: str, wanted: str
    ) -> npt.NDArray[np.float32]:
        """Return one output for one input.

        Args:
            image: What the model takes, unitless, shape ``(1, band, y, x)``.
            taken: The input's name.
            wanted: The output's name.

        Raises:
            ModelFailedError: It could not, or took too much time or memory.
        """
        said = {"input": taken, "output": wanted, "shape": image.shape, "bytes": image.nbytes}
        with self._limited("an image"):
            return self._array(self._ask(said, image.tobytes())["shape"])

    def _array(self, said: list[int]) -> npt.NDArray[np.float32]:
        shape = tuple(int(one) for one in said)
        count = math.prod(shape)
        if min(shape, default=0) < 0 or count > _MOST_NUMBERS:
            raise EOFError
        return np.frombuffer(self._out.read(4 * count), np.float32).reshape(shape)

    def _ask(self, said: dict[str, Any], octets: bytes) -> dict[str, Any]:
        source = self._process.stdin
        if source is None:
            raise EOFError
        source.write(json.dumps(said).encode() + b"\n")
        source.write(octets)
        source.flush()
        line = self._out.readline(_LONGEST_LINE)
        if not line:
            raise EOFError
        answer = json.loads(line)
        return dict(answer)

    @property
    def _out(self) -> IO[bytes]:
        if self._process.stdout is None:
            raise EOFError
        return self._process.stdout

    @contextmanager
    def _limited(self, what: str) -> Iterator[None]:
        # Kills the process when time is up; says why it did not answer.
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(self._limits.seconds, stop)
        timer.start()
        try:
            yield
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            self._process.kill()
            self._process.wait()
            why = (
                f"it takes more than {self._limits.seconds:g} s" if late.is_set() else self._last()
            )
            raise ModelFailedError(
                f"the model fails on {what}: {why}",
                hint="try it with onnxruntime, or take another model",
            ) from error
        finally:
            timer.cancel()

    def _last(self) -> str:
        """Return the last that the process said."""
        self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, self._errors.tell() - 4096))
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1][-300:] if lines else f"its process ended with {self._process.returncode}"


def session_of(model: ModelFile, limits: Limits) -> Session:
    """Return this thread's session of a model, which is opened the first time."""
    held: dict[str, Session] = _here.__dict__.setdefault("sessions", {})
    if model.sha256 not in held or not held[model.sha256].alive:
        held[model.sha256] = Session(model, limits)
    return held[model.sha256]


def _port(said: Any) -> Port:  # noqa: ANN401 — what another process says
    name, kind, shape = said
    lengths = tuple(one if isinstance(one, int) and one > 0 else None for one in shape)
    return Port(name=str(name), type=str(kind), shape=lengths)


def _end(process: subprocess.Popen[bytes], errors: IO[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout, errors):
        if stream is not None:
            with suppress(OSError):  # what was not yet sent is lost on purpose
                stream.close()
