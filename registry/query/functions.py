"""Pixels in SQL: functions that decode a chip where it is asked for.

A chip is the struct ``(codec, dtype, shape, nodata, data)`` that the view ``chips`` gives. Every
decoder checks the declared size before it inflates anything; what one call may inflate is bounded.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from registry.errors import InvalidInputError

__all__ = ["CHIP_FUNCTIONS", "register"]

CHIP: Final = "STRUCT(codec VARCHAR, dtype VARCHAR, shape INTEGER[], nodata DOUBLE, data BLOB)"
STATS: Final = (
    "STRUCT(band INTEGER, min DOUBLE, max DOUBLE, mean DOUBLE, std DOUBLE, valid BIGINT)[]"
)

MOST_BYTES: Final = 512 * 2**20
"""What the arrays of one call (at most 2,048 rows) may have together when decoded."""

_STATS_TYPE = pa.list_(
    pa.struct([
        ("band", pa.int32()), ("min", pa.float64()), ("max", pa.float64()),
        ("mean", pa.float64()), ("std", pa.float64()), ("valid", pa.int64()),
    ])
)  # fmt: skip


def chip_values(chips: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return each chip's values as one list, in C order."""
    return _each(chips, pa.list_(pa.float64()), lambda array, _: array.ravel().astype(np.float64))


def chip_bytes(chips: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return each chip's array as raw bytes, C order, little endian."""
    return _each(chips, pa.binary(), lambda array, _: _little(array).tobytes())


def chip_stats(chips: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return each band's statistics, without nodata, NaN and infinity."""
    return _each(chips, _STATS_TYPE, _stats)


def chip_value(
    chips: pa.ChunkedArray, band: pa.ChunkedArray, row: pa.ChunkedArray, column: pa.ChunkedArray
) -> pa.ChunkedArray:
    """Return one pixel of each chip; band counted from 1, row and column from 0, at upper left."""
    places = iter(zip(band.to_pylist(), row.to_pylist(), column.to_pylist(), strict=True))
    rows = (
        None if chip is None else _pixel(_decoded(chip), *next(places)) for chip in _rows(chips)
    )
    return pa.chunked_array([pa.array(list(rows), pa.float64())])


CHIP_FUNCTIONS: Final[dict[str, tuple[Callable[..., Any], list[str], str]]] = {
    "chip_bytes": (chip_bytes, [CHIP], "BLOB"),
    "chip_stats": (chip_stats, [CHIP], STATS),
    "chip_value": (chip_value, [CHIP, "INTEGER", "INTEGER", "INTEGER"], "DOUBLE"),
    "chip_values": (chip_values, [CHIP], "DOUBLE[]"),
}
"""Names in SQL, with what does the work, the types taken and the type given."""


def register(connection: duckdb.DuckDBPyConnection) -> None:
    """Teach an engine the functions over chips.

    Args:
        connection: An engine that is not locked yet.
    """
    for name, (function, takes, gives) in CHIP_FUNCTIONS.items():
        connection.create_function(  # type: ignore[call-overload]  # its stub knows no Arrow columns
            name,
            function,
            [duckdb.type(kind) for kind in takes],
            duckdb.type(gives),
            type="arrow",
            null_handling="special",
        )


def _each(
    chips: pa.ChunkedArray, kind: pa.DataType, work: Callable[[np.ndarray, float | None], object]
) -> pa.ChunkedArray:
    rows = [None if chip is None else work(_decoded(chip), chip["nodata"]) for chip in _rows(chips)]
    return pa.chunked_array([pa.array(rows, kind)])


def _rows(chips: pa.ChunkedArray) -> Iterator[dict[str, Any] | None]:
    # one at a time; None where there is none; no further than is wise
    spent = 0
    for chunk in chips.chunks:
        for scalar in chunk:
            chip = scalar.as_py()
            if chip is None or chip["data"] is None:
                yield None
                continue
            spent += _size(chip)
            if spent > MOST_BYTES:
                raise InvalidInputError(
                    f"the chips of one step decode to more than {MOST_BYTES >> 20} MiB",
                    hint="ask fewer chips at once: WHERE, or LIMIT in a subquery",
                )
            yield chip


def _size(chip: dict[str, Any]) -> int:
    return int(np.prod([max(n, 0) for n in chip["shape"]], dtype=object)) * _dtype(chip).itemsize


def _dtype(chip: dict[str, Any]) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(chip["dtype"])
    except TypeError as error:
        raise InvalidInputError(
            f"a chip says dtype {chip['dtype']!r}", hint="eolab check says which"
        ) from error
    if dtype.kind not in "biuf":
        raise InvalidInputError(f"a chip says dtype {dtype}", hint="eolab check says which")
    return dtype


def _decoded(chip: dict[str, Any]) -> np.ndarray:
    from registry.tables.pixels import decode

    return decode(
        chip["data"], codec=chip["codec"], dtype=chip["dtype"], shape=tuple(chip["shape"])
    )


def _little(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder("<"), copy=False)


def _stats(array: np.ndarray, nodata: float | None) -> list[dict[str, Any]]:
    bands = np.moveaxis(array, -3, 0) if array.ndim >= 3 else array[np.newaxis]  # noqa: PLR2004 — (band, y, x)
    return [_band_stats(index, band, nodata) for index, band in enumerate(bands, start=1)]


def _band_stats(index: int, band: np.ndarray, nodata: float | None) -> dict[str, Any]:
    values = band.astype(np.float64).ravel()
    valid = np.isfinite(values)
    if nodata is not None:
        valid &= values != nodata
    values = values[valid]
    row: dict[str, Any] = {"band": index, "valid": values.size}
    if values.size:
        row |= {
            "min": values.min(), "max": values.max(), "mean": values.mean(), "std": values.std(),
        }  # fmt: skip
    return row


def _pixel(
    array: np.ndarray, band: int | None, row: int | None, column: int | None
) -> float | None:
    if band is None or row is None or column is None:
        return None
    bands = array if array.ndim >= 3 else array[np.newaxis]  # noqa: PLR2004 — (band, y, x)
    depth, height, width = bands.shape[-3:]
    if not (1 <= band <= depth and 0 <= row < height and 0 <= column < width):
        return None
    if bands.ndim > 3:  # noqa: PLR2004 — the first of several times
        bands = bands[0]
    return float(bands[band - 1, row, column])
