"""What a run leaves beside its weights: its history, its curves, its confusion, its answers."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from registry.learn.training.loop import Fitted
    from registry.learn.training.running import Run

__all__ = ["HISTORY", "files_of", "history_table"]

HISTORY: Final = pa.schema([
    pa.field("step", pa.int64(), metadata={"meaning": "steps that were taken by then"}),
    pa.field("epoch", pa.int32(), metadata={"meaning": "pass over the samples, from 0"}),
    pa.field("subset", pa.string(), metadata={"meaning": "train or validate"}),
    pa.field("name", pa.string(), metadata={"meaning": "loss, lr, or a figure"}),
    pa.field("value", pa.float64(), metadata={"meaning": "in the figure's own unit"}),
])
"""Columns of ``history.parquet``."""


def history_table(fitted: "Fitted") -> pa.Table:
    """Return every figure of a run as a table.

    Args:
        fitted: What the run came to.
    """
    columns = list(zip(*fitted.history, strict=True)) or [()] * len(HISTORY)
    return pa.table([pa.array(list(column)) for column in columns], names=HISTORY.names).cast(
        HISTORY
    )


def files_of(run: "Run", folder: Path, *, figures: bool) -> dict[str, Path]:
    """Write what is kept beside the weights.

    Args:
        run: What ran.
        folder: Where to.
        figures: Whether pictures may show scores; a smoke run's may not.

    Returns:
        Files by the names they get.
    """
    from registry.learn.training.pictures import draw_answers, draw_confusion, draw_curves

    files = {"history.parquet": folder / "history.parquet"}
    pq.write_table(history_table(run.fitted), files["history.parquet"], compression="zstd")
    made: dict[str, Any] = {"curves.png": draw_curves(run)}
    if figures:
        made |= {"confusion.png": draw_confusion(run), "predictions.png": draw_answers(run)}
    for name, picture in made.items():
        if picture is not None:
            files[name] = folder / name
            files[name].write_bytes(picture)
    return files
