"""A published version as large as the machine allows: ten million rows, chips for some of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa

from bench.ground import emptied

if TYPE_CHECKING:
    from registry.catalog import Registry

__all__ = ["CHIPS", "ROWS", "published"]

ROWS: Final = 10_000_000
"""Rows of metadata at full size."""

CHIPS: Final = 200_000
"""Chips at full size, 6 x 64 x 64 pixels of 2 bytes: 49 kB each, 10 GB."""

BANDS: Final = ("B02", "B03", "B04", "B8A", "B11", "B12")
_EDGE: Final = 64
_SEED: Final = 13
_ROWS_AT_ONCE: Final = 500_000
_CHIPS_AT_ONCE: Final = 512
_GROUNDS: Final = 64


def published(place: Path, *, rows: int, chips: int) -> "Registry":
    """Return a registry with ``large@v1``, made the first time; the two counts decide what it is.

    Args:
        place: The work folder; what is there from before is used.
        rows: Samples.
        chips: How many of the first samples have an array, at most ``rows``.
    """
    from registry import Spec, connect
    from registry.catalog.card.spec import AssetSpec
    from registry.lake import init

    folder = place / f"large-{rows}-{chips}"
    if folder.exists():
        return connect(str(folder / "lake"))
    half = emptied(place / "large.half")
    init(str(half / "lake"))
    registry = connect(str(half / "lake"))
    image = AssetSpec(bands=BANDS, scale=0.0001, gsd=30, unit="reflectance", role="data")
    draft = registry.create(Spec(name="large", assets={"image": image}))
    repository, main = draft.repository, draft.repository.resolve("main")
    with repository.workspace(draft.branch) as workspace:
        _fill(workspace.path, rows, chips)
        # Twenty checks on ten million rows are another benchmark's: this one begins after them.
        commit = workspace.commit("rows and chips", metadata={"verdict": "passed"}).id
    repository.advance("main", to=commit, expected=main)
    registry.release("large", commit=commit, message="as large as it goes")
    half.rename(folder)
    return connect(str(folder / "lake"))


def _fill(root: Path, rows: int, chips: int) -> None:
    from registry.curate.ingest.simulator import samples_batches
    from registry.tables import samples_schema, schemas, store

    batches = samples_batches(rows, seed=_SEED, batch=_ROWS_AT_ONCE)
    first = next(batches)
    schema = samples_schema(first.schema.field("properties").type)
    store.overwrite(root, schema, _reader(first.schema, first, batches))
    digests: list[bytes] = []
    store.overwrite(
        root,
        schemas.PIXELS,
        pa.RecordBatchReader.from_batches(schemas.PIXELS.arrow, _pixels(chips, digests)),
    )
    store.overwrite(root, schemas.ASSETS, _assets(first["id"], digests))


def _reader(schema: pa.Schema, first: pa.Table, rest: Iterator[pa.Table]) -> pa.RecordBatchReader:
    def parts() -> Iterator[pa.RecordBatch]:
        yield from first.to_batches()
        for table in rest:
            yield from table.to_batches()

    return pa.RecordBatchReader.from_batches(schema, parts())


def _pixels(chips: int, digests: list[bytes]) -> Iterator[pa.RecordBatch]:
    from registry.tables import pixels, schemas

    grounds = _grounds()

    def encoded(number: int) -> pixels.EncodedArray:
        return pixels.encode(_chip(grounds, number))

    with ThreadPoolExecutor() as threads:
        for start in range(0, chips, _CHIPS_AT_ONCE):
            numbers = range(start, min(start + _CHIPS_AT_ONCE, chips))
            arrays = list(threads.map(encoded, numbers))
            digests += [array.sha256 for array in arrays]
            columns = [
                [getattr(array, name) for array in arrays] for name in schemas.PIXELS.arrow.names
            ]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(values, one.type)
                    for values, one in zip(columns, schemas.PIXELS.arrow, strict=True)
                ],
                schema=schemas.PIXELS.arrow,
            )


def _grounds() -> np.ndarray:
    """Return scenes that compress as real ones do; shape ``(scene, band, y, x)``."""
    rng = np.random.default_rng(_SEED)
    size = 2 * _EDGE
    y, x = np.mgrid[0:size, 0:size] / size
    waves = rng.normal(0, 1, (_GROUNDS, len(BANDS), 4, 1, 1))
    fields = (
        1500
        + 400 * waves[:, :, 0] * np.sin(9 * x + waves[:, :, 1])
        + 400 * waves[:, :, 2] * np.cos(7 * y + waves[:, :, 3])
        + rng.normal(0, 40, (_GROUNDS, len(BANDS), size, size))
    )
    return np.asarray(np.clip(fields, 1, 10_000).astype(np.uint16))


def _chip(grounds: np.ndarray, number: int) -> np.ndarray:
    rng = np.random.default_rng([_SEED, number])
    scene, top, left = rng.integers(0, (_GROUNDS, _EDGE, _EDGE))
    cut = grounds[scene, :, top : top + _EDGE, left : left + _EDGE]
    return np.asarray(cut + rng.integers(0, 500, (len(BANDS), 1, 1), dtype=np.uint16))


def _assets(names: pa.ChunkedArray, digests: list[bytes]) -> pa.Table:
    from registry.tables import schemas

    count = len(digests)
    columns = {
        "sample": names.slice(0, count),
        "asset": pa.repeat("image", count),
        "pixels": pa.array(digests, pa.binary()),
        "shape": pa.array([[len(BANDS), _EDGE, _EDGE]] * count, pa.list_(pa.int32())),
        "dtype": pa.repeat("uint16", count),
        "times": pa.array([[]] * count, schemas.ASSETS.arrow.field("times").type),
    }
    return pa.Table.from_pydict(
        {
            field.name: columns.get(field.name, pa.nulls(count, field.type))
            for field in schemas.ASSETS.arrow
        },
        schema=schemas.ASSETS.arrow,
    )
