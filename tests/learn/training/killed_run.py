"""``python killed_run.py LAKE RECIPE FOLDER STEP``: a run that is killed once a step was taken."""

import os
import signal
import sys
from pathlib import Path

import torch

from registry.catalog import connect
from registry.learn.training import fit, named


class Watching:
    def __init__(self, last):
        self.last, self.taken = last, 0

    def stage(self, what, *, total, unit):
        self.taken = 0

    def advance(self, count=1):
        self.taken += count
        if self.taken == self.last:
            os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    torch.set_num_threads(1)
    lake, recipe, folder, last = sys.argv[1:]
    fit(connect(lake), named(recipe), seed=5, workdir=Path(folder), progress=Watching(int(last)))
