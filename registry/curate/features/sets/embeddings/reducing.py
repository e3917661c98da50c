"""Fewer numbers that say nearly the same: principal components over a whole table."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.errors import InvalidInputError

__all__ = ["Components", "fit_components", "reduce"]

_ROWS_AT_ONCE: Final = 4096

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Principal components of a table, with which other tables can be reduced alike."""

    mean: Doubles = field(repr=False)
    """Of the table that they were fitted on, shape ``(dimension,)``."""

    axes: Doubles = field(repr=False)
    """Orthonormal, by falling variance, shape ``(component, dimension)``. The entry of each that is
    largest in amount is positive."""

    variance: Doubles = field(repr=False)
    """Along each axis, shape ``(component,)``."""

    explained: Doubles = field(repr=False)
    """Share of the whole variance, shape ``(component,)``."""

    def apply(self, table: pa.Table, column: str = "embedding") -> pa.Table:
        """Return a table with its embeddings reduced; rows without one stay without.

        Args:
            table: With a column of lists as long as the mean.
            column: Its name.

        Raises:
            InvalidInputError: They have another length.
        """
        there = np.asarray(table.column(column).is_valid())
        values = _matrix(table, column, len(self.mean))
        parts = [
            np.einsum("nd,kd->nk", values[at : at + _ROWS_AT_ONCE] - self.mean, self.axes)
            for at in range(0, len(values), _ROWS_AT_ONCE)
        ]
        found = np.concatenate(parts or [np.empty((0, len(self.axes)))]).astype(np.float32)
        size = len(self.axes)
        offsets = np.concatenate([[0], np.cumsum(np.where(there, size, 0))]).astype(np.int32)
        lists = pa.ListArray.from_arrays(offsets, found.reshape(-1), mask=pa.array(~there))
        place = table.schema.get_field_index(column)
        return table.set_column(place, pa.field(column, pa.list_(pa.float32())), lists)


def fit_components(
    table: pa.Table, components: int, *, column: str = "embedding", key: str = "sample"
) -> Components:
    """Return the principal components of a table's embeddings.

    Args:
        table: All rows of a version, in any order: they are summed in order of their key, so that
            the bits do not depend on it. Rows without an embedding are left out.
        components: How many, at most the number of dimensions and of rows.
        column: A list of numbers a row, all of one length.
        key: Names a row.

    Raises:
        InvalidInputError: There are fewer rows or dimensions, or their lengths differ.

    References:
        Jolliffe (2002), Principal Component Analysis, 2nd ed., 2.1; signs as in scikit-learn.
    """
    kept = table.filter(pc.is_valid(table.column(column))).sort_by(key)
    lengths = pc.unique(pc.list_value_length(kept.column(column))).to_pylist()
    if len(lengths) != 1:
        raise InvalidInputError(
            f"'{column}' has lists of {' and '.join(map(str, lengths[:5])) or 'no'} numbers",
            hint="reduce embeddings of one set and one number of bands",
        )
    values = _matrix(kept, column, lengths[0])
    if not 1 <= components <= min(values.shape):
        raise InvalidInputError(
            f"{components} components cannot be had of {len(values)} x {lengths[0]} numbers",
            hint=f"ask for 1 to {min(values.shape)}",
        )
    mean = values.mean(axis=0)
    scatter = np.zeros((len(mean), len(mean)))
    for at in range(0, len(values), _ROWS_AT_ONCE):
        off = values[at : at + _ROWS_AT_ONCE] - mean
        scatter += np.einsum("nd,ne->de", off, off)  # one thread, one order
    variance, vectors = np.linalg.eigh(scatter / max(1, len(values) - 1))
    order = np.argsort(-variance, kind="stable")[:components]
    axes = vectors[:, order].T
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(len(axes)), largest])[:, None]
    along = np.maximum(variance, 0.0)
    whole = float(along.sum()) or 1.0
    return Components(mean=mean, axes=axes, variance=along[order], explained=along[order] / whole)


def reduce(
    table: pa.Table, components: int, *, column: str = "embedding", key: str = "sample"
) -> pa.Table:
    """Return a table with its embeddings reduced to their principal components.

    Args:
        table: As for :func:`fit_components`.
        components: How many numbers remain of each.
        column: What is reduced.
        key: Names a row.

    Returns:
        The same rows in the same order; other columns as they were.

    Examples:
        >>> rows = pa.table({"sample": ["a", "b", "c"], "embedding": [[0, 0.0], [1, 1], [2, 2]]})
        >>> [round(one[0], 3) for one in reduce(rows, 1).column("embedding").to_pylist()]
        [-1.414, 0.0, 1.414]
    """
    return fit_components(table, components, column=column, key=key).apply(table, column)


def _matrix(table: pa.Table, column: str, length: int) -> Doubles:
    # the lists that are there, as rows
    lists = table.column(column).combine_chunks().drop_null()
    if len(lists) and pc.unique(pc.list_value_length(lists)).to_pylist() != [length]:
        raise InvalidInputError(
            f"'{column}' has lists that are not {length} long",
            hint="reduce embeddings of one set and one number of bands",
        )
    flat = lists.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat.reshape(-1, length), dtype=np.float64)
