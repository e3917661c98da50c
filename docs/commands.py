"""``python docs/commands.py``: write the reference of commands from their own help."""

import sys
from pathlib import Path
from typing import Any

from typer.main import get_command

from registry.cli.app import app

PAGE = Path(__file__).parent / "reference" / "commands.md"
_HEAD = """# Commands

Every command takes `--json` for one JSON document on standard output, draws a progress bar on a
terminal when it runs over two seconds, and exits with the status of its error's branch
([errors](errors.md)). `eolab --install-completion` sets up completion for your shell. This page is
made from `eolab COMMAND --help`.
"""


def page() -> str:
    """Return the whole page as Markdown."""
    program = get_command(app)
    context = program.make_context("eolab", ["--help"], resilient_parsing=True)
    sections = [_HEAD]
    for name, command in program.commands.items():
        sections += _sections(name, command, context, f"eolab {name}")
    return "\n".join(sections)


def _sections(name: str, command: Any, parent: Any, path: str) -> list[str]:  # noqa: ANN401 — typer has no public names for them
    context = type(parent)(command, info_name=name, parent=parent)
    context.terminal_width = context.max_content_width = 96
    said = [f"## {path}\n\n```text\n{command.get_help(context).strip()}\n```\n"]
    for inner, one in getattr(command, "commands", {}).items():
        said += _sections(inner, one, context, f"{path} {inner}")
    return said


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
