"""A limited process that reads scenes for this one, and the memory that both share.

This process opens no foreign raster. It starts another that has given up the network, most memory
and the right to outlive its parent, asks it by lines of JSON, and believes no answer before its
types and sizes are checked.
"""

import json
import mmap
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

import numpy as np
import numpy.typing as npt

from registry.errors import CorruptError, RejectedError, UnavailableError

__all__ = ["Limited", "UnreadableSceneError"]

_LONGEST_ANSWER: Final = 1 << 20
_ROOT: Final = Path(__file__).parents[3]
_QUIET: Final = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


class UnreadableSceneError(RejectedError):
    """A scene is damaged, hostile, or of a kind that is not read."""

    code = "unreadable-scene"


class Limited:
    """One limited process; a context manager."""

    def __init__(  # what it is, and what it may take
        self,
        script: str,
        *,
        name: str,
        memory: int = 3 << 30,
        seconds: float = 120.0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start it.

        Args:
            script: Its file beside this one.
            name: What it reads, for messages.
            memory: Bytes of address space that it may take.
            seconds: Time that one answer may take.
            environment: Variables that it gets besides the few that it always has.

        Raises:
            UnavailableError: The system lets no process start.
        """
        self._name = name
        self._seconds = seconds
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 — closed by close
        self._shared = os.memfd_create("eolab-scene")
        self._map: mmap.mmap | None = None
        limits = {"memory": memory, "parent": os.getpid(), "shared": self._shared}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(Path(__file__).with_name(script)), json.dumps(limits)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                bufsize=0,
                env={
                    "PATH": os.defpath, "LC_ALL": "C.UTF-8", "PYTHONPATH": str(_ROOT),
                    **_QUIET, **(environment or {}),
                },
                cwd=_ROOT,
                pass_fds=(self._shared,),
                start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise UnavailableError(
                f"the process that reads {name} cannot be started: {error}",
                hint="end other programs, then try again",
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, at once."""
        self.close()

    def close(self) -> None:
        """End it, at once; more than once does no harm."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._errors):
            if stream is not None:
                stream.close()
        if self._map is not None:
            self._map.close()
            self._map = None
        if self._shared >= 0:
            os.close(self._shared)
            self._shared = -1

    def ask(self, **question: Any) -> dict[str, Any]:  # noqa: ANN401 — JSON's types
        """Return what it answers.

        Raises:
            UnreadableSceneError: It refuses the scene, died of it, or takes too long.
            CorruptError: It answers nonsense.
        """
        stdin = self._process.stdin
        if stdin is not None:
            with suppress(BrokenPipeError):  # its death shows when it is listened to
                stdin.write(json.dumps(question).encode() + b"\n")
        try:
            answer = json.loads(self._line())
        except ValueError as error:
            raise self._nonsense() from error
        if isinstance(answer, dict) and "refused" in answer:
            said, fix = (str(one)[:400] for one in answer["refused"])
            raise UnreadableSceneError(f"{self._name} {said}", hint=fix)
        if not isinstance(answer, dict):
            raise self._nonsense()
        return answer

    def array(self, size: int) -> None:
        """Make the shared memory at least so large, in bytes, for what is asked next."""
        if os.fstat(self._shared).st_size < size:
            if self._map is not None:
                self._map.close()
                self._map = None
            os.ftruncate(self._shared, size)

    def taken(
        self, dtype: np.dtype[Any], shape: tuple[int, ...], offset: int = 0
    ) -> npt.NDArray[np.generic]:
        """Return a copy of an array that it left in the shared memory."""
        if self._map is None:
            self._map = mmap.mmap(self._shared, 0, prot=mmap.PROT_READ)
        count = int(np.prod(shape))
        return np.frombuffer(self._map, dtype, count, offset).reshape(shape).copy()

    def _nonsense(self) -> CorruptError:
        return CorruptError(
            f"the process that reads {self._name} answers nonsense",
            hint="do not trust the file; convert it to a plain GeoTIFF if you know it",
        )

    def _line(self) -> bytes:
        stdout = self._process.stdout
        line = b""
        end = time.monotonic() + self._seconds
        with selectors.DefaultSelector() as selector:
            if stdout is not None:
                selector.register(stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                ready = selector.select(max(end - time.monotonic(), 0))
                said = os.read(stdout.fileno(), 1 << 16) if ready and stdout is not None else b""
                if not said:
                    raise self._gone(late=not ready)
                line += said
                if len(line) > _LONGEST_ANSWER:
                    raise self._nonsense()
        return line

    def _gone(self, *, late: bool) -> UnreadableSceneError:
        if late:
            what = f"takes longer than {self._seconds:g} s to read"
        else:
            self._process.wait()
            self._errors.seek(0)
            lines = self._errors.read()[-2000:].decode(errors="replace").strip().splitlines()
            words = f": {lines[-1][:200]}" if lines else ""
            what = f"stops the process that reads it (status {self._process.returncode}{words})"
        self._process.kill()
        return UnreadableSceneError(
            f"{self._name} {what}",
            hint="do not trust the file; convert it to a tiled GeoTIFF if you know it: "
            "gdal_translate -co TILED=YES",
        )
