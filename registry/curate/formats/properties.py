"""Types of what sources say besides: declared once for a plan, whatever single records hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

__all__ = ["PropertyTypes"]

_TYPES: Final[Mapping[type, pa.DataType]] = {
    bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string(),
}  # fmt: skip
_MOST: Final = 64
_LARGEST_INT: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class PropertyTypes:
    """Which single values records have, by name; lists and objects are no properties.

    Examples:
        >>> types = PropertyTypes()
        >>> types.see({"gsd": 10}), types.see({"gsd": 0.3})
        (None, None)
        >>> types.struct()
        StructType(struct<gsd: double>)
        >>> types.typed({"gsd": 10, "other": 1})
        {'gsd': 10.0}
    """

    kinds: dict[str, set[type]] = field(default_factory=dict)
    """Python's types of each name's values so far; the first 64 names count."""

    def see(self, record: Mapping[str, object]) -> None:
        """Take note of a record's values."""
        for name, value in record.items():
            kind = type(value)
            if kind not in _TYPES:
                continue
            if name in self.kinds:
                self.kinds[name].add(kind)
            elif len(self.kinds) < _MOST:
                self.kinds[name] = {kind}

    def struct(self) -> pa.StructType | None:
        """Return the type of all: mixed numbers are double, other mixtures text; None if empty."""
        fields = [pa.field(name, _one(kinds)) for name, kinds in self.kinds.items()]
        return pa.struct(fields) if fields else None

    def typed(self, record: Mapping[str, object]) -> dict[str, object]:
        """Return a record's values in the types of :meth:`struct`; null for what has none."""
        return {name: _as(_one(kinds), record.get(name)) for name, kinds in self.kinds.items()}


def _one(kinds: set[type]) -> pa.DataType:
    if len(kinds) == 1:
        return _TYPES[next(iter(kinds))]
    return pa.float64() if kinds == {int, float} else pa.string()


def _as(kind: pa.DataType, value: object) -> object:
    if value is None or type(value) not in _TYPES:
        return None
    if kind == pa.string():
        return value if isinstance(value, str) else str(value)
    if kind == pa.float64() and isinstance(value, int | float):
        return float(value)
    if kind == pa.int64() and isinstance(value, int):
        return value if abs(value) < _LARGEST_INT else None
    return value
