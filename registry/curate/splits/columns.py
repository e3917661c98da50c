"""What samples are divided by: a column, a property, their scene, or where and when they are."""

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.layers.strata import STRATA, UNKNOWN, strata_of
from registry.errors import InvalidInputError

__all__ = ["Divided", "divided", "having", "scenes_of", "stratum_by_label"]

Codes = npt.NDArray[np.int64]

_COLUMNS: Final = ("group", "label", "target")


class Divided:
    """Samples by the value that each has."""

    def __init__(self, name: str, values: pa.ChunkedArray | pa.Array) -> None:
        """Take the values of a column, one a sample; null is a value of its own.

        Raises:
            InvalidInputError: Its values are lists or the like.
        """
        whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        if pa.types.is_nested(whole.type):
            raise InvalidInputError(
                f"samples cannot be divided by '{name}', which is {whole.type}",
                hint="take a column that has one word, number or time a sample",
            )
        encoded = pc.dictionary_encode(pc.cast(whole, pa.string()), null_encoding="mask")
        self.name = name
        self.values: list[str] = encoded.dictionary.to_pylist()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        self.codes: Codes = codes.astype(np.int64)
        """Which of the values each sample has; -1 where it has none."""

    def units(self) -> Codes:
        """Return the unit of each sample; one without a value is a unit of its own."""
        units = self.codes.copy()
        alone = np.flatnonzero(units < 0)
        units[alone] = len(self.values) + np.arange(len(alone))
        return units

    def among(self, names: tuple[str, ...]) -> npt.NDArray[np.bool_]:
        """Return which samples have one of some values.

        Raises:
            InvalidInputError: No sample has one of them.
        """
        strange = [name for name in names if name not in self.values]
        if strange:
            raise InvalidInputError(
                f"no sample has {self.name} '{strange[0]}'",
                hint=f"there are {', '.join(sorted(self.values)[:20]) or 'none'}",
            )
        wanted = [self.values.index(name) for name in names]
        return np.isin(self.codes, wanted)


def divided(samples: pa.Table, by: str) -> Divided:
    """Return samples by a column.

    Args:
        samples: Rows of ``samples``.
        by: ``group``, ``label``, a property's name, ``scene``, or a stratum such as ``country``,
            ``climate``, ``season``, ``year``.

    Raises:
        InvalidInputError: There is no such column, or no sample has a value in it.
    """
    found = Divided(by, _column(samples, by))
    if not found.values or found.values == [UNKNOWN]:
        raise InvalidInputError(
            f"no sample has a value of '{by}'", hint=f"divide by another: {_offered(samples, by)}"
        )
    return found


def having(samples: pa.Table, by: str, values: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Return which samples have one of some values; of ``label``, among all that they have.

    Args:
        samples: Rows of ``samples``.
        by: As in :func:`divided`.
        values: As text, at least one.

    Raises:
        InvalidInputError: There is no such column, or no sample has one of them.
    """
    if by != "label":
        return divided(samples, by).among(values)
    labels = samples["label"].combine_chunks()
    each = Divided(by, labels.flatten())
    if not each.values:
        raise InvalidInputError(
            f"no sample has a label, so '{values[0]}' cannot be held out",
            hint=f"hold out by something that samples have: one of {_offered(samples, by)}; "
            "classes of annotations are no labels of samples",
        )
    found = np.zeros(samples.num_rows, bool)
    found[pc.list_parent_indices(labels).to_numpy()[each.among(values)]] = True
    return found


def scenes_of(samples: pa.Table) -> pa.Array:
    """Return which scene each sample was cut from: its source's item, else its address, or null."""
    if "source" not in samples.column_names:
        return pa.nulls(samples.num_rows, pa.string())
    source = samples["source"].combine_chunks()
    item = pc.struct_field(source, "item")
    collection = pc.fill_null(pc.struct_field(source, "collection"), "")
    named = pc.binary_join_element_wise(collection, item, "/")
    return pc.coalesce(named, pc.struct_field(source, "href"))


def stratum_by_label(samples: pa.Table) -> Codes:
    """Return the rarest label of each sample, so that rare classes are spread as well as common.

    Returns:
        Codes from 0, the most frequent label last; samples without a label share one of their own.

    Raises:
        InvalidInputError: No sample has a label.
    """
    labels = samples["label"].combine_chunks()
    flat, parents = labels.flatten(), pc.list_parent_indices(labels)
    counts = pc.value_counts(flat)
    if not len(counts):
        raise InvalidInputError(
            "no sample has a label, so there is nothing to stratify by",
            hint="name a column: --by country; or draw at random: --method random",
        )
    order = np.argsort(counts.field("counts").to_numpy(), kind="stable")
    by_rarity = counts.field("values").take(pa.array(order))
    rank = pc.index_in(flat, value_set=by_rarity).to_numpy(zero_copy_only=False)
    strata = np.full(samples.num_rows, len(by_rarity), np.int64)
    np.minimum.at(strata, parents.to_numpy(), rank)
    return strata


def _column(samples: pa.Table, by: str) -> pa.ChunkedArray | pa.Array:
    if by == "scene":
        return scenes_of(samples)
    if by == "label":
        return _label_sets(samples)
    if by in _COLUMNS and by in samples.column_names:
        return samples[by]
    if "properties" in samples.column_names:
        properties = samples["properties"].combine_chunks()
        if properties.type.get_field_index(by) >= 0:
            return pc.struct_field(properties, by)
    if by in STRATA:
        return strata_of(samples, columns=[by])[by].cast(pa.string())
    raise InvalidInputError(
        f"samples cannot be divided by '{by}'", hint=f"take one of {_offered(samples, by)}"
    )


def _label_sets(samples: pa.Table) -> pa.Array:
    """Return all labels of each sample as one text, in one order; null where it has none."""
    labels = pc.cast(samples["label"].combine_chunks(), pa.list_(pa.string()))
    coded = pc.binary_join(labels, "|").dictionary_encode()
    sets = ["|".join(sorted(set(one.split("|")))) or None for one in coded.dictionary.to_pylist()]
    return pa.array(sets, pa.string()).take(coded.indices)


def _offered(samples: pa.Table, but: str) -> str:
    """Return what else samples can be divided by: what any of them has, and places and times."""
    own = [one for one in _COLUMNS[:2] if one in samples.column_names] + ["scene"]
    if "properties" in samples.column_names:
        own += [field.name for field in samples["properties"].type]
    empty = {one for one in own if _column(samples, one).null_count == samples.num_rows}
    return ", ".join(one for one in dict.fromkeys([*own, *STRATA]) if one not in empty | {but})
