"""Lines of shell scripts; every word of the user's is quoted, so that none of it is read."""

import shlex
from collections.abc import Iterable, Mapping

__all__ = ["Raw", "exported", "line"]


class Raw(str):
    """A word of the lab's own that the shell is to read, such as ``"$SLURM_JOB_ID"``."""

    __slots__ = ()


def line(*words: str) -> str:
    r"""Return words as one line of a script.

    Examples:
        >>> line("echo", "two words", "$(rm -rf ~)", Raw('"$HOME"'))
        'echo \'two words\' \'$(rm -rf ~)\' "$HOME"'
    """
    return " ".join(word if isinstance(word, Raw) else shlex.quote(word) for word in words)


def exported(environment: Mapping[str, str], *, but: Iterable[str] = ()) -> list[str]:
    """Return lines that set environment variables.

    Args:
        environment: The variables.
        but: Names to leave out.
    """
    left_out = set(but)
    return [
        f"export {name}={shlex.quote(value)}"
        for name, value in environment.items()
        if name not in left_out
    ]
