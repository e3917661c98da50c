"""Which stratum each scored sample lies in: countries, climates, seasons, columns, features."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["UNKNOWN", "strata_of"]

UNKNOWN: Final = "unknown"
"""What a sample is in where nothing says."""

_PARTS: Final = 4
_MOST: Final = 50


def strata_of(
    version: "Version", ids: Sequence[str], by: Sequence[str]
) -> Mapping[str, tuple[str, ...]]:
    """Return the stratum of each sample, for each dimension that was asked for.

    Args:
        version: Whose samples.
        ids: The samples.
        by: Dimensions: a layer such as ``country``, ``climate`` or ``season``; a column of
            samples such as ``group`` or ``provider``; one of ``properties``, with or without that
            word; or a feature as ``set.column``. Numbers are divided into four parts of equally
            many samples.

    Returns:
        By dimension, a stratum a sample.

    Raises:
        InvalidInputError: There is no such dimension, or it has more than 50 strata.
    """
    if not by:
        return {}
    rows = version.table("samples")
    place = pc.index_in(pa.array(ids, pa.string()), value_set=rows["id"].combine_chunks())
    samples = rows.take(place)
    own = _own(samples)
    layers: dict[str, pa.ChunkedArray] = {}
    found: dict[str, tuple[str, ...]] = {}
    for name in by:
        column = own.get(name) or own.get(name.removeprefix("properties."))
        if column is None:
            column = _feature(version, name, ids)
        if column is None:
            layers = layers or _layers(samples)
            column = layers.get(name)
        if column is None:
            raise InvalidInputError(
                f"there is nothing called '{name}' to divide scores by",
                hint=f"there are {', '.join([*layers, *own])}, or a feature as set.column",
            )
        found[name] = _parts(column)
        if len(set(found[name])) > _MOST:
            raise InvalidInputError(
                f"'{name}' has {len(set(found[name]))} strata",
                hint=f"divide by something that has at most {_MOST}",
            )
    return found


def _layers(samples: pa.Table) -> dict[str, pa.ChunkedArray]:
    from registry.curate.layers.strata import strata_of as sorted_by_layers

    strata = sorted_by_layers(samples)
    return {name: strata[name] for name in strata.column_names if name != "id"}


def _own(samples: pa.Table) -> dict[str, pa.ChunkedArray]:
    found = {"group": samples["group"]}
    if "source" in samples.column_names:
        source = samples["source"].combine_chunks()
        found |= {name: pc.struct_field(source, name) for name in ("provider", "collection")}
    if "properties" in samples.column_names:
        properties = samples["properties"].combine_chunks()
        names = [field.name for field in properties.type]
        found |= {name: pc.struct_field(properties, [name]) for name in names}
    return found


def _feature(version: "Version", name: str, ids: Sequence[str]) -> pa.Array | None:
    table, _, column = name.partition(".")
    if not column or f"features/{table}" not in version.tables():
        return None
    rows = version.table(f"features/{table}")
    if "sample" not in rows.column_names or column not in rows.column_names:
        return None
    place = pc.index_in(pa.array(ids, pa.string()), value_set=rows["sample"].combine_chunks())
    return rows[column].take(place)


def _parts(column: pa.Array | pa.ChunkedArray) -> tuple[str, ...]:
    """Return what each value is called; numbers by the quarter that they lie in."""
    if not pa.types.is_floating(column.type):
        said = [UNKNOWN if one is None else str(one) for one in column.to_pylist()]
        return tuple(one.strip() or UNKNOWN for one in said)
    values = np.array([np.nan if one is None else one for one in column.to_pylist()], np.float64)
    known = np.isfinite(values)
    if not known.any():
        return (UNKNOWN,) * len(values)
    inner = np.quantile(values[known], np.arange(1, _PARTS) / _PARTS)
    edges = np.unique([values[known].min(), *inner, values[known].max()])
    if len(edges) == 1:
        edges = np.append(edges, edges)
    part = np.clip(np.searchsorted(edges[1:-1], values, side="left"), 0, len(edges) - 2)
    names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    return tuple(
        names[place] if there else UNKNOWN for place, there in zip(part, known, strict=True)
    )
