"""How a split is to be made."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from registry.catalog.splits import subset_of
from registry.curate.splits.shares import Shares
from registry.errors import InvalidInputError

__all__ = ["METHODS", "HoldOut", "Method", "Plan", "held_out"]

Method = Literal["random", "stratified", "group", "blocked", "temporal", "region"]
"""How samples are divided; docs/concepts/splits.md says what each guarantees."""

METHODS: Final[tuple[str, ...]] = get_args(Method)

_MOST_FOLDS: Final = 100
_UNDIVIDED: Final = frozenset({"random", "blocked", "temporal"})  # by no column
_RANGES: Final[Mapping[str, tuple[float, float, str]]] = {
    "block_km": (0.1, 10_000, "kilometres"),
    "buffer_km": (0, 20_000, "kilometres"),  # half around the Earth
    "gap_days": (0, 100_000, "days"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldOut:
    """Samples that are set apart by what they are, before the rest is divided."""

    subset: str
    """``test``, ``test:<name>``, ``validate`` or ``train``."""

    by: str
    """A column, property or stratum."""

    values: tuple[str, ...]
    """Which values of it, at least one."""

    def __post_init__(self) -> None:
        if subset_of(self.subset) != self.subset:
            raise InvalidInputError(
                f"{self.subset!r} is no subset", hint="take train, validate, test or test:<name>"
            )
        if not self.values:
            raise InvalidInputError(
                f"nothing of '{self.by}' is held out", hint="name at least one value"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a split is made."""

    method: Method = "random"
    """How samples are divided."""

    shares: Shares = field(default_factory=Shares.of)
    """How much each subset gets."""

    seed: int = 0
    """Another one draws others, at least 0."""

    by: str | None = None
    """What keeps together (``group``, ``region``) or is spread evenly (``stratified``)."""

    block_km: float = 10.0
    """Edge of a block, for ``blocked``, in [0.1, 10000]."""

    buffer_km: float = 0.0
    """Least distance between footprints of different subsets, hold-outs too, in [0, 20000]."""

    gap_days: float = 0.0
    """Least time between samples of different subsets, hold-outs too, in [0, 100000]."""

    folds: int = 0
    """For cross-validation: how many folds in place of subsets; 0 for none."""

    hold_out: tuple[HoldOut, ...] = ()
    """What is set apart before."""

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InvalidInputError(
                f"there is no method '{self.method}'", hint=f"take {', '.join(METHODS)}"
            )
        if self.by and self.method in _UNDIVIDED and self.by not in {h.by for h in self.hold_out}:
            raise InvalidInputError(
                f"method '{self.method}' keeps nothing of '{self.by}' together",
                hint="--method group keeps its values together, stratified spreads them evenly",
            )
        if self.seed < 0:
            raise InvalidInputError(f"the seed {self.seed} is below 0", hint="give 0 or more")
        for name, (least, most, unit) in _RANGES.items():
            if not least <= (said := getattr(self, name)) <= most:  # nor is NaN
                raise InvalidInputError(
                    f"{name}={said:g} is not in [{least:g}, {most:,}]",
                    hint=f"give --{name.replace('_', '-')} in {unit}, such as 10",
                )
        if self.folds == 1 or not 0 <= self.folds <= _MOST_FOLDS:
            raise InvalidInputError(
                f"{self.folds} folds cannot be made", hint=f"give 2 to {_MOST_FOLDS}, or 0 for none"
            )
        if self.folds and self.method == "temporal":
            raise InvalidInputError(
                "folds in the order of time would learn from the future",
                hint="make a split by time without folds, or folds by --by year --method group",
            )
        shares = self.shares.without(*(one.subset for one in self.hold_out))
        if self.method == "temporal":  # who judges comes after who learns, however it was typed
            shares = shares.in_learning_order()
        object.__setattr__(self, "shares", shares)

    def said(self) -> dict[str, object]:
        """Return what the split's table says of how it was made."""
        said: dict[str, object] = {"method": self.method, "seed": self.seed}
        if self.by:
            said["by"] = self.by
        if self.method == "blocked":
            said["block_km"] = self.block_km
        if self.method == "blocked" or self.buffer_km:
            said["buffer_km"] = self.buffer_km
        if self.gap_days:
            said["gap_days"] = self.gap_days
        if self.folds:
            said["folds"] = self.folds
        else:
            pairs = zip(self.shares.subsets, self.shares.wanted, strict=True)
            said["shares"] = ",".join(f"{name}={share:g}" for name, share in pairs)
        for one in self.hold_out:
            key, value = f"hold_out {one.subset}", f"{one.by}={'|'.join(one.values)}"
            said[key] = f"{said[key]}, {value}" if key in said else value
        return said


def held_out(said: Sequence[str], by: str | None) -> tuple[HoldOut, ...]:
    """Return what was typed as ``test:bolivia=Bolivia`` or ``test=country:France|Spain``.

    Args:
        said: The words.
        by: The column where a word names none.

    Raises:
        InvalidInputError: A word is written in another way.
    """
    found = []
    for word in said:
        subset, sign, values = word.partition("=")
        column, colon, rest = values.partition(":")
        if not sign or not values or not (colon or by):
            raise InvalidInputError(
                f"{word!r} holds out nothing",
                hint="write SUBSET=COLUMN:VALUE|VALUE, such as test:bolivia=country:Bolivia",
            )
        chosen = rest if colon else values
        found.append(
            HoldOut(
                subset=subset_of(subset) or subset,
                by=column if colon else by or "",
                values=tuple(one.strip() for one in chosen.split("|")),
            )
        )
    return tuple(found)
