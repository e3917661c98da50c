"""What a person writes to name a dataset at a point of its history."""

import os
import re
from dataclasses import dataclass

from registry.errors import InvalidInputError
from registry.lake.names import check_branch, check_repository, default_author, split_author

__all__ = ["DRAFT", "Ref", "caller", "draft_branch", "is_tag", "like_commit", "version_number"]

DRAFT = "draft"
"""``name@draft`` is the caller's own draft."""

_TAG = re.compile(r"v([1-9][0-9]{0,8})")
_SHORTEST = 7
_NOT_IN_A_BRANCH = re.compile(r"[^A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A dataset and where in its history; not yet looked up.

    Examples:
        >>> Ref.parse("ships@anna/fix")
        Ref(dataset='ships', at='anna/fix')
        >>> str(Ref.parse("ships"))
        'ships'
    """

    dataset: str
    """The dataset's name: 3 to 63 lower-case letters, digits and hyphens."""

    at: str | None = None
    """Tag, branch, commit or ``draft``; None is the newest version."""

    def __post_init__(self) -> None:
        check_repository(self.dataset)
        if self.at is not None:
            check_branch(self.at)

    @classmethod
    def parse(cls, text: str) -> "Ref":
        """Return what ``name`` or ``name@where`` names.

        Args:
            text: Such as ``ships``, ``ships@v3``, ``ships@main``, ``ships@draft``,
                ``ships@anna/fix`` or ``ships@4be1d07``.

        Raises:
            InvalidInputError: It cannot name anything in any lake.
        """
        dataset, at_sign, at = text.partition("@")
        if at_sign and not at:
            raise InvalidInputError(
                f"{text!r} ends with '@'",
                hint=f"say which: {dataset}@v1, {dataset}@main; or leave '@' out for the newest",
            )
        return cls(dataset=dataset, at=at or None)

    def __str__(self) -> str:
        return self.dataset if self.at is None else f"{self.dataset}@{self.at}"


def version_number(tag: str) -> int | None:
    """Return the number in a version's tag, as 3 in v3; None for any other name.

    Examples:
        >>> version_number("v3"), version_number("v03"), version_number("main")
        (3, None, None)
    """
    match = _TAG.fullmatch(tag)
    return int(match[1]) if match else None


def is_tag(name: str) -> bool:
    """Return whether a name is kept for versions, such as ``v2``."""
    return version_number(name) is not None


def like_commit(name: str) -> bool:
    """Return whether a name could be a commit's id, or enough digits of one to be a ref."""
    return len(name) >= _SHORTEST and all(digit in "0123456789abcdef" for digit in name)


def caller() -> str:
    """Return who asks, fit to be part of a branch's name.

    Returns:
        ``EOLAB_USER``, else the name in ``EOLAB_AUTHOR``, else the system's user; other characters
        than letters, digits, ``.``, ``_`` and ``-`` become ``-``.

    Raises:
        InvalidInputError: Nothing of the name is left.
    """
    said = os.environ.get("EOLAB_USER") or split_author(default_author())[0]
    name = _NOT_IN_A_BRANCH.sub("-", said).strip("-.").lower()
    if not name:
        raise InvalidInputError(
            f"the user's name {said!r} has no letter or digit", hint="set EOLAB_USER"
        )
    return name


def draft_branch(user: str | None = None) -> str:
    """Return the branch of a user's draft; the caller's if none is named."""
    return f"draft/{user or caller()}"
