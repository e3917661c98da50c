"""Run the suites that speak to lakeFS against a real server: ``make test-lakefs``."""

import os
import subprocess
import sys

from registry.errors import RegistryError
from registry.lake.lakefs.place import find
from tests.lakefs.server.chosen import VARIABLES

SUITES = ("tests/contract", "tests/lakefs")


def main():
    try:
        place = find("lakefs://")
    except RegistryError:
        return (
            f"no lakeFS server is named: set {', '.join(VARIABLES)}, "
            "or write ~/.lakectl.yaml with lakectl config"
        )
    said = dict(zip(VARIABLES, (place.endpoint, place.key, place.secret), strict=True))
    print(f"against {place.endpoint}", flush=True)  # noqa: T201 — it is a command
    command = [sys.executable, "-m", "pytest", "-k", "lakefs", "-m", "", *SUITES, *sys.argv[1:]]
    return subprocess.run(command, env={**os.environ, **said}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
