"""Kill writers at random points, again and again, and look at what they left.

Run it by itself for as long as wanted::

    python -m tests.faults.chaos --kills 10000 --seed 7
    python -m tests.faults.chaos --writers 16 --commits 1000
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.faults.crowd import crowd
from tests.faults.lake_storm import LakeStorm
from tests.faults.pipeline_storm import PipelineStorm

SAID_EVERY = 5.0
"""Seconds between two lines of progress."""

LOST = """{"kills": 0, "acknowledged": 0, "during": {}, "slowest_recovery_s": 0, "seconds": 0,
"problems": ["a storm ended without a word"]}"""


def storm(folder, *, kills, seed, pipelines):
    """Kill so many writers, of which a share make datasets; stop at the first problem.

    Returns:
        What happened.
    """
    (folder / "lakes").mkdir()
    (folder / "pipelines").mkdir()
    lakes, makers = LakeStorm(folder / "lakes", seed), PipelineStorm(folder / "pipelines", seed)
    both, began, said = (lakes, makers), time.monotonic(), time.monotonic()
    for number in range(1, kills + 1):
        turn = makers if int(number * pipelines) > int((number - 1) * pipelines) else lakes
        turn.strike()
        if any(each.problems for each in both):
            break
        if time.monotonic() - said > SAID_EVERY:
            said = time.monotonic()
            left = (said - began) / number * (kills - number)
            sys.stderr.write(f"storm {seed}: {number:,} of {kills:,} kills, {left:,.0f} s left\n")
    for each in both:
        each.check_everything()
    return {
        "kills": sum(each.kills for each in both),
        "acknowledged": sum(each.acknowledged for each in both),
        "during": {**lakes.during, **makers.during},
        "slowest_recovery_s": round(max(each.slowest_recovery for each in both), 3),
        "problems": [problem for each in both for problem in each.problems],
        "seconds": round(time.monotonic() - began),
    }


def storms(folder, *, jobs, kills, seed, pipelines):
    """Let several storms rage at once, each on lakes of its own.

    Returns:
        What happened, all together.
    """
    running = [
        subprocess.Popen(
            [
                sys.executable, "-m", "tests.faults.chaos", "--jobs", "1", "--folder", str(folder),
                "--kills", str(kills * (job + 1) // jobs - kills * job // jobs),
                "--seed", str(seed + job), "--pipelines", str(pipelines),
            ],
            stdout=subprocess.PIPE, text=True,
        )
        for job in range(jobs)
    ]  # fmt: skip
    told = [json.loads(job.communicate()[0] or LOST) for job in running]
    during = Counter()
    for each in told:
        during.update(each["during"])
    return {
        "kills": sum(each["kills"] for each in told),
        "acknowledged": sum(each["acknowledged"] for each in told),
        "during": dict(during),
        "slowest_recovery_s": max(each["slowest_recovery_s"] for each in told),
        "problems": [problem for each in told for problem in each["problems"]],
        "seconds": max(each["seconds"] for each in told),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--pipelines", type=float, default=0.1, help="share of kills in ingest, publish and such"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="how many storms at once")
    parser.add_argument("--writers", type=int, help="kill nobody; let so many commit at once")
    parser.add_argument("--commits", type=int, default=1_000, help="how often each does")
    parser.add_argument("--folder", type=Path, help="where the lakes are made, by default in /tmp")
    options = parser.parse_args()
    what = {"kills": options.kills, "seed": options.seed, "pipelines": options.pipelines}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        if options.writers:
            told = crowd(folder, writers=options.writers, commits=options.commits)
        elif options.jobs > 1:
            told = storms(folder, jobs=options.jobs, **what)
        else:
            told = storm(folder, **what)
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    sys.exit(bool(told.get("problems")))


if __name__ == "__main__":
    main()
