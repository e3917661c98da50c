"""``torchrun shared_run.py LAKE RECIPE FOLDER``: each process says what it wrote."""

import json
import os
import sys
from pathlib import Path

import pyarrow.parquet as pq
import torch

from registry.catalog import connect
from registry.learn.training import named, train

if __name__ == "__main__":
    torch.set_num_threads(1)
    lake, recipe, folder = sys.argv[1:]
    model = train(connect(lake), named(recipe), seed=2, workdir=Path(folder) / "together")
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
        }  # fmt: skip
    (Path(folder) / f"models-{os.environ['RANK']}").write_text(json.dumps(said))
