"""What the pixels of a mask say: which class from 0, or how much of something."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from registry.catalog.version import Version
from registry.curate.features.planning import asset_facts
from registry.errors import InvalidInputError

__all__ = ["UNLABELLED", "PixelLabels", "pixel_labels"]

UNLABELLED: Final = -1
"""Class of pixels that nobody labelled: leave them out of losses and scores."""

_TABLE_BYTES: Final = 2  # whole numbers up to this size are looked up in a table
_IMAGE: Final = 3  # sides of (sample, y, x)


@dataclass(frozen=True, kw_only=True)
class PixelLabels:
    """How the stored values of one mask become classes or quantities.

    Examples:
        >>> mask = PixelLabels(asset="mask", classes=("sea", "ship"), values={0: 0, 255: 1})
        >>> mask.apply(np.array([[[0, 255, 7]]], np.uint8)).tolist()
        [[[0, 1, -1]]]
    """

    asset: str
    """The mask's name."""

    classes: tuple[str, ...] = ()
    """Class names in their order; empty where nobody said, and for quantities."""

    values: Mapping[int, int] = field(default_factory=lambda: MappingProxyType({}))
    """Which class each stored value is; empty where a value is its class's own number."""

    quantity: bool = False
    """Whether it holds quantities in place of classes."""

    unit: str | None = None
    """Of the quantities."""

    scale: float = 1.0
    """Factor from stored to physical quantities."""

    offset: float = 0.0
    """Added after scaling."""

    nodata: frozenset[float] = frozenset()
    """Stored values of pixels that nobody labelled."""

    @property
    def said(self) -> str:
        """What becomes of the stored values, in words."""
        empty = ", ".join(f"{one:g}" for one in sorted(self.nodata))
        if self.quantity:
            gone = f"nodata {empty} and " if empty else ""
            return f"{self.asset}: {gone}values that are not finite become NaN"
        gone = f"nodata {empty} and " if empty else ""
        rest = "values that the card does not name" if self.values else "negative values"
        return f"{self.asset}: {gone}{rest} become {UNLABELLED}, unlabelled"

    def apply(
        self, stored: npt.NDArray[Any], *, ids: Sequence[str] = ()
    ) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
        """Return classes, or quantities in their unit.

        Args:
            stored: Stored values, shape ``(sample, band, y, x)`` or with time steps before the
                bands; a single band is taken off.
            ids: Of the samples, for what is said if a value cannot be.

        Returns:
            ``(sample, y, x)``; int64 with -1, or float32 with NaN, where nobody labelled.

        Raises:
            InvalidInputError: A value is the number of no class.
        """
        if stored.ndim > _IMAGE and stored.shape[-_IMAGE] == 1:
            stored = stored[..., 0, :, :]
        return self._quantities(stored) if self.quantity else self._classes(stored, ids)

    def _quantities(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        found = (stored * np.float64(self.scale) + self.offset).astype(np.float32)
        found[~np.isfinite(found)] = np.nan
        for one in self.nodata:
            found[stored == one] = np.nan
        return found

    def _classes(self, stored: npt.NDArray[Any], ids: Sequence[str]) -> npt.NDArray[np.int64]:
        if self.values and stored.dtype.kind in "iu" and stored.dtype.itemsize <= _TABLE_BYTES:
            return self._by_table(stored)
        whole = stored
        if not np.issubdtype(stored.dtype, np.integer) and stored.dtype != np.bool_:
            whole = np.where(np.isfinite(stored) & (stored == np.floor(stored)), stored, -1)
        found = whole.astype(np.int64)
        if self.values:
            found = self._looked_up(found)
        for one in self.nodata:
            np.copyto(found, UNLABELLED, where=stored == one)
        if self.classes and not self.values and found.size and found.max() >= len(self.classes):
            self._refuse(found, ids)
        return np.maximum(found, UNLABELLED, out=found)

    def _by_table(self, stored: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
        """Return classes of small whole numbers: one look for each, in a table of all there are."""
        limits = np.iinfo(stored.dtype)
        table = np.full(limits.max - limits.min + 1, UNLABELLED, np.int64)
        for key, number in self.values.items():
            if limits.min <= key <= limits.max:
                table[key] = max(number, UNLABELLED)  # those below 0 count from its end, as bits do
        for one in self.nodata:
            if limits.min <= one <= limits.max and one == int(one):
                table[int(one)] = UNLABELLED
        native = np.ascontiguousarray(stored, stored.dtype.newbyteorder("="))
        return table.take(native.view(f"u{stored.dtype.itemsize}"))

    def _looked_up(self, found: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        keys = np.array(sorted(self.values), np.int64)
        classes = np.array([self.values[int(key)] for key in keys], np.int64)
        places = np.minimum(np.searchsorted(keys, found), len(keys) - 1)
        return np.where(keys[places] == found, classes[places], UNLABELLED)

    def _refuse(self, found: npt.NDArray[np.int64], ids: Sequence[str]) -> None:
        number, *_ = np.argwhere(found >= len(self.classes))[0]
        value = int(found[number].max())
        of = f" of sample '{ids[number]}'" if number < len(ids) else ""
        raise InvalidInputError(
            f"'{self.asset}'{of} holds {value}, and there are {len(self.classes)} classes",
            hint="say in the card which class each value is: "
            f"--set 'assets.{self.asset}={{role: labels, values: {{0: {self.classes[0]}, …}}}}'",
        )


def pixel_labels(version: Version) -> Mapping[str, PixelLabels]:
    """Return how the masks of a version are read, by asset in the order of their names.

    An asset that the card calls labels holds classes, unless it has a unit or fractions and the
    card names no value's class; then it holds quantities. The classes are in the card's order.

    Args:
        version: A version, or a draft.
    """
    spec = version.spec
    masks = [one for one in asset_facts(version) if one.role == "labels"]
    if not masks:
        return {}
    table = version.table("assets", columns=["asset", "dtype", "nodata"])
    found = {}
    for facts in masks:
        rows = table.filter(pc.equal(table.column("asset"), facts.name))
        dtypes = [str(one) for one in pc.unique(rows.column("dtype")).to_pylist() if one]
        nodata = [one for one in pc.unique(rows.column("nodata")).to_pylist() if one is not None]
        fractions = any(one.startswith("float") for one in dtypes)
        classes = spec.classes
        if facts.values and not {*facts.values.values()} <= {*classes}:
            classes = tuple(dict.fromkeys(facts.values[key] for key in sorted(facts.values)))
        quantity = not facts.values and (facts.unit is not None or (fractions and not classes))
        found[facts.name] = PixelLabels(
            asset=facts.name,
            classes=() if quantity else classes,
            values={key: classes.index(name) for key, name in facts.values.items()},
            quantity=quantity,
            unit=facts.unit,
            scale=facts.scale[0] if facts.scale else 1.0,
            offset=facts.offset[0] if facts.offset else 0.0,
            nodata=frozenset(float(one) for one in nodata if one == one),  # noqa: PLR0124 — not NaN
        )
    return found
