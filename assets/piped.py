"""``python -m assets.piped WORDS``: ``eolab WORDS --json``, whose answer goes to Dagster by Pipes.

It runs wherever an executor puts it. Its log is its own; what it finds is told to the run that asks
for it, as the metadata ``answer``. Of several processes that share the work, the first tells.
"""

import io
import json
import os
import sys
from contextlib import redirect_stdout

from dagster_pipes import open_dagster_pipes

from registry.cli.app import run

__all__ = ["main"]


def main(words: list[str]) -> int:
    """Run a command of the lab, and tell Dagster what it says.

    Args:
        words: What follows ``eolab``.

    Returns:
        The command's exit status.
    """
    if os.environ.get("RANK", "0") != "0":
        return run([*words, "--json"])
    with open_dagster_pipes() as pipes:
        said = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with redirect_stdout(said):
            status = run([*words, "--json"])
        said.flush()
        text = said.buffer.getvalue().decode()
        sys.stdout.write(text)
        if status == 0:
            pipes.report_custom_message({"answer": json.loads(text) if text.strip() else None})
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
