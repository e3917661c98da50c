"""One look at every stored array: does it unpack, is it what its name says, what is in it.

Arrays stream through a few threads; as many batches are in memory as there are threads, and two.
"""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import CorruptError, InvalidInputError, RegistryError
from registry.lake import Location
from registry.progress import SILENT, Progress
from registry.tables import store
from registry.tables.pixels import JPEG, decode, pixel_digest

__all__ = ["OBSERVED", "observe"]

OBSERVED = pa.schema([
    ("sha256", pa.binary()),
    ("problem", pa.string()),  # why it does not unpack; null if it does
    ("pointer", pa.bool_()),  # its bytes are a Git-LFS pointer
    ("matches", pa.bool_()),  # its digest is its name; null if it does not unpack
    ("elements", pa.int64()),
    ("nan", pa.int64()),  # NaN where NaN is not the nodata value
    ("nodata", pa.int64()),  # elements that are the nodata value
    ("least", pa.float64()),  # of the elements that are neither, or their parts; null if none are
    ("greatest", pa.float64()),
    ("top", pa.int64()),  # elements in the top twelfth of an unsigned type of 16 or 32 bits
    ("values", pa.list_(pa.int64())),  # which integers occur, for labels of 8 bits
])
"""One row a stored array that an asset points to, and one without a digest for what cannot be
read at all."""

_POINTER = b"version https://git-lfs.github.com/spec/v1"


@dataclass(frozen=True, slots=True)
class _Expected:
    """What the assets say of an array; arrays alike share one, so a million take little."""

    dtype: str
    shape: tuple[int, ...]
    nodata: float | None
    labels: bool


def observe(
    root: Location, assets: pa.Table, specs: pa.Table, *, progress: Progress = SILENT
) -> pa.Table:
    """Look at every array of ``pixels`` that an asset points to.

    Args:
        root: The dataset's folder.
        assets: The whole ``assets`` table.
        specs: One row an asset: whether it holds ``labels``.
        progress: Told how many arrays were looked at.

    Returns:
        Rows of ``OBSERVED``, in the order of ``pixels``.
    """
    expected = _expectations(assets, specs)
    progress.stage("looking at pixels", total=len(expected), unit="arrays")
    batches = []
    for seen in _in_threads(root, expected):
        batches.append(seen)
        progress.advance(seen.num_rows)
    return pa.Table.from_batches(batches, schema=OBSERVED)


def _expectations(assets: pa.Table, specs: pa.Table) -> dict[bytes, _Expected]:
    labels = {row["asset"] for row in specs.to_pylist() if row["labels"]}
    stored = assets.select(["asset", "pixels", "dtype", "shape", "nodata"])
    stored = stored.filter(pc.is_valid(stored.column("pixels")))
    expected: dict[bytes, _Expected] = {}
    alike: dict[_Expected, _Expected] = {}
    for batch in stored.to_batches(max_chunksize=65_536):
        columns = (batch.column(name).to_pylist() for name in batch.schema.names)
        for asset, digest, dtype, shape, nodata in zip(*columns, strict=True):
            one = _Expected(dtype or "", tuple(shape or ()), nodata, asset in labels)
            expected.setdefault(digest, alike.setdefault(one, one))
    return expected


def _in_threads(root: Location, expected: dict[bytes, _Expected]) -> Iterator[pa.RecordBatch]:
    workers = min(8, len(os.sched_getaffinity(0)))
    waiting: deque[Future[pa.RecordBatch]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for batch in store.scan(root, "pixels"):
                waiting.append(pool.submit(_look_at_batch, batch, expected))
                if len(waiting) > workers + 1:
                    yield waiting.popleft().result()
        except (CorruptError, pa.ArrowException, OSError) as error:
            # Parquet itself is damaged: say so once, and judge what was readable
            yield _batch([{"problem": _first_line(error)}])
        while waiting:
            yield waiting.popleft().result()


def _look_at_batch(batch: pa.RecordBatch, expected: dict[bytes, _Expected]) -> pa.RecordBatch:
    columns = [batch.column(batch.schema.get_field_index(n)) for n in ("sha256", "codec", "data")]
    rows = []
    for digest, codec, data in zip(*columns, strict=True):
        wanted = expected.get(digest.as_py())
        if wanted is not None:
            row = _look(digest.as_py(), str(codec), memoryview(data.as_buffer()), wanted)
            rows.append(row)
    return _batch(rows)


def _batch(rows: list[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(rows, schema=OBSERVED)


def _look(digest: bytes, codec: str, data: memoryview, wanted: _Expected) -> dict[str, Any]:
    row: dict[str, Any] = {"sha256": digest}
    if bytes(data[: len(_POINTER)]) == _POINTER:
        return row | {"problem": "its bytes are a Git-LFS pointer", "pointer": True}
    try:
        array = decode(data, codec=codec, dtype=wanted.dtype, shape=wanted.shape)
    except (CorruptError, InvalidInputError) as error:
        return row | {"problem": error.problem}
    return row | {"matches": _digest(codec, data, array) == digest} | _content(array, wanted)


def _digest(codec: str, data: memoryview, array: np.ndarray) -> bytes:
    import hashlib

    return hashlib.sha256(data).digest() if codec == JPEG else pixel_digest(array)


def _content(array: np.ndarray, wanted: _Expected) -> dict[str, Any]:
    row: dict[str, Any] = {"elements": array.size, "nan": 0, "nodata": 0}
    if array.dtype.kind == "c":
        missing = np.isnan(array)
        row["nan"] = int(missing.sum())
        return row | _range(np.ascontiguousarray(array[~missing]).view(array.real.dtype))
    kept = array
    if array.dtype.kind == "f":
        missing = np.isnan(array)
        count = int(missing.sum())
        declared = wanted.nodata is not None and np.isnan(wanted.nodata)
        row["nodata" if declared else "nan"] = count
        kept = array[~missing] if count else array
    if wanted.nodata is not None and not np.isnan(wanted.nodata):
        empty = kept == wanted.nodata
        row["nodata"] = int(empty.sum())
        kept = kept[~empty] if row["nodata"] else kept
    if kept.size and wanted.labels and array.dtype.itemsize == 1:
        row["values"] = np.unique(kept).astype(np.int64).tolist()
    return row | _range(kept) | _top(kept)


def _top(kept: np.ndarray) -> dict[str, int]:
    """Count what would be small negative numbers if an unsigned type were signed.

    Returns:
        The column ``top``; nothing for other types.
    """
    if kept.dtype.kind != "u" or kept.dtype.itemsize not in {2, 4}:
        return {}
    most = int(np.iinfo(kept.dtype).max)
    return {"top": int(np.count_nonzero(kept > most - most // 12))}


def _range(kept: np.ndarray) -> dict[str, float]:
    return {"least": float(kept.min()), "greatest": float(kept.max())} if kept.size else {}


def _first_line(error: Exception) -> str:
    said = error.problem if isinstance(error, RegistryError) else str(error)
    return said.splitlines()[0] if said else type(error).__name__
