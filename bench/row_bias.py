"""Bias: a report over ten million rows of metadata, by the library and by Spark."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from bench.ground import scaled, workplace
from bench.large import ROWS, published
from bench.pairs import Comparison, Figure

_LIMIT: Final = 60.0
_ROOT: Final = Path(__file__).parent.parent
# The report alone: opening a session and reading the reference are part of it, imports are not.
_TURN: Final = """
import json, os, resource, sys, time
from contextlib import nullcontext
from registry import connect
from registry.curate.bias import audit
address, engine = sys.argv[1:]
if engine == "spark":
    from spark_jobs.bias import SparkEngine
    from spark_jobs.session import opened
began = time.perf_counter()
with opened("bench") if engine == "spark" else nullcontext() as spark:
    counter = SparkEngine(spark=spark) if spark else None
    report = audit(connect(address), "large@v1", engine=counter, keep=False)
seconds = time.perf_counter() - began
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps({
    "seconds": seconds,
    "processor": sum(one.ru_utime + one.ru_stime for one in used),
    "memory": max(one.ru_maxrss for one in used) / 1024,
    "figures": report.measures.num_rows,
    "rows": report.samples,
}))
"""


def run() -> tuple[list[Comparison], list[Figure]]:
    rows = scaled(ROWS, least=10_000)
    figures: list[Figure] = []
    with workplace() as place:
        registry = published(place, rows=rows, chips=1)
        for engine in ("library", "spark"):
            python = _python() if engine == "spark" else Path(sys.executable)
            if python is None:
                print("  Spark is left out: there is no PySpark", flush=True)
                continue
            said = _turn(python, registry.lake.address, engine)
            if said["rows"] != rows:
                raise RuntimeError(f"{said['rows']} of {rows} rows were measured")
            row = f"bias report over {rows:,} rows, {engine}"
            figures += [
                Figure(row=row, value=said["seconds"], unit="s", limit=_LIMIT),
                Figure(row=f"{row}, processor", value=said["processor"], unit="s"),
                Figure(row=f"{row}, most memory of a process", value=said["memory"], unit="MB"),
            ]
    return [], figures


def _turn(python: Path, address: str, engine: str) -> dict[str, float]:
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "SPARK_MASTER": "local[*]"}
    ran = subprocess.run(
        [str(python), "-W", "ignore", "-c", _TURN, address, engine],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    said: dict[str, float] = json.loads(ran.stdout.splitlines()[-1])
    return said


def _python() -> Path | None:
    """Return a Python that has Spark: this one, or that of the lab beside it."""
    if find_spec("pyspark"):
        return Path(sys.executable)
    beside = _ROOT / ".venv" / "bin" / "python"
    return beside if beside.is_file() else None
