"""The README at the top of a source says what the source is, if it has front matter."""

from pathlib import PurePosixPath
from typing import Final

from registry.catalog import Spec
from registry.catalog.card.front import LARGEST_CARD
from registry.curate.formats.contract import Listing, Severity, SourceFinding
from registry.errors import InvalidInputError, RejectedError

__all__ = ["read_card"]

_CARD: Final = "readme.md"
_BYTES_A_CHARACTER: Final = 4


def read_card(listing: Listing, name: str) -> tuple[Spec | None, tuple[SourceFinding, ...]]:
    """Return the card that a source brings along.

    Args:
        listing: The source. Its README lies at the top, or in the one folder that holds all.
        name: The dataset's name, whatever the card says.

    Returns:
        The card, or None if there is no README with front matter; and a finding if there is one
        that cannot be read, of which nothing is taken.
    """
    path = _place(listing)
    if path is None:
        return None, ()
    try:
        text = listing.read(path, limit=LARGEST_CARD * _BYTES_A_CHARACTER).decode("utf-8")
        if not text.removeprefix("\ufeff").startswith("---"):
            return None, ()
        return Spec.from_readme(text, name=name), ()
    except UnicodeDecodeError as error:
        problem, hint = f"is no UTF-8 at byte {error.start}", "save it as UTF-8"
    except (InvalidInputError, RejectedError) as error:
        problem, hint = error.problem, error.hint
    return None, (
        SourceFinding(
            check="bad-card",
            severity=Severity.WARNING,
            message=f"nothing is taken from {path!r}: {problem}",
            fix=hint,
            evidence={"file": path},
        ),
    )


def _place(listing: Listing) -> str | None:
    """Return the path of the README that speaks for the whole source."""
    tops = {PurePosixPath(path).parts[0] for path in listing.files}
    depths = (1, 2) if len(tops) == 1 else (1,)
    for path in listing.files:
        parts = PurePosixPath(path).parts
        if len(parts) in depths and parts[-1].lower() == _CARD:
            return path
    return None
