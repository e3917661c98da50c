"""Features by threads of this process: for versions that one machine reads in minutes."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from registry.curate.features.definition import FeatureSet
from registry.curate.features.evaluating import evaluate
from registry.curate.features.inputs import engine, pointers, with_pixels
from registry.curate.features.work import Work
from registry.progress import Progress
from registry.tables import store
from registry.tables.chips import ChipIndex

__all__ = ["on_threads"]

_AHEAD: Final = 2  # batches a thread that wait to be written
_ROW_GROUP: Final = 65_536

Asked = TypeVar("Asked")
Found = TypeVar("Found")


class _StoppedError(BaseException):
    """The work is to end; no failure of a sample, so nothing that takes those may take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stoppable(Work):
    """Work whose sets are asked about no further sample once it is to end.

    A thread cannot be ended from outside, and a batch of small chips is minutes of work.
    """

    stop: Event

    @property
    def sets(self) -> tuple[FeatureSet, ...]:
        """The sets, each with a look at whether to stop before it computes."""
        return tuple(
            replace(
                made,
                by_scene=made.by_scene and _unless(self.stop, made.by_scene),
                by_row=made.by_row and _unless(self.stop, made.by_row),
            )
            for made in (call.resolve() for call in self.calls)
        )


def _unless(stop: Event, call: Callable[[Asked], Found]) -> Callable[[Asked], Found]:
    def looked(asked: Asked) -> Found:
        if stop.is_set():
            raise _StoppedError
        return call(asked)

    return looked


def on_threads(work: Work, out: Path, progress: Progress, *, threads: int | None = None) -> None:
    """Do work on threads: a :class:`registry.curate.features.work.Runner`.

    Memory is bounded by what some batches of about 32 MB hold, whatever the version's size. An
    error or Ctrl-C ends it as soon as each thread has done the sample that it is at.

    Args:
        work: What to compute.
        out: Folder that gets one Parquet file of ``work.schema``.
        progress: Told of each batch.
        threads: How many; by default one a core, at most 8.
    """
    many = threads or min(8, os.cpu_count() or 1)
    out.mkdir(parents=True, exist_ok=True)
    stop = Event()
    own = _Stoppable(**{one.name: getattr(work, one.name) for one in fields(work)}, stop=stop)
    index = ChipIndex.open(work.root) if work.arrays and store.exists(work.root, "pixels") else None
    with (
        engine() as connection,
        pq.ParquetWriter(out / "part-0.parquet", work.schema, compression="zstd") as writer,
        ThreadPoolExecutor(many, thread_name_prefix="features") as pool,
    ):
        rows = pointers(connection, work)
        try:
            for values in _in_order(pool, rows, partial(_values, own, index), many * _AHEAD):
                writer.write_batch(values, row_group_size=_ROW_GROUP)
                progress.advance(values.num_rows)
        except BaseException:
            stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _values(work: Work, index: ChipIndex | None, batch: pa.RecordBatch) -> pa.RecordBatch:
    return evaluate(with_pixels(batch, index), work)


def _in_order(
    pool: ThreadPoolExecutor,
    batches: Iterator[pa.RecordBatch],
    call: "partial[pa.RecordBatch]",
    ahead: int,
) -> Iterator[pa.RecordBatch]:
    waiting: deque[Future[pa.RecordBatch]] = deque()
    for batch in batches:
        waiting.append(pool.submit(call, batch))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
