"""Which samples of a version are meant: a subset of a split, a fold, a slice, or all of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.splits import in_lab_words, is_test, usual_split
from registry.catalog.version import Version
from registry.errors import InvalidInputError, NotFoundError
from registry.learn.loading.columns import same, words

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["BUT_TEST", "Choice", "choose", "split_table"]

BUT_TEST: Final = "but-test"
"""A word for all samples but those of ``test`` and ``test:<name>``: also those in no subset."""

_FOLDER: Final = "splits/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Some samples of a version, and what they were chosen by."""

    ids: pa.StringArray
    """The samples, in the order of the table ``samples``, each once."""

    splits: str | None
    """Name of the table of splits that was asked; None where none was."""

    said: str
    """The choice in words, such as ``train of splits/default in ships@v2``."""


def choose(
    version: Version,
    *,
    split: str | None = None,
    splits: str | None = None,
    fold: int | None = None,
    slice: str | None = None,  # noqa: A002 — the word users write
    ids: Sequence[str] | None = None,
    registry: "Registry | None" = None,
) -> Choice:
    """Return the samples that are meant, at least one.

    Args:
        version: Of which version.
        split: ``train``, ``validate``, ``test`` or ``test:<name>``; other words for them are
            understood; ``but-test`` for all that no test has; all samples if None.
        splits: Which table of splits, as in ``splits/<name>``; by default ``default``, else
            ``official``, else the only one.
        fold: Which fold of a cross-validation is held out, from 0.
        slice: Id of a slice that they must also be in.
        ids: Samples that they must also be among.
        registry: Where the slice is kept.

    Raises:
        NotFoundError: There is no such table of splits, or no such slice.
        InvalidInputError: No sample is left, or it is not clear which table is meant.
    """
    found = pa.chunked_array(
        [batch.column(0) for batch in version.scan("samples", ["id"])], pa.string()
    ).combine_chunks()
    said = str(version.ref)
    table = None
    if split is not None or splits is not None or fold is not None:
        table = split_table(version, splits)
        members = _members(version, table, split=split, fold=fold)
        inside = pc.is_in(found, value_set=members)
        found = found.filter(pc.invert(inside) if split == BUT_TEST else inside)
        said = f"{split or 'all subsets'} of splits/{table} in {version.ref}"
    if slice is not None:
        found = found.filter(pc.is_in(found, value_set=_sliced(version, slice, registry)))
        said = f"{said}, slice {slice}"
    if ids is not None:
        found = found.filter(pc.is_in(found, value_set=words(ids)))
        said = f"{said}, among {len(ids):,}"
    if not len(found):
        raise InvalidInputError(
            f"there is no sample in {said}", hint="choose another subset, or another version"
        )
    return Choice(ids=found, splits=table, said=said)


def split_table(version: Version, name: str | None = None) -> str:
    """Return the name of the table of splits that is meant, without its folder.

    Args:
        version: Of which version.
        name: The one that was asked for; None, or ``default``, for the usual one.

    Raises:
        NotFoundError: There is none, or none of that name.
        InvalidInputError: There are several, and none is the usual one.
    """
    if (found := usual_split(version, name)) is None:
        raise NotFoundError(
            f"{version.ref} has no split",
            hint=f"make one: eolab split {version.ref}; or take all samples: --split all, in "
            "Python split=None",
        )
    return found


def _members(version: Version, table: str, *, split: str | None, fold: int | None) -> pa.Array:
    """Return the samples of a subset; for ``but-test`` those of the tests, perhaps none.

    Raises:
        InvalidInputError: No sample is in the subset.
    """
    rows = pa.Table.from_batches(list(version.scan(f"{_FOLDER}{table}")))
    subsets = _as_the_lab_says(rows["subset"].combine_chunks())
    if fold is not None:
        subsets = _folded(subsets, rows, fold=fold, table=table)
    if split == BUT_TEST:
        tests = [word for word in subsets.drop_null().unique().to_pylist() if is_test(word)]
        judged = pc.is_in(subsets, value_set=words(tests))
        return rows["sample"].combine_chunks().filter(judged)
    if split is None:
        return rows["sample"].combine_chunks().filter(pc.is_valid(subsets))
    wanted = in_lab_words(split)
    found = rows["sample"].combine_chunks().filter(same(subsets, wanted))
    if not len(found):
        counts = Counter(subsets.drop_null().to_pylist())
        there = ", ".join(f"{name} ({n:,})" for name, n in sorted(counts.items())) or "no subset"
        raise InvalidInputError(
            f"subset {split!r} of splits/{table} in {version.ref} has no sample",
            hint=f"it has {there}",
        )
    return found


def _as_the_lab_says(said: pa.Array) -> pa.Array:
    coded = said.dictionary_encode()
    known = [in_lab_words(word) for word in coded.dictionary.to_pylist()]
    return words(known).take(coded.indices)


def _folded(subsets: pa.Array, rows: pa.Table, *, fold: int, table: str) -> pa.Array:
    """Return the subsets where one fold is held out: to validate, or to test if nothing else is.

    Raises:
        InvalidInputError: There is no such fold.
    """
    folds = rows["fold"].combine_chunks() if "fold" in rows.column_names else None
    there = [] if folds is None else sorted(folds.drop_null().unique().to_pylist())
    if folds is None or fold not in there:
        raise InvalidInputError(
            f"splits/{table} has no fold {fold}",
            hint=f"it has {', '.join(map(str, there)) or 'none: leave fold out'}",
        )
    whole = pc.is_valid(folds)
    tested = pc.any(pc.starts_with(subsets.filter(pc.invert(whole)), "test")).as_py()
    held = pc.if_else(pc.equal(folds, fold), "validate" if tested else "test", "train")
    return pc.if_else(whole, held, subsets)


def _sliced(version: Version, slice_id: str, registry: "Registry | None") -> pa.Array:
    from registry.catalog.registry import connect
    from registry.query.slices import find_slice

    found = find_slice(registry or connect(), slice_id)
    if found.dataset != version.dataset or found.content_id != version.content_id:
        raise InvalidInputError(
            f"slice {slice_id} was cut from {found.ref}, not from {version.ref}",
            hint=f"stream {found.ref}, or cut a slice of {version.ref}",
        )
    return words(found.ids)
