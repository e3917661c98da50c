"""``make ui``: Dagster's UI on this machine alone."""

import argparse
import os
import signal
import sys

from assets.home import DAGSTER_HOME, at_home

__all__ = ["main"]


def main() -> None:
    """Become Dagster's web server; Ctrl-C ends it with all its processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", default="3000")
    port = parser.parse_args().port
    sys.stderr.write(f"Dagster's UI: http://127.0.0.1:{port} (Ctrl-C ends it)\n")
    workspace = str(DAGSTER_HOME / "workspace.yaml")
    command = [sys.executable, "-m", "dagster", "dev", "-w", workspace, "-h", "127.0.0.1"]
    # A job that a script started inherits an ignored SIGINT, and Dagster ends its own by it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(sys.executable, [*command, "-p", port], at_home())  # noqa: S606 — becomes it


if __name__ == "__main__":
    main()
