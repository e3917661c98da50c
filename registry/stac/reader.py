"""STAC items come in: any of their usual forms, as a bounded stream of Arrow batches."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pyarrow as pa

from registry.stac.foreign import is_parquet, parquet_batches
from registry.stac.rows import Judged, Refuse, Refused, judge, lay_out, stop
from registry.stac.schema import ITEMS
from registry.stac.sources import LIMITS, Limits, documents

__all__ = ["LIMITS", "Limits", "read"]

_BATCH_ROWS: Final = 1024
_BATCH_BYTES: Final = 4 << 20
_THREADS: Final = 2


def read(
    path: str | Path, *, refuse: Refuse = stop, limits: Limits = LIMITS
) -> pa.RecordBatchReader:
    """Read STAC items as rows of one declared schema.

    Memory is bounded by a batch, whatever the size of the file. STAC 1.0 and 1.1 are read alike.

    Args:
        path: ``.ndjson`` (``.gz``), a JSON item, item collection, catalog or collection,
            stac-geoparquet (``.parquet``), or a folder of item files.
        refuse: Called with place and problem of each item that cannot be a row, which is then
            left out; by default the first one is an error.
        limits: What is too large.

    Returns:
        Batches of :data:`registry.stac.schema.ITEMS`, at most 1,024 rows each, in the order of
        the source. Errors in the source come when its place is reached.

    Raises:
        NotFoundError: There is nothing at ``path``.
        InvalidInputError: It is no form of STAC that is known, or is damaged.

    References:
        STAC Item 1.1.0 and 1.0.0; stac-geoparquet 1.0 and 1.1.

    Examples:
        >>> import json, pathlib, tempfile
        >>> item = {"type": "Feature", "stac_version": "1.1.0", "id": "a", "geometry": None,
        ...         "properties": {"datetime": "2024-05-01T10:00:00Z"}, "links": [], "assets": {}}
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lines = pathlib.Path(folder, "items.ndjson")
        ...     _ = lines.write_text(json.dumps(item))
        ...     read(lines).read_all().column("datetime").to_pylist()
        [datetime.datetime(2024, 5, 1, 10, 0, tzinfo=...)]
    """
    source = Path(path)
    if is_parquet(source):
        batches = parquet_batches(source, refuse=refuse)
    else:
        batches = _batches(source, refuse, limits)
    return pa.RecordBatchReader.from_batches(ITEMS, batches)


def _batches(path: Path, refuse: Refuse, limits: Limits) -> Iterator[pa.RecordBatch]:
    # items are judged here while two threads lay out those before: DuckDB and Arrow free the lock
    with ThreadPoolExecutor(max_workers=_THREADS) as threads:
        waiting: deque[Future[tuple[pa.RecordBatch, Refused]]] = deque()
        for items in _gathered(path, refuse, limits):
            if len(waiting) == _THREADS:
                yield _told(waiting.popleft().result(), refuse)
            waiting.append(threads.submit(lay_out, items))
        while waiting:
            yield _told(waiting.popleft().result(), refuse)


def _gathered(path: Path, refuse: Refuse, limits: Limits) -> Iterator[list[Judged]]:
    items: list[Judged] = []
    size = 0
    for text, origin in documents(path, refuse=refuse, limits=limits):
        try:
            items.append(judge(text, origin))
        except ValueError as error:
            refuse(origin, str(error))
            continue
        size += len(text)
        if len(items) >= _BATCH_ROWS or size >= _BATCH_BYTES:
            yield items
            items, size = [], 0
    if items:
        yield items


def _told(done: tuple[pa.RecordBatch, Refused], refuse: Refuse) -> pa.RecordBatch:
    batch, refused = done
    for where, problem in refused:
        refuse(where, problem)
    return batch
