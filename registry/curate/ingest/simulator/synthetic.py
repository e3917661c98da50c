"""Samples without pixels: a table of millions of rows in seconds, for benchmarks."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.curate.ingest.simulator.batches import PROPERTIES
from registry.curate.ingest.simulator.places import PLACES
from registry.curate.ingest.simulator.tasks import TASKS
from registry.errors import InvalidInputError
from registry.geo import hilbert_key
from registry.tables.schemas import samples_schema

__all__ = ["samples_batches", "samples_table"]

_CHIP_M: Final = 1920.0  # 64 pixels of 30 m
_METRES_A_DEGREE: Final = 111_195.0
_NEAR_A_PLACE: Final = 0.6  # of all samples; the others lie anywhere between 60° S and 78° N
_FIRST_US: Final = 1_514_764_800_000_000  # 2018-01-01
_SPAN_US: Final = 6 * 365 * 86_400_000_000
_CLEAR: Final = 0.5  # share of samples without a cloud
_DIGITS: Final = 9
_PREFIX: Final = b"sim-"
# Little endian WKB of a polygon with one ring of five points: 13 bytes, then ten doubles.
_WKB: Final = np.dtype([("head", "V13"), ("ring", "<f8", (5, 2))])
_HEAD: Final = (
    bytes([1]) + (3).to_bytes(4, "little") + (1).to_bytes(4, "little") + (5).to_bytes(4, "little")
)


def samples_table(n: int, seed: int) -> pa.Table:
    """Return a samples table without pixels, in Hilbert order.

    Args:
        n: Rows, at least 0.
        seed: What chance starts from, at least 0.

    Returns:
        Columns of ``samples/`` with ``eo:cloud_cover``, ``gsd`` and the sun's angles; ids count
        in the order of ``hilbert``; square footprints of 1.9 km, more than half of them within 2°
        of ``PLACES``.

    Raises:
        InvalidInputError: A number is negative.

    Examples:
        >>> table = samples_table(1000, seed=1)
        >>> table.num_rows, table["id"][0].as_py()
        (1000, 'sim-000000000')
    """
    if n < 0 or seed < 0:
        raise InvalidInputError(f"n={n}, seed={seed} cannot be simulated", hint="give 0 or more")
    return _rows(n, 0, np.random.Generator(np.random.Philox(seed)))


def samples_batches(n: int, seed: int, *, batch: int = 500_000) -> Iterator[pa.Table]:
    """Make a samples table too large for memory, part by part.

    Args:
        n: Rows in all.
        seed: What chance starts from.
        batch: Rows in a part, at least 1.

    Yields:
        Tables like :func:`samples_table`'s, each in Hilbert order by itself.

    Raises:
        InvalidInputError: A number is out of range.
    """
    if n < 0 or seed < 0 or batch < 1:
        raise InvalidInputError(
            f"n={n}, seed={seed}, batch={batch} cannot be simulated", hint="give 0 or more"
        )
    for first in range(0, n, batch):
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, first])))
        yield _rows(min(batch, n - first), first, rng)


def _rows(n: int, first: int, rng: np.random.Generator) -> pa.Table:
    places = tuple(PLACES.values())
    near = rng.random(n) < _NEAR_A_PLACE
    which = rng.integers(0, len(places), n)
    lon, lat = _points(n, rng, near, which)
    keys = hilbert_key(lon, lat)
    order = np.argsort(keys, kind="stable")
    lon, lat, keys, near, which = lon[order], lat[order], keys[order], near[order], which[order]
    classes = TASKS["classification"].classes
    label = rng.choice(len(classes), n, p=_uneven(len(classes)))
    moment = _FIRST_US + rng.integers(0, _SPAN_US // 1_000_000, n) * 1_000_000
    box = _boxes(lon, lat)
    schema = samples_schema(PROPERTIES).arrow
    columns = {
        "id": _ids(n, first),
        "geometry": _polygons(box),
        "bbox": pa.StructArray.from_arrays(
            [pa.array(edge) for edge in box], fields=list(schema.field("bbox").type)
        ),
        "datetime": pa.array(moment, pa.timestamp("us", "UTC")),
        "label": pa.ListArray.from_arrays(
            np.arange(n + 1, dtype=np.int32), pa.array(classes).take(pa.array(label))
        ),
        "group": pa.array([*(place.name for place in places), "elsewhere"]).take(
            pa.array(np.where(near, which, len(places)))
        ),
        "georeferenced": pa.repeat(pa.scalar(value=True), n),
        "hilbert": pa.array(keys),
        "properties": _properties(n, rng, lat),
    }
    arrays = [columns.get(field.name) for field in schema]
    return pa.Table.from_arrays(
        [
            pa.nulls(n, field.type) if array is None else array
            for array, field in zip(arrays, schema, strict=True)
        ],
        schema=schema,
    )


def _points(
    n: int, rng: np.random.Generator, near: npt.NDArray[np.bool_], which: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    middle = np.array([(place.lon, place.lat) for place in PLACES.values()])[which]
    south, north = np.sin(np.radians(-60.0)), np.sin(np.radians(78.0))
    lon = np.where(near, middle[:, 0] + rng.normal(0, 0.8, n), rng.uniform(-180, 180, n))
    anywhere = np.degrees(np.arcsin(rng.uniform(south, north, n)))
    lat = np.where(near, middle[:, 1] + rng.normal(0, 0.7, n), anywhere)
    # Whole boxes stay on one side of the antimeridian, as those of single chips nearly always do.
    return np.clip(np.mod(lon + 180, 360) - 180, -179.9, 179.9), np.clip(lat, -83, 83)


def _boxes(
    lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], ...]:
    half_lat = _CHIP_M / 2 / _METRES_A_DEGREE
    half_lon = half_lat / np.cos(np.radians(lat))
    return lon - half_lon, lat - half_lat, lon + half_lon, lat + half_lat


def _polygons(box: tuple[npt.NDArray[np.float64], ...]) -> pa.Array:
    west, south, east, north = box
    records = np.empty(west.size, _WKB)
    records["head"] = np.frombuffer(_HEAD, "V13")[0]
    x = np.stack([west, east, east, west, west], axis=1)
    y = np.stack([south, south, north, north, south], axis=1)
    records["ring"] = np.stack([x, y], axis=2)
    return _fixed_width(pa.binary(), records.size, _WKB.itemsize, records)


def _ids(n: int, first: int) -> pa.Array:
    number = np.arange(first, first + n)
    text = np.empty((n, len(_PREFIX) + _DIGITS), np.uint8)
    text[:, : len(_PREFIX)] = np.frombuffer(_PREFIX, np.uint8)
    for digit in range(_DIGITS):
        text[:, -1 - digit] = number % 10 + ord("0")
        number = number // 10
    return _fixed_width(pa.string(), n, text.shape[1], text)


def _fixed_width(kind: pa.DataType, n: int, width: int, data: npt.NDArray[np.generic]) -> pa.Array:
    offsets = np.arange(n + 1, dtype=np.int64) * width
    if n * width >= 2**31:
        raise InvalidInputError(f"{n} rows do not fit one table", hint="use samples_batches")
    buffers = [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(kind, n, buffers)


def _uneven(count: int) -> npt.NDArray[np.float64]:
    share = 1 / np.arange(1, count + 1)
    return np.asarray(share / share.sum())


def _properties(n: int, rng: np.random.Generator, lat: npt.NDArray[np.float64]) -> pa.Array:
    cloud = np.where(rng.random(n) < _CLEAR, 0.0, rng.beta(1.2, 4.0, n) * 100)
    sun = np.clip(90 - np.abs(lat) + rng.uniform(-23, 23, n), 5, 88)
    columns = [cloud.round(2), np.full(n, 30.0), sun.round(2), rng.uniform(90, 170, n).round(2)]
    return pa.StructArray.from_arrays(
        [pa.array(column) for column in columns], fields=list(PROPERTIES)
    )
