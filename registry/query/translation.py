"""DuckDB's errors in the lab's words."""

from collections.abc import Mapping
from typing import Final

from registry.errors import (
    CorruptError,
    ForbiddenError,
    InvalidInputError,
    RegistryError,
    RejectedError,
    UnavailableError,
)

__all__ = ["translated"]

_NO_MEMORY: Final = ("Out of Memory Error", "std::bad_alloc", "malloc of size")
_CLOSED: Final = ("Permission Error",)
_UNREADABLE: Final = ("IO Error", "Serialization Error")
_STOPPED: Final = ("FATAL Error", "INTERNAL Error", "INTERRUPT Error")
_LONGEST: Final = 1000
_IN_FUNCTION: Final = "Python exception occurred while executing the UDF: "


def translated(
    error: Exception, *, memory_mb: int | None, names: Mapping[str, str]
) -> RegistryError:
    """Say what an engine raised, without paths of this machine.

    An error that comes up while rows are streaming arrives as Arrow's own, so the engine's kind of
    error is read from the start of its text, where it always stands.

    Args:
        error: What DuckDB, Arrow or Python raised.
        memory_mb: What the engine was allowed, in MiB.
        names: Names of refs and tables, by the folders that stand for them in texts.

    Returns:
        The error to raise.
    """
    problem = _plain(str(error), names)
    if isinstance(error, MemoryError) or any(sign in problem for sign in _NO_MEMORY):
        allowed = "there is" if memory_mb is None else f"{memory_mb:,} MiB"
        return RejectedError(
            f"the query needs more memory than {allowed}",
            hint="ask fewer rows or columns at once, or allow more memory",
        )
    if problem.startswith(_CLOSED):
        return ForbiddenError(
            f"the query may not do this: {problem}",
            hint="files, network and settings are closed to queries; ask tables of refs",
        )
    if problem.startswith(_UNREADABLE):
        return CorruptError(f"a table cannot be read: {problem}", hint="look at it by eolab fsck")
    if problem.startswith(_STOPPED):
        return UnavailableError(f"the engine stopped: {problem}", hint="ask it another way")
    return InvalidInputError(f"the query does not work: {problem}", hint=_hint(problem))


def _hint(problem: str) -> str:
    if "Referenced column" in problem or "does not have a column" in problem:
        return 'see the columns: DESCRIBE "name@ref".table'
    return "functions and types are DuckDB's: see docs/reference/sql.md"


def _plain(text: str, names: Mapping[str, str]) -> str:
    for folder, name in names.items():
        text = text.replace(folder, name)
    _, _, inner = text.partition(_IN_FUNCTION)
    text = inner.partition(": ")[2] if inner else text
    first = text.split("\n\n", maxsplit=1)[0].split("\nLINE ", maxsplit=1)[0]
    line = " ".join(first.split("\n  hint: ", maxsplit=1)[0].split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
