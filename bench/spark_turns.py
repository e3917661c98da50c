"""A process that computes features once for each line it is sent: on Spark, or on one thread.

Started by row 13: one Spark session a process, warm between turns.
"""

import shutil
import sys
from contextlib import ExitStack
from pathlib import Path

from registry.curate.features.work import AssetFacts, Call, Runner, Work
from registry.lake import Location
from registry.progress import SILENT

BANDS = ("B2", "B3", "B4", "B8", "B11", "B12")
FACTS = AssetFacts(
    name="s2", bands=BANDS, common=("B", "G", "R", "N", "S1", "S2"), scale=(1e-4,), gsd=10.0
)


def work_on(root: Path) -> Work:
    return Work(
        root=Location(uri=str(root)), calls=(Call(name="spectral"),), assets=(FACTS,), arrays=True
    )


def runner(where: str, stack: ExitStack) -> Runner:
    if where == "library":
        from functools import partial

        from registry.curate.features.threads import on_threads

        return partial(on_threads, threads=1)
    from spark_jobs.features import spark_runner
    from spark_jobs.session import opened

    return spark_runner(stack.enter_context(opened("bench")))


def main() -> None:
    where, root, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    with ExitStack() as stack:
        run = runner(where, stack)
        print("ready", flush=True)
        for _ in sys.stdin:
            shutil.rmtree(out, ignore_errors=True)
            out.mkdir(parents=True)
            run(work_on(root), out, SILENT)
            print("done", flush=True)


if __name__ == "__main__":
    main()
