"""Lines of shell scripts; every word of the user's is quoted, so that none of it is read."""

import shlex
from collections.abc import Iterable, Mapping

__all__ = ["exported", "line"]


def line(*words: str) -> str:
    """Return words as one line of a script.

    Examples:
        >>> line("echo", "two words", "$(rm -rf ~)")
        "echo 'two words' '$(rm -rf ~)'"
    """
    return shlex.join(words)


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
