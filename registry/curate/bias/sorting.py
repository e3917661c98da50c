"""Which stratum each sample lies in: by the layers, and by what the dataset itself says."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.layers.strata import UNKNOWN, Lookup, strata_of

__all__ = ["UNKNOWN", "sorted_out"]

_SEVERAL: Final = "several"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def sorted_out(
    samples: pa.Table, layers: Mapping[str, Lookup] = MappingProxyType({})
) -> dict[str, pa.ChunkedArray]:
    """Return the stratum of each sample, for each dimension.

    Args:
        samples: Rows of ``samples``, with any of what engines join to them.
        layers: Further strata, or others' places taken, by name.

    Returns:
        Dictionary-encoded strings by dimension, none of them null and none with a control
        character.
    """
    strata = strata_of(samples, layers=layers)
    columns = {name: strata[name] for name in strata.column_names if name != "id"}
    columns |= _own(samples)
    return {name: _tidy(column) for name, column in sorted(columns.items())}


def _own(samples: pa.Table) -> dict[str, pa.ChunkedArray]:
    own: dict[str, pa.ChunkedArray] = {}
    for name in samples.column_names:
        if name.startswith("split "):
            own[name] = samples[name]
    for name, column in (("annotator", "annotators"), ("label method", "methods")):
        if column in samples.column_names:
            own[name] = _one(samples[column].cast(pa.list_(pa.string())))
    return own


def _one(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return what a list holds where it is one thing, else that it holds several."""
    sizes = pc.fill_null(pc.list_value_length(lists), 0)
    first = pc.list_element(
        pc.if_else(pc.greater(sizes, 0), lists, pa.scalar([None], lists.type)), 0
    )
    return pc.if_else(pc.greater(sizes, 1), _SEVERAL, first)


def _tidy(column: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
    whole = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    if not pa.types.is_dictionary(whole.type):
        whole = whole.cast(pa.string()).dictionary_encode()
    packed = whole.unify_dictionaries().combine_chunks()
    if isinstance(packed, pa.ChunkedArray):
        packed = packed.chunk(0) if packed.num_chunks else pa.array([], packed.type)
    said = packed.dictionary.to_pylist()
    tidy = [None if one is None else _CONTROL.sub(" ", one).strip() or UNKNOWN for one in said]
    values = pa.array(tidy, pa.string())
    indices = packed.indices.cast(pa.int32())
    if indices.null_count or values.null_count:
        filled = pc.fill_null(values.take(indices), UNKNOWN)
        return pa.chunked_array([filled.dictionary_encode()])
    return pa.chunked_array([pa.DictionaryArray.from_arrays(indices, values)])
