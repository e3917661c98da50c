"""``python docs/commands.py``: write the reference of commands from their own help."""

import sys
from pathlib import Path

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
        inner = type(context)(command, info_name=name, parent=context)
        inner.terminal_width = inner.max_content_width = 96
        sections.append(f"## eolab {name}\n\n```text\n{command.get_help(inner).strip()}\n```\n")
    return "\n".join(sections)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    sys.stdout.write(f"{PAGE}\n")
