"""``torchrun shared_run.py LAKE RECIPE FOLDER [STEP]``: each process says what it wrote.

With a step, the second process is asked to end once that was taken. Without one, both learn from
``uneven.yaml`` in the folder too.
"""

import json
import os
import signal
import sys
from pathlib import Path

import pyarrow.parquet as pq
import torch

from registry.catalog import connect
from registry.learn.training import named, tasks, train
from registry.learn.training.tasks import Task


class Asked:
    def __init__(self, last):
        self.last, self.taken = last, 0

    def stage(self, what, *, total, unit):
        self.taken = 0

    def advance(self, count=1):
        self.taken += count
        if self.taken == self.last and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)


MEASURED = []  # samples that this process asked the network for, epoch after epoch


class Resting(Task):
    """Normalises by no batch, as each way has batches of its own."""

    def train(self, mode=True):  # noqa: FBT002 — torch's own
        super().train(mode)
        for module in self.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eval()
        return self


class Listening(Resting):
    def validation_step(self, batch, index):
        MEASURED.append(len(batch["id"]))
        super().validation_step(batch, index)


if __name__ == "__main__":
    torch.set_num_threads(1)
    tasks.Task = Listening
    lake, recipe, folder, *last = sys.argv[1:]
    model = train(
        connect(lake), named(recipe), seed=2, workdir=Path(folder) / "together",
        progress=Asked(int(last[0]) if last else None),
    )  # fmt: skip
    said = {"ref": None}
    if model is not None:
        history = pq.read_table(model.path("history.parquet")).to_pylist()
        said = {
            "ref": model.ref,
            "weights": str(model.path("model.safetensors")),
            "lost": [
                row["value"] for row in history
                if row["subset"] == "validate" and row["name"] == "loss"
            ],
            "accuracy": [
                row["value"] for row in history
                if row["subset"] == "validate" and row["name"] == "accuracy"
            ],
        }  # fmt: skip
    said["measured"] = [*MEASURED]
    model = train(
        connect(lake), named(str(Path(folder) / "uneven.yaml")), seed=2,
        workdir=Path(folder) / "uneven",
    )  # fmt: skip
    if model is not None:
        history = pq.read_table(model.path("history.parquet")).to_pylist()
        said["uneven"] = {
            "weights": str(model.path("model.safetensors")),
            "trained": [
                row["value"] for row in history
                if row["subset"] == "train" and row["name"] == "loss"
            ],
        }  # fmt: skip
    (Path(folder) / f"models-{os.environ['RANK']}").write_text(json.dumps(said))
