"""The reference population: what the world, or another dataset, looks like in the same strata."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.layers import climate
from registry.curate.layers.strata import NO_COUNTRY, UNKNOWN
from registry.errors import InvalidInputError

__all__ = ["AT_SEA", "WEIGHT", "Population"]

AT_SEA: Final = frozenset({NO_COUNTRY, climate.GROUPS["s"]})
"""Strata that coarse maps give to slivers of land: what is at sea is many times their share, which
says nothing. It lies outside of a population of land."""

WEIGHT = "weight"
"""Column of a population that says how much of it each row stands for."""


@dataclass(frozen=True, kw_only=True)  # no slots: what is costly to find is found once
class Population:
    """How much of a reference lies in each combination of strata."""

    name: str
    """Such as ``land``, ``eurosat@v2`` or a file's name."""

    version: str
    """Version, commit or digest."""

    about: str = ""
    """What it is, in a sentence."""

    size: int | None = None
    """How many samples it was counted from; None if it is known as a whole, such as land."""

    unsaid: frozenset[str] = frozenset()
    """Strata of which it says as little as of ``unknown``."""

    table: pa.Table = field(repr=False, compare=False)
    """Columns of strata, named as dimensions are, and ``weight``: 0 or more, not all 0."""

    def __post_init__(self) -> None:
        if WEIGHT not in self.table.column_names or self.table.num_columns < 2:  # noqa: PLR2004 — a stratum and its weight
            raise InvalidInputError(
                f"the reference population '{self.name}' has no column '{WEIGHT}' beside strata",
                hint="give columns such as continent, season and weight",
            )
        if not pa.types.is_floating(self.table[WEIGHT].type) and not pa.types.is_integer(
            self.table[WEIGHT].type
        ):
            raise InvalidInputError(
                f"the weights of '{self.name}' are {self.table[WEIGHT].type}, not numbers",
                hint="give how much each row stands for, such as square kilometres",
            )
        weights = self._weights
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
            raise InvalidInputError(
                f"the weights of '{self.name}' are not all finite and at least 0, or all are 0",
                hint="give how much each row stands for, such as square kilometres",
            )

    @property
    def words(self) -> str:
        """Name and version, as figures say it."""
        return f"{self.name} ({self.version})"

    @property
    def dimensions(self) -> list[str]:
        """What it is sorted by, in order."""
        return sorted(name for name in self.table.column_names if name != WEIGHT)

    @property
    def digest(self) -> str:
        """SHA-256 over its shares, in hex."""
        shares = [(name, *pair) for name in self.dimensions for pair in self.shares(name).items()]
        return hashlib.sha256(repr(shares).encode()).hexdigest()

    def shares(self, dimension: str) -> dict[str, float]:
        """Return the share of each stratum that is known and not empty, in order; one in all.

        Returns:
            Stratum to share in (0, 1]; empty if the population does not know the dimension.
        """
        if dimension not in self.table.column_names:
            return {}
        return {key[0]: share for key, share in self.joint([dimension]).items()}

    def joint(self, dimensions: Sequence[str]) -> dict[tuple[str, ...], float]:
        """Return the share of each combination of known strata, in order; one in all."""
        weights = self._known(dimensions)
        whole = sum(weights.values())
        return {key: weight / whole for key, weight in weights.items()}

    def counted(self, dimensions: Sequence[str]) -> int | None:
        """Return how many of its samples lie in known strata; None if it is known as a whole."""
        return None if self.size is None else round(sum(self._known(dimensions).values()))

    def _known(self, dimensions: Sequence[str]) -> dict[tuple[str, ...], float]:
        names = list(dimensions)
        rows = self.table.select([*names, WEIGHT])
        for place, name in enumerate(names):
            rows = rows.set_column(place, name, rows[name].cast(pa.string()))
        grouped = rows.group_by(names).aggregate([(WEIGHT, "sum")])
        for name in names:
            unknown = pc.is_in(grouped[name], value_set=pa.array([UNKNOWN, None, *self.unsaid]))
            grouped = grouped.filter(pc.invert(unknown))
        weights = grouped[f"{WEIGHT}_sum"].cast(pa.float64()).to_pylist()
        keys = zip(*(grouped[name].to_pylist() for name in names), strict=True)
        pairs = zip(keys, weights, strict=True)
        return dict(sorted((key, weight) for key, weight in pairs if weight))

    def shares_table(self) -> pa.Table:
        """Return the shares of every dimension: ``dimension``, ``stratum``, ``share``."""
        rows = [
            {"dimension": name, "stratum": stratum, "share": share}
            for name in self.dimensions
            for stratum, share in self.shares(name).items()
        ]
        schema = pa.schema([
            ("dimension", pa.string()), ("stratum", pa.string()), ("share", pa.float64())
        ])  # fmt: skip
        return pa.Table.from_pylist(rows, schema=schema)

    @cached_property
    def _weights(self) -> npt.NDArray[np.float64]:
        return np.asarray(self.table[WEIGHT].to_numpy(), np.float64)
