"""What a source says of training, validation and test, in its own words, as the lab's subsets."""

from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.splits import subset_of, subset_word_pattern
from registry.curate.formats.contract import PLAN_SPLIT

__all__ = ["OFFICIAL", "folder_split", "split_of"]

OFFICIAL: Final = "official"
"""Name of the split that a source brings, as in ``splits/official``."""

_FOLDER: Final = rf"(?i)(?:^|/)(?P<subset>{subset_word_pattern})(?:\d{{4}})?/"
_LEAST_SUBSETS: Final = 2  # a folder alone divides nothing


def split_of(samples: pa.ChunkedArray, words: pa.ChunkedArray) -> pa.Table:
    """Return a split from a source's words.

    Args:
        samples: Ids, each once.
        words: The source's word for the subset of each; null where it has none.

    Returns:
        Rows of ``PLAN_SPLIT``; samples without a word, or with an unknown one, have none.

    Examples:
        >>> split_of(pa.chunked_array([["a", "b"]]), pa.chunked_array([["val", None]])).to_pylist()
        [{'sample': 'a', 'subset': 'validate', 'fold': None}]
    """
    known = words.unique().drop_null()
    subsets = pa.array([subset_of(word) for word in known.to_pylist()], pa.string())
    subset = subsets.take(pc.index_in(words, value_set=known).combine_chunks())
    table = pa.table({
        "sample": samples.combine_chunks(),
        "subset": subset,
        "fold": pa.nulls(len(samples), pa.int32()),
    })
    return table.filter(pc.is_valid(table["subset"])).cast(PLAN_SPLIT)


def folder_split(assets: pa.Table) -> pa.Table | None:
    """Return the split that the folders of a source stand for: ``train``, ``val``, ``test``, ….

    Args:
        assets: Rows of ``PLAN_ASSETS``.

    Returns:
        Rows of ``PLAN_SPLIT``, none for samples that lie in folders of several subsets; None if
        the folders are not of two subsets at least.
    """
    if "file" not in assets.column_names:
        return None
    found = pc.struct_field(pc.extract_regex(assets["file"], _FOLDER), "subset")
    told = pa.table({"sample": assets["sample"], "word": found})
    told = told.filter(pc.is_valid(told["word"]))
    if not len(told):
        return None
    split = split_of(told["sample"], told["word"])
    grouped = split.group_by("sample").aggregate([("subset", "count_distinct"), ("subset", "min")])
    if len(split["subset"].unique()) < _LEAST_SUBSETS:
        return None
    sure = grouped.filter(pc.equal(grouped["subset_count_distinct"], 1))
    return pa.table({
        "sample": sure["sample"],
        "subset": sure["subset_min"],
        "fold": pa.nulls(len(sure), pa.int32()),
    }).cast(PLAN_SPLIT)
