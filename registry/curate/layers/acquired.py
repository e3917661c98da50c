"""How samples were taken: what their columns, properties and sources say, in bands and words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.layers.places import Floats

__all__ = [
    "CLOUDS", "ELEVATIONS", "GSDS", "NUMBERS", "PEOPLE", "TEXTS", "Bands", "number", "text",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bands:
    """Numbers in named intervals, each from its lower edge to below its upper one."""

    edges: tuple[float, ...]
    """Between the bands, ascending."""

    labels: tuple[str, ...]
    """One more than edges."""

    def codes(self, values: Floats) -> npt.NDArray[np.int64]:
        """Return the place of each value's band; -1 for NaN."""
        return np.where(np.isnan(values), -1, np.searchsorted(self.edges, values, side="right"))


CLOUDS: Final = Bands((5, 20, 50, 80), ("0-5 %", "5-20 %", "20-50 %", "50-80 %", "80-100 %"))
"""Of cloud cover in percent."""

GSDS: Final = Bands(
    (1, 5, 15, 40, 150), ("below 1 m", "1-5 m", "5-15 m", "15-40 m", "40-150 m", "150 m and more")
)
"""Of ground sampling distance in metres."""

ELEVATIONS: Final = Bands(
    (0, 200, 500, 1000, 2000, 3000),
    ("below 0 m", "0-200 m", "200-500 m", "500-1000 m", "1000-2000 m", "2000-3000 m",
     "3000 m and more"),
)  # fmt: skip
"""Of elevation in metres above sea level."""

PEOPLE: Final = Bands(
    (1, 10, 100, 1000, 10_000),
    ("below 1", "1-10", "10-100", "100-1000", "1000-10000", "10000 and more"),
)
"""Of population, in its raster's own unit, such as people a square kilometre."""

NUMBERS: Final[Mapping[str, tuple[Bands, tuple[str, ...]]]] = {
    "elevation": (ELEVATIONS, ("elevation", "elevation_m")),
    "cloud": (CLOUDS, ("eo:cloud_cover", "cloud_cover", "cloudy_pixel_percentage")),
    "resolution": (GSDS, ("gsd", "eo:gsd", "resolution")),
}
"""Strata that are bands of a number, and where the number is looked for, in that order."""

TEXTS: Final[Mapping[str, tuple[str, ...]]] = {
    "sensor": ("sensor", "constellation", "platform", "instrument", "instruments", "source_type"),
    "orbit": ("orbit", "sat:orbit_state", "orbit_state", "orbit_direction"),
    "provider": ("provider", "source.provider"),
    "collection": ("collection", "source.collection"),
    "licence": ("licence", "source.licence", "license"),
    "annotator": ("annotator",),
}
"""Strata that are words, and where they are looked for, in that order."""

_LOWER: Final = frozenset({"sensor", "orbit"})


def text(samples: pa.Table, names: Sequence[str]) -> pa.DictionaryArray:
    """Return the first words that samples say under any of some names.

    Args:
        samples: The rows.
        names: Columns, properties, or ``source.<field>``, the first wins.

    Returns:
        Trimmed; names of sensors and directions in lower case; ``unknown`` where nothing is said.
    """
    said = pa.nulls(samples.num_rows, pa.string())
    for column in _said(samples, names):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            words = pc.utf8_trim_whitespace(column.cast(pa.string()))
        elif pa.types.is_integer(column.type) or pa.types.is_boolean(column.type):
            words = column.cast(pa.string())
        else:
            continue
        said = pc.coalesce(said, pc.if_else(pc.equal(words, ""), None, words))
    if names[0] in _LOWER:
        said = pc.utf8_lower(said)
    filled = pc.fill_null(said, "unknown")
    return filled.dictionary_encode()


def number(samples: pa.Table, names: Sequence[str]) -> Floats:
    """Return the first number that samples say under any of some names; NaN where none does.

    Args:
        samples: The rows.
        names: Columns or properties, the first wins.
    """
    result = np.full(samples.num_rows, np.nan)
    for column in _said(samples, names):
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
            result = np.where(np.isnan(result) & np.isfinite(values), values, result)
    return result


def _said(samples: pa.Table, names: Sequence[str]) -> Iterator[pa.Array]:
    """Yield what is said under each name: the column, then the property; or the source's field."""
    for name in names:
        holder, dot, key = name.partition(".")
        places = ((holder, key),) if dot else (("", name), ("properties", name))
        for place, field in places:
            if not place and field in samples.column_names:
                yield _whole(samples[field])
            elif place in samples.column_names and pa.types.is_struct(samples[place].type):
                struct = samples[place].type
                if len(struct.get_all_field_indices(field)) == 1:
                    yield _whole(pc.struct_field(_whole(samples[place]), [field]))


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
