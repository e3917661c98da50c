"""Kill writers at random points, again and again, and look at what they left.

Run it by itself for as long as wanted::

    python -m tests.faults.chaos --kills 10000 --seed 7
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.lake_storm import LakeStorm
from tests.faults.pipeline_storm import PipelineStorm

SAID_EVERY = 5.0
"""Seconds between two lines of progress."""


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
            sys.stderr.write(f"{number:,} of {kills:,} kills, {left:,.0f} s left\n")
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--pipelines", type=float, default=0.1, help="share of kills in ingest, publish and such"
    )
    parser.add_argument("--folder", type=Path, help="where the lakes are made, by default in /tmp")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        told = storm(
            Path(folder), kills=options.kills, seed=options.seed, pipelines=options.pipelines
        )
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    sys.exit(bool(told["problems"]))


if __name__ == "__main__":
    main()
