"""Cells: samples that are in the same subsets of all splits, so that they are counted together."""

import json
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.catalog.splits import in_lab_words
from registry.catalog.version import Version
from registry.curate.features.work import CELL
from registry.errors import CorruptError

__all__ = ["EVERYTHING", "Subsets", "subsets_of_cells", "write_cells"]

EVERYTHING: Final = ("*", "*")
"""Split and subset that every sample is in."""

Subsets = list[list[tuple[str, str]]]
"""For each cell, the splits and subsets that its samples are in."""

_SUBSETS: Final = b"eolab.subsets"


def write_cells(version: Version, out: Path) -> Path:
    """Write which cell each sample is in: ``id`` and ``cell``.

    Args:
        version: The version; its splits may have been derived after it was published.
        out: The Parquet file.

    Returns:
        The file; its metadata say what the cells are.
    """
    ids = version.table("samples", columns=["id"]).column("id").combine_chunks()
    codes = np.zeros(len(ids), np.int64)
    names: list[list[tuple[str, str] | None]] = []
    for table in (name for name in version.tables() if name.startswith("splits/")):
        rows = version.table(table, columns=["sample", "subset"])
        split = table.removeprefix("splits/")
        at = pc.index_in(ids, value_set=rows.column("sample").combine_chunks())
        subset = rows.column("subset").combine_chunks().take(at).dictionary_encode()
        words = [in_lab_words(one) for one in subset.dictionary.to_pylist()]
        values = list(dict.fromkeys(words))  # several words may stand for one subset
        names.append([None, *((split, one) for one in values)])
        place = np.array([0, *(1 + values.index(one) for one in words)], np.int64)
        own = place[np.asarray(subset.indices.fill_null(-1)).astype(np.int64) + 1]
        codes = codes * len(names[-1]) + own
    distinct, cells = np.unique(codes, return_inverse=True)
    subsets = [[list(EVERYTHING), *_members(int(code), names)] for code in distinct]
    table = pa.table({"id": ids, CELL: pa.array(cells.reshape(-1).astype(np.int32))})
    pq.write_table(table.replace_schema_metadata({_SUBSETS: json.dumps(subsets)}), out)
    return out


def subsets_of_cells(file: Path) -> Subsets:
    """Return what the cells are that :func:`write_cells` wrote.

    Raises:
        CorruptError: Something else wrote the file.
    """
    try:
        said = json.loads((pq.read_schema(file).metadata or {})[_SUBSETS])
        return [[(str(split), str(subset)) for split, subset in cell] for cell in said]
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptError(
            "the file of cells does not say what they are", hint="report this"
        ) from error


def _members(code: int, names: list[list[tuple[str, str] | None]]) -> list[list[str]]:
    found = []
    for of_split in reversed(names):
        code, place = divmod(code, len(of_split))
        if (one := of_split[place]) is not None:
            found.append(list(one))
    return found[::-1]
