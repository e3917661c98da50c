"""What a check is: a name, what its findings deny, and a pure function over a dataset's tables."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pyarrow as pa

    from registry.curate.quality.subject import Subject

__all__ = ["ERROR", "INFO", "WARNING", "Check"]

INFO, WARNING, ERROR = "info", "warning", "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One rule, and how breaches of it are found."""

    name: str
    """Kebab-case; stable, because people allow findings by it."""

    about: str
    """The rule, as one sentence."""

    find: "Callable[[Subject], pa.Table]"
    """Returns breaches: ``sample, asset, severity, message, evidence, fix``, each text or null."""

    denies: str | None = None
    """The quality level that a warning or error of this check denies; None if none."""
