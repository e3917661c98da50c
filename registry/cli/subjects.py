"""The list of commands, by subject, each with the whole sentence that says what it does."""

import inspect
import sys
from itertools import groupby
from typing import Any

from typer.core import TyperGroup

__all__ = ["BySubject"]


class BySubject(TyperGroup):
    """A program whose help is grouped by the modules that its commands are written in."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002 — typer has no public names for them
        """Write a section a subject."""
        shown = [(name, command) for name, command in self.commands.items() if not command.hidden]
        for subject, commands in groupby(shown, key=lambda pair: _subject(pair[1])):
            with formatter.section(subject):
                formatter.write_dl([(name, _sentence(command)) for name, command in commands])


def _subject(command: Any) -> str:  # noqa: ANN401 — as above
    module = sys.modules[inspect.unwrap(command.callback).__module__]
    return (module.__doc__ or "Commands").partition("\n")[0].partition(":")[0].rstrip(".")


def _sentence(command: Any) -> str:  # noqa: ANN401 — as above
    return " ".join((command.help or "").partition("\n\n")[0].split()).rstrip(".")
