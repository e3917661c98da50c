"""Checks that a card asks for before its dataset is merged or published.

The front matter names them, by operation::

    before:
      merge: [exact-duplicates]
      publish: [exact-duplicates, our-class-balance]

A name is one of the lab's own checks, or one that an installed package offers under the entry
point group ``eolab.checks``: a :class:`registry.curate.quality.Check`. What is named must find
nothing, not even a warning; else the operation stops and says why.
"""

from collections.abc import Iterable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

from registry.curate.quality import CHECKS, Check, Report
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.catalog import Spec

__all__ = ["GROUP", "MERGE", "PUBLISH", "asked", "checks_of", "findings_of"]

GROUP = "eolab.checks"
"""The entry point group of checks that others offer."""

MERGE, PUBLISH = "merge", "publish"


def asked(operation: str, *cards: "Spec") -> tuple[str, ...]:
    """Return the names of the checks that any of some cards asks for before an operation.

    Args:
        operation: ``merge`` or ``publish``; what is published was merged too.
        cards: That of the branch as it is, and as it would be: a change cannot do away with the
            check that would refuse it.

    Returns:
        The names, each once.
    """
    operations = (MERGE, PUBLISH) if operation == PUBLISH else (operation,)
    names = (name for card in cards for one in operations for name in card.before.get(one, ()))
    return tuple(dict.fromkeys(names))


def checks_of(names: Iterable[str]) -> tuple[Check, ...]:
    """Return the checks of some names.

    Raises:
        InvalidInputError: There is none of that name here, or what is offered is no check.
    """
    known = {check.name: check for check in CHECKS}
    return tuple(known.get(name) or _offered(name) for name in names)


def findings_of(
    report: Report, names: Iterable[str], *, allowed: Mapping[str, str]
) -> dict[str, int]:
    """Return how many findings the named checks have that nobody allowed, without those of none."""
    counts: dict[str, int] = {}
    wanted = set(names)
    for row in report.findings.select(["id", "check"]).to_pylist():
        name = row["check"]
        if name in wanted and name not in allowed and row["id"] not in allowed:
            counts[name] = counts.get(name, 0) + 1
    return counts


def _offered(name: str) -> Check:
    points = entry_points(group=GROUP, name=name)
    if not points:
        own = ", ".join(sorted(check.name for check in CHECKS))
        raise InvalidInputError(
            f"the card asks for the check '{name}', which is not here",
            hint=f"install the package that offers it (entry point group {GROUP}), or take it out "
            f"of 'before' in README.md; the lab's own are {own}",
        )
    point = next(iter(points))
    try:
        check = point.load()
    except (ImportError, AttributeError) as error:
        raise InvalidInputError(
            f"the check '{name}' cannot be loaded from {point.value}: {error}",
            hint="mend the package that offers it",
        ) from error
    if not isinstance(check, Check) or check.name != name:
        raise InvalidInputError(
            f"{point.value} is no check called '{name}'",
            hint="offer a registry.curate.quality.Check of that name",
        )
    return check
