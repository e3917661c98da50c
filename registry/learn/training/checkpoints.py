"""Checkpoints: whole or not at all, and never at the cost of the one before."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch

from registry.errors import CorruptError
from registry.learn.training.errors import NoCheckpointError

__all__ = ["LAST", "clear", "load", "save", "written"]

LAST: Final = "last.ckpt"
"""The newest checkpoint of a run's folder."""


def save(folder: Path, state: Mapping[str, Any], *, name: str = LAST) -> Path:
    """Write a checkpoint; whoever reads sees the one before it until it is there whole.

    Args:
        folder: Of the run; made if there is none.
        state: Tensors, numbers, texts, lists and mappings of them.
        name: Of the file.

    Returns:
        The file.

    Raises:
        NoCheckpointError: The disk is full, or does not answer.
    """

    def put(path: Path) -> None:
        with path.open("wb") as file:
            torch.save(dict(state), file)

    return written(folder, name, put)


def written(folder: Path, name: str, put: Callable[[Path], object], *, first: bool = True) -> Path:
    """Let a function write a file, and give the file its name once it is there whole.

    Args:
        folder: Of the run; made if there is none.
        name: Of the file.
        put: Writes to a path; called in every process.
        first: Whether this is the process that gives the name.

    Returns:
        The file.

    Raises:
        NoCheckpointError: The disk is full, or does not answer.
    """
    path, begun = folder / name, folder / f"{name}.begun"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        put(begun)
        if first:
            _settle(begun)
            begun.replace(path)
            _settle(folder)
    except (OSError, RuntimeError) as error:  # torch's writer says what the disk said in its way
        begun.unlink(missing_ok=True)
        kept = "; the one before it is kept" if (folder / LAST).is_file() else ""
        raise NoCheckpointError(
            f"no checkpoint could be written to {folder}: {error}{kept}",
            hint="free some space, or set EOLAB_CACHE to a larger disk; then run the same again",
        ) from error
    return path


def load(folder: Path, *, name: str = LAST) -> dict[str, Any] | None:
    """Return a run's checkpoint; None if there is none.

    Only tensors and plain values are read: a file that would run code is refused.

    Args:
        folder: Of the run.
        name: Of the file.

    Raises:
        CorruptError: The file is not what was written.
    """
    import pickle

    path = folder / name
    if not path.is_file():
        return None
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (RuntimeError, ValueError, EOFError, KeyError, pickle.UnpicklingError) as error:
        raise CorruptError(
            f"the checkpoint {path} cannot be read: {str(error).splitlines()[0]}",
            hint="begin anew: run the same with --fresh",
        ) from error


def clear(folder: Path, *, but: str | None = None) -> None:
    """Delete a run's checkpoints.

    Args:
        folder: Of the run.
        but: Name of weights that stay.
    """
    if not folder.is_dir():
        return
    for pattern in ("*.ckpt", "*.begun", "best-*.pt"):
        for path in folder.glob(pattern):
            if path.name != but:
                path.unlink(missing_ok=True)


def _settle(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
