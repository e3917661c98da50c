"""A reference population that a user brings as a table."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.layers.packages import sha256_of
from registry.curate.layers.strata import STRATA, Lookup, place_strata
from registry.errors import InvalidInputError, NotFoundError

__all__ = ["own_population"]

_MOST_BYTES: Final = 1 << 30
_WEIGHT: Final = "weight"
_PLACE: Final = ("lon", "lat")
_HINT: Final = "give weight (finite, at least 0) beside strata such as continent, or lon and lat"


def own_population(
    path: Path, *, layers: Mapping[str, Lookup] = MappingProxyType({})
) -> tuple[pa.Table, str]:
    """Read a table of strata and weights, or of points and weights.

    Args:
        path: CSV with a header, or Parquet; at most 1 GiB. Other columns are left out.
        layers: Further strata, as for :func:`registry.curate.layers.strata.strata_of`.

    Returns:
        Columns of strata as text and ``weight``; and the SHA-256 of the file, in hex.

    Raises:
        NotFoundError: There is no such file.
        InvalidInputError: It is no such table.
    """
    if not path.is_file():
        raise NotFoundError(f"there is no file {path}", hint="name a .csv or .parquet file")
    if path.stat().st_size > _MOST_BYTES:
        raise InvalidInputError(f"{path} is larger than 1 GiB", hint="sum it up by strata first")
    known = [name for name in (*STRATA, *layers) if name not in _PLACE]
    table = _read(path, {_WEIGHT, *_PLACE, *known})
    strata = [name for name in table.column_names if name in known]
    if _WEIGHT not in table.column_names or not (strata or set(_PLACE) <= set(table.column_names)):
        raise InvalidInputError(
            f"{path.name} has no '{_WEIGHT}' beside strata or lon and lat",
            hint=f"{_HINT}; strata are {', '.join(known)}",
        )
    weights = _numbers(table, _WEIGHT, path)
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        row = int(np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))[:1].sum())
        raise InvalidInputError(
            f"{path.name} has the weight {weights[row : row + 1].tolist()} in row {row + 1}",
            hint=_HINT,
        )
    columns = {name: pc.fill_null(table[name].cast(pa.string()), "unknown") for name in strata}
    if set(_PLACE) <= set(table.column_names):
        lon, lat = (_numbers(table, name, path) for name in _PLACE)
        places = [one.name for one in STRATA.values() if one.kind == "place"]
        missing = [name for name in dict.fromkeys([*places, *layers]) if name not in columns]
        found = place_strata(lon, lat, missing, layers=layers)
        columns |= {name: column.cast(pa.string()) for name, column in found.items()}
    named = sorted(columns)
    whole = pa.table({**{name: columns[name] for name in named}, _WEIGHT: pa.array(weights)})
    summed = whole.group_by(named, use_threads=False).aggregate([(_WEIGHT, "sum")])
    ordered = summed.rename_columns([*named, _WEIGHT])
    return ordered.sort_by([(name, "ascending") for name in named]), sha256_of(path)


def _read(path: Path, wanted: set[str]) -> pa.Table:
    import pyarrow.csv
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() == ".parquet":
            schema = pq.read_schema(path)
            return pq.read_table(path, columns=[n for n in schema.names if n in wanted])
        table = pyarrow.csv.read_csv(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InvalidInputError(
            f"{path.name} cannot be read: {str(error)[:200]}", hint=_HINT
        ) from error
    if twice := {name for name in table.column_names if table.column_names.count(name) > 1}:
        raise InvalidInputError(
            f"{path.name} has the column {min(twice)!r} twice", hint="name each column once"
        )
    return table.select([name for name in table.column_names if name in wanted])


def _numbers(table: pa.Table, name: str, path: Path) -> np.ndarray:
    kind = table[name].type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise InvalidInputError(
            f"column '{name}' of {path.name} is {kind}, not numbers", hint=_HINT
        )
    numbers: np.ndarray = table[name].cast(pa.float64(), safe=False).to_numpy()
    return numbers
