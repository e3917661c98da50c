"""From a command to the words that start it: this lab's own program, one process or several."""

import sys
from collections.abc import Mapping
from typing import Final

from registry.learn.compute.contract import JOB_VARIABLE, Command
from registry.learn.devices import PROMISED_VARIABLE

__all__ = ["LAB", "PYTHON", "environment_of", "program", "rendezvous", "single", "torchrun"]

LAB: Final = "eolab"
"""As a command's first word: this lab, wherever it is installed there."""

PYTHON: Final = "python"
"""As a command's first word: the Python that has the lab there."""

_LAUNCHER: Final = "torch.distributed.run"


def program(command: Command, *, python: str = sys.executable) -> tuple[str, ...]:
    """Return the words that start one process of a command.

    Args:
        command: The command.
        python: The Python that has the lab, where it runs.

    Examples:
        >>> program(Command(argv=("eolab", "train", "x"), name="x"), python="python")
        ('python', '-P', '-m', 'registry.cli', 'train', 'x')
    """
    first, *rest = command.argv
    if first == LAB:
        # -P: no module of the current folder takes the place of one of the lab's.
        return (python, "-P", "-m", "registry.cli", *rest)
    return (python, *rest) if first == PYTHON else command.argv


def single(command: Command, *, python: str = sys.executable) -> tuple[str, ...]:
    """Return the words that start a command on one node, with all its processes there.

    Args:
        command: The command; asks for one node.
        python: The Python that has the lab, where it runs.
    """
    if command.resources.processes_per_node == 1:
        return program(command, python=python)
    return torchrun(command, ("--standalone",), python=python)


def torchrun(
    command: Command, meeting: tuple[str, ...], *, python: str = sys.executable
) -> tuple[str, ...]:
    """Return the words that start a command's processes on one of its nodes.

    Args:
        command: The command.
        meeting: How its nodes find each other, as torchrun's options.
        python: The Python that has the lab, where it runs.
    """
    return (
        python,
        "-P",
        "-m",
        _LAUNCHER,
        *meeting,
        f"--nproc-per-node={command.resources.processes_per_node}",
        "--no-python",
        *program(command, python=python),
    )


def rendezvous(command: Command, *, endpoint: str, key: str) -> tuple[str, ...]:
    """Return torchrun's options with which several nodes find each other.

    Args:
        command: The command.
        endpoint: ``host:port`` of one of them; may be for a shell to read.
        key: A word that only they know of each other; likewise.
    """
    return (
        f"--nnodes={command.resources.nodes}",
        "--rdzv-backend=c10d",
        type(endpoint)(f"--rdzv-endpoint={endpoint}"),
        type(key)(f"--rdzv-id={key}"),
    )


def environment_of(command: Command, job_id: str, further: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that every process of a job finds.

    Args:
        command: What runs.
        job_id: The job's name.
        further: Those of the place; they win, because a lake's address may be another there.
    """
    said = {**command.environment, **further, JOB_VARIABLE: job_id}
    if command.resources.workers > 1:  # as torchrun would set it, after a banner
        said.setdefault("OMP_NUM_THREADS", "1")
    if command.resources.gpus:
        said[PROMISED_VARIABLE] = str(command.resources.gpus)
    return said
