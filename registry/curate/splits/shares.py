"""How much of the samples each subset gets."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.catalog.splits import learning_order, subset_of
from registry.errors import InvalidInputError

__all__ = ["TOLERANCE", "Shares"]

TOLERANCE: Final = 0.02
"""By how much a subset's share may miss what was asked for before a reason is owed."""

_NEARLY_ONE: Final = 1e-6
_PERCENT: Final = 100
_USUAL: Final = MappingProxyType({"train": 0.8, "validate": 0.1, "test": 0.1})


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Subsets with the share of the samples that each is to get."""

    subsets: tuple[str, ...]
    """Their names, as the lab has them."""

    wanted: tuple[float, ...]
    """Of each, above 0; together 1."""

    def __post_init__(self) -> None:
        if not self.subsets or len(set(self.subsets)) != len(self.subsets):
            raise InvalidInputError(
                f"shares of {', '.join(self.subsets) or 'nothing'}", hint="give each subset once"
            )
        if any(not 0 < share <= 1 for share in self.wanted):
            raise InvalidInputError(
                f"shares {', '.join(f'{share:g}' for share in self.wanted)}",
                hint="give numbers above 0 that come to 1, or percent that come to 100",
            )
        if abs(sum(self.wanted) - 1) > _NEARLY_ONE:
            raise InvalidInputError(
                f"the shares come to {sum(self.wanted):g}, not 1",
                hint="such as train=0.8,validate=0.1,test=0.1",
            )

    @classmethod
    def of(cls, said: Mapping[str, float] | None = None) -> "Shares":
        """Return shares by their subsets' names; 80, 10 and 10 % if none are given.

        Raises:
            InvalidInputError: A name is no subset, or the numbers are no shares.

        Examples:
            >>> Shares.of({"training": 0.9, "val": 0.1}).subsets
            ('train', 'validate')
        """
        given = dict(_USUAL if said is None else said)
        names = []
        for word in given:
            name = subset_of(word)
            if name is None:
                raise InvalidInputError(
                    f"{word!r} is no subset", hint="take train, validate, test or test:<name>"
                )
            names.append(name)
        return cls(subsets=tuple(names), wanted=tuple(float(share) for share in given.values()))

    @classmethod
    def parse(cls, text: str) -> "Shares":
        """Return shares that were typed as ``train=0.8,validate=0.1,test=0.1``, or as percent.

        Raises:
            InvalidInputError: It is written in another way, or does not come to 1 or 100.

        Examples:
            >>> Shares.parse("train=80,validate=1,test=19").wanted
            (0.8, 0.01, 0.19)
        """
        return cls.of(_typed(text))

    def without(self, *subsets: str) -> "Shares":
        """Return the shares of the other subsets among each other.

        Raises:
            InvalidInputError: None is left.

        Examples:
            >>> whole = Shares.of({"train": 0.5, "val": 0.25, "test": 0.25})
            >>> whole.without("test").counts(9).tolist()
            [6, 3]
        """
        if not set(subsets) & set(self.subsets):
            return self
        left = [
            (name, share)
            for name, share in zip(self.subsets, self.wanted, strict=True)
            if name not in subsets
        ]
        whole = sum(share for _, share in left)
        if not left:
            raise InvalidInputError(
                "every subset is held out, so nothing is divided", hint="hold out less"
            )
        return Shares(
            subsets=tuple(name for name, _ in left),
            wanted=tuple(share / whole for _, share in left),
        )

    def in_learning_order(self) -> "Shares":
        """Return the same shares, those of who learns before those of who judges.

        Examples:
            >>> Shares.of({"test": 0.2, "train": 0.8}).in_learning_order().subsets
            ('train', 'test')
        """
        pairs = zip(self.subsets, self.wanted, strict=True)
        ordered = sorted(pairs, key=lambda one: learning_order(one[0])[0])
        names, wanted = zip(*ordered, strict=True)
        return Shares(subsets=names, wanted=wanted)

    def counts(self, total: int) -> npt.NDArray[np.int64]:
        """Return how many of some samples each subset gets, by largest remainder.

        Examples:
            >>> Shares.of().counts(25).tolist()
            [20, 3, 2]
        """
        exact = np.asarray(self.wanted) * total
        counts = np.floor(exact + 1e-9).astype(np.int64)
        order = np.argsort(-(exact - counts), kind="stable")
        counts[order[: total - int(counts.sum())]] += 1
        return counts


def _typed(text: str) -> dict[str, float]:
    """Return shares by the words before them; numbers that come to 100 are percent.

    Raises:
        InvalidInputError: A word is written in another way, or twice.
    """
    found: dict[str, float] = {}
    for part in text.split(","):
        name, sign, number = (one.strip() for one in part.partition("="))
        if not sign or name in found or (share := _number(number)) is None:
            raise InvalidInputError(
                f"{text!r} are no shares",
                hint="give each subset once, such as train=0.8,validate=0.1,test=0.1",
            )
        found[name] = share
    if abs(sum(found.values()) - _PERCENT) <= _PERCENT * _NEARLY_ONE:
        return {name: share / _PERCENT for name, share in found.items()}
    return found


def _number(text: str) -> float | None:
    try:
        if text.endswith("%"):
            return float(text[:-1]) / _PERCENT
        return float(text)
    except ValueError:
        return None
