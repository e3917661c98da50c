"""The limited process that runs foreign models; started by ``embeddings.session``, never by hand.

It takes its limits before it loads anything: no network, no files to write, little memory. It
answers on its standard output; its parent believes nothing it says without checking it.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from typing import TYPE_CHECKING, Any, BinaryIO, Final

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

__all__ = ["main"]

_CLONE_NEWNET: Final = 0x40000000
_CLONE_NEWUSER: Final = 0x10000000
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NO_NEW_PRIVS: Final = 38
_FATAL: Final = 4


def main() -> None:
    """Open the model that comes first, say what it takes, then run it on what comes next."""
    limits = json.loads(sys.argv[1])
    _confine(limits["memory"], limits["parent"])
    answers = os.fdopen(os.dup(1), "wb")
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)  # whatever a library prints must not pass for an answer
    session = _opened(sys.stdin.buffer, answers)
    while header := sys.stdin.buffer.readline():
        _run(session, json.loads(header), answers)


def _confine(memory: int, parent: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it was dead already
        sys.exit(1)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    for limit, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 1 << 20),  # for what it dies of
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, most = resource.getrlimit(limit)
        resource.setrlimit(limit, (value, value if most < 0 else min(value, most)))


def _opened(source: BinaryIO, answers: BinaryIO) -> "InferenceSession":
    from onnxruntime import InferenceSession, SessionOptions, set_default_logger_severity

    set_default_logger_severity(_FATAL)
    options = SessionOptions()
    options.intra_op_num_threads = 1  # so that sums are always taken in one order
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.log_severity_level = _FATAL
    content = source.read(json.loads(source.readline())["bytes"])
    # Whatever a foreign model makes the library raise ends this process; its parent reads why.
    session = InferenceSession(content, options, providers=["CPUExecutionProvider"])
    _answer(
        answers,
        {
            "inputs": [[one.name, one.type, list(one.shape)] for one in session.get_inputs()],
            "outputs": [[one.name, one.type, list(one.shape)] for one in session.get_outputs()],
        },
    )
    return session


def _run(session: "InferenceSession", header: dict[str, Any], answers: BinaryIO) -> None:
    import numpy as np

    octets = sys.stdin.buffer.read(header["bytes"])
    given = np.frombuffer(octets, np.float32).reshape(header["shape"])
    (found,) = session.run([header["output"]], {header["input"]: given})
    told = np.ascontiguousarray(found, dtype=np.float32)
    _answer(answers, {"shape": list(told.shape)})
    answers.write(told.tobytes())
    answers.flush()


def _answer(answers: BinaryIO, said: dict[str, Any]) -> None:
    answers.write(json.dumps(said).encode() + b"\n")
    answers.flush()


if __name__ == "__main__":
    main()
