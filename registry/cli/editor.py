"""The user's own editor, opened on a text."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from registry.errors import InvalidInputError, RegistryError, UnavailableError

__all__ = ["edited", "read_text"]

Outcome = TypeVar("Outcome")

_LARGEST = 4 << 20
"""Bytes."""


def edited(text: str, *, name: str, take: Callable[[Path], Outcome]) -> Outcome:
    """Return what is made of a text as the user's editor left it.

    Args:
        text: What is edited.
        name: What the file's name ends with, such as ``README.md``.
        take: Makes something of the file; if it refuses, the file is kept and the hint says where.

    Raises:
        RegistryError: What was written is refused.
        UnavailableError: There is no editor, or it failed; nothing was taken.
    """
    handle, path = tempfile.mkstemp(prefix="eolab-", suffix=f"-{name}")
    file = Path(path)
    with os.fdopen(handle, "w", encoding="utf-8", newline="") as written:
        written.write(text)
    try:
        _open(file)
    except UnavailableError:
        file.unlink()
        raise
    try:
        outcome = take(file)
    except RegistryError as error:
        kept = f"{error.hint}; what you wrote is in {file}: --from {file}"
        raise type(error)(error.problem, hint=kept) from error
    file.unlink()
    return outcome


def read_text(file: Path) -> str:
    """Return a text that somebody wrote.

    Raises:
        InvalidInputError: It is larger than a text is, or not UTF-8.
    """
    with file.open("rb") as opened:
        data = opened.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise InvalidInputError(
            f"{file} has more than {_LARGEST >> 20} MiB", hint="name the text that is meant"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{file} is not UTF-8", hint="save it as UTF-8") from error


def _open(file: Path) -> None:
    said = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        status = subprocess.run([*shlex.split(said), str(file)], check=False).returncode
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"the editor {said!r} does not start: {error}", hint="set EDITOR"
        ) from error
    if status:
        raise UnavailableError(
            f"the editor {said!r} ended with {status}; nothing was changed", hint="try again"
        )
