"""What is kept of each sample, so that every figure and interval follows without the model."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.errors import CorruptError, InvalidInputError
from registry.learn.models.architecture import HeadTask

__all__ = ["Figures", "Floats", "Key", "Statistics", "Weights", "joined"]

Floats: TypeAlias = npt.NDArray[np.float64]
Weights: TypeAlias = npt.NDArray[np.float64]
"""How often each sample counts, ``(draw, sample)``; whole numbers, all 1 for the figure itself."""

Key: TypeAlias = tuple[str, str | None]
"""A metric and the class concerned; None for all."""

Figures: TypeAlias = dict[Key, Floats]
"""A value a draw, ``(draw,)``; NaN where the figure cannot be had."""

_NONE: Mapping[str, npt.NDArray[Any]] = MappingProxyType({})
_ABOUT: Final = b"eolab.statistics"
_COLUMN: Final = "column:"
_LIST: Final = "list:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """Sufficient statistics of the answers of one head, sample by sample.

    A figure is a function of their weighted sums or ranks over samples, so a bootstrap draws
    weights and never asks the model again.
    """

    task: HeadTask
    """What the head gives."""

    classes: tuple[str, ...]
    """Class names in the order of all arrays; empty for quantities."""

    ids: tuple[str, ...]
    """The samples, each once."""

    columns: Mapping[str, npt.NDArray[Any]]
    """Arrays whose first axis is the sample; what each means, its task's module says."""

    lists: Mapping[str, npt.NDArray[Any]] = field(default_factory=lambda: _NONE)
    """Arrays whose first axis is an object, sample after sample; ``columns["objects"]`` says how
    many each sample has."""

    def __len__(self) -> int:
        return len(self.ids)

    def owners(self) -> npt.NDArray[np.int64]:
        """Return the place of the sample of each object of :attr:`lists`, ``(object,)``."""
        return np.repeat(np.arange(len(self)), self.columns["objects"])

    def take(self, places: npt.NDArray[np.int64]) -> "Statistics":
        """Return those of some samples.

        Args:
            places: Their places, ``(chosen,)``, each at most once.
        """
        lists: dict[str, npt.NDArray[Any]] = {}
        if self.lists:
            ends = np.cumsum(self.columns["objects"])
            starts = ends - self.columns["objects"]
            objects = np.concatenate([
                np.zeros(0, np.int64),
                *(np.arange(starts[one], ends[one]) for one in places),
            ])
            lists = {name: values[objects] for name, values in self.lists.items()}
        return Statistics(
            task=self.task,
            classes=self.classes,
            ids=tuple(self.ids[one] for one in places),
            columns={name: values[places] for name, values in self.columns.items()},
            lists=lists,
        )

    def to_table(self) -> pa.Table:
        """Return them as Arrow: one row a sample, shapes in the schema's metadata."""
        arrays: dict[str, pa.Array] = {"sample": pa.array(self.ids, pa.string())}
        about: dict[str, Any] = {"task": str(self.task), "classes": list(self.classes)}
        about["shapes"] = {name: list(one.shape[1:]) for name, one in self.columns.items()}
        about["list_shapes"] = {name: list(one.shape[1:]) for name, one in self.lists.items()}
        for name, values in self.columns.items():
            arrays[_COLUMN + name] = _packed(values)
        for name, values in self.lists.items():
            width = int(np.prod(values.shape[1:], dtype=np.int64))
            ends = np.concatenate([[0], np.cumsum(self.columns["objects"])]) * width
            flat = pa.array(values.reshape(-1))
            arrays[_LIST + name] = pa.LargeListArray.from_arrays(pa.array(ends, pa.int64()), flat)
        return pa.table(arrays).replace_schema_metadata({_ABOUT: json.dumps(about)})

    @classmethod
    def from_table(cls, table: pa.Table) -> "Statistics":
        """Return those that :meth:`to_table` wrote.

        Raises:
            CorruptError: Something else wrote the table.
        """
        try:
            about = json.loads((table.schema.metadata or {})[_ABOUT])
            whole = table.combine_chunks()
            columns = {
                name: _unpacked(whole[_COLUMN + name], tuple(shape))
                for name, shape in about["shapes"].items()
            }
            lists = {
                name: _flat(whole[_LIST + name]).reshape(-1, *shape)
                for name, shape in about["list_shapes"].items()
            }
            return cls(
                task=HeadTask(about["task"]),
                classes=tuple(about["classes"]),
                ids=tuple(whole["sample"].to_pylist()),
                columns=columns,
                lists=lists,
            )
        except (KeyError, TypeError, ValueError, pa.ArrowException) as error:
            raise CorruptError(
                f"the statistics of a score cannot be read: {error}",
                hint="evaluate the model again: eolab evaluate",
            ) from error


def joined(parts: Sequence[Statistics]) -> Statistics:
    """Return the statistics of several batches as one.

    Raises:
        InvalidInputError: There are none, or a sample comes twice.
    """
    if not parts:
        raise InvalidInputError(
            "no sample could be scored", hint="choose a subset that has labelled samples"
        )
    first = parts[0]
    ids = tuple(one for part in parts for one in part.ids)
    if len(set(ids)) != len(ids):
        raise InvalidInputError(
            "a sample was scored twice", hint="stream the subset once, without drawing again"
        )
    return Statistics(
        task=first.task,
        classes=first.classes,
        ids=ids,
        columns={
            name: np.concatenate([part.columns[name] for part in parts]) for name in first.columns
        },
        lists={name: np.concatenate([part.lists[name] for part in parts]) for name in first.lists},
    )


def _packed(values: npt.NDArray[Any]) -> pa.Array:
    if values.ndim == 1:
        return pa.array(values)
    width = int(np.prod(values.shape[1:], dtype=np.int64))
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    ends = pa.array(np.arange(len(values) + 1) * width, pa.int64())
    return pa.LargeListArray.from_arrays(ends, flat)


def _unpacked(column: pa.ChunkedArray, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    if not shape:
        return np.asarray(column.to_numpy())
    return _flat(column).reshape(-1, *shape)


def _flat(column: pa.ChunkedArray) -> npt.NDArray[Any]:
    chunks = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
    return np.concatenate(chunks) if chunks else np.zeros(0)
