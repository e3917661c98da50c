"""What became of the sets that were to be computed."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

__all__ = ["Computed", "Outcome", "Reason"]

_STATUS: Final = {
    "computed": "computed",
    "there": "is there already",
    "equal": "computed again, the same to the last bit",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One way in which samples failed."""

    problem: str
    """What went wrong, and what to do."""

    samples: int
    """How many samples."""

    such_as: tuple[str, ...]
    """A few of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one set."""

    set: str
    """The set's name."""

    status: str
    """``computed``; ``there`` if the table was there and is up to date; ``equal`` if it was
    computed again and came out the same to the last bit."""

    recipe: str
    """SHA-256 of all that decides the values but the data."""

    evaluated: int
    """Samples that were computed."""

    kept: int
    """Samples whose values were taken over."""

    kept_from: str | None
    """From which version."""

    failed: int
    """Samples without values."""

    reasons: tuple[Reason, ...]
    """Why, the most frequent first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """What was computed on a version."""

    dataset: str
    """The dataset's name."""

    version: str
    """The version's tag."""

    content_id: str
    """The version's content id."""

    engine: str
    """``library`` or ``spark``."""

    commit: str | None
    """The commit that holds the tables; None if nothing had to be written."""

    sets: tuple[Outcome, ...]
    """The sets, by name in order."""

    left_out: Mapping[str, str] = field(default_factory=dict)
    """Sets that ``all`` means and that the version cannot have, with the reason."""

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON's own types: what a job answers."""
        return asdict(self)

    @classmethod
    def from_document(cls, said: Mapping[str, Any]) -> "Computed":
        """Return what :meth:`to_document` gave."""
        return cls(**{**said, "sets": tuple(map(_outcome_of, said["sets"]))})

    def to_text(self) -> str:
        """Return it for people."""
        engine = "Spark" if self.engine == "spark" else f"the {self.engine}"
        lines = [f"{self.dataset}@{self.version}, by {engine}"]
        for one in self.sets:
            lines.append(f"  features/{one.set}: {_STATUS[one.status]}{_how_many(one)}")
            lines += [
                f"    {reason.samples:,} without values, such as {reason.such_as[0]}: "
                f"{reason.problem}"
                for reason in one.reasons
            ]
        lines += [f"  left out {name}: {why}" for name, why in self.left_out.items()]
        return "\n".join(lines) + "\n"


def _outcome_of(said: Mapping[str, Any]) -> Outcome:
    reasons = (Reason(**{**one, "such_as": tuple(one["such_as"])}) for one in said["reasons"])
    return Outcome(**{**said, "reasons": tuple(reasons)})


def _how_many(one: Outcome) -> str:
    without = f", {one.failed:,} without values" if one.failed else ""
    if one.status == "there":
        return without
    kept = f", {one.kept:,} taken over from {one.kept_from}" if one.kept else ""
    return f" for {one.evaluated:,} samples{kept}{without}"
