"""The limited process that reads files which come back; started by ``reading``, never by hand.

It takes its limits before it loads anything: no network, no core dumps, little memory, little
time. It answers with one Arrow file, or one error; its parent checks both.
"""

import json
import os
import resource
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from registry.curate.formats.child import WithoutPandas, confine, end_with

__all__ = ["main"]


def main() -> None:
    """Read the file that the job on standard input names."""
    job = json.load(sys.stdin)
    confine(job["memory"])
    resource.setrlimit(resource.RLIMIT_CPU, (job["seconds"], job["seconds"] + 5))
    end_with(job["parent"])
    sys.setrecursionlimit(2_000)  # as deep as what is read may be; deeper is refused, not a crash

    sys.meta_path.insert(0, WithoutPandas())

    from registry.errors import RegistryError  # here, because limits come before libraries

    try:
        _answer(job)
    except RegistryError as error:
        _refuse(error.code, error.problem, error.hint)
    except (MemoryError, RecursionError) as error:
        what = "memory" if isinstance(error, MemoryError) else "depth"
        _refuse("rejected", f"it takes more {what} to read than a file may", "split it")


def _answer(job: Mapping[str, Any]) -> None:
    from registry.curate.exchange.opening import read_file

    read_file(Path(job["path"]), job, Path(job["out"]))


def _refuse(code: str, problem: str, hint: str) -> None:
    sys.stderr.write(f"\n{json.dumps({'code': code, 'problem': problem, 'hint': hint})}")
    sys.stderr.flush()
    os._exit(3)


if __name__ == "__main__":
    main()
