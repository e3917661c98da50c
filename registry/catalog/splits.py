"""Splits by name: the words for subsets, the lab's and those of others, and which split is meant.

Who makes and who reads splits stand side by side above, so what both must know stands here.
"""

import re
from typing import TYPE_CHECKING, Final

from registry.errors import InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = [
    "in_lab_words",
    "is_subset",
    "is_subset_word",
    "is_test",
    "learning_order",
    "subset_of",
    "subset_word_pattern",
    "usual_split",
]

_FOLDER: Final = "splits/"
_USUAL: Final = ("default", "official")
_SUBSETS: Final = {
    "train": "train", "training": "train",
    "val": "validate", "valid": "validate", "validate": "validate", "validation": "validate",
    "dev": "validate",
    "test": "test", "testing": "test",
}  # fmt: skip
_FURTHER_TEST: Final = re.compile(r"test[ :_-](?P<name>[a-z0-9][a-z0-9._-]{0,63})")
_RANKS: Final = {"pretraining": 0, "train": 1, "validate": 2, "fold": 3, "test": 4}

subset_word_pattern: Final = "|".join(sorted(_SUBSETS, reverse=True))
"""A regular expression of the words that a folder's name may say a subset by."""


def is_subset_word(word: str) -> bool:
    """Return whether a folder's name says which subset it holds."""
    return word.lower() in _SUBSETS


def is_subset(name: str) -> bool:
    """Return whether that is a subset as the lab writes it.

    Examples:
        >>> is_subset("test:bolivia"), is_subset("validation")
        (True, False)
    """
    return subset_of(name) == name


def subset_of(word: str) -> str | None:
    """Return somebody's word for a subset as the lab's; None if it is none that is known.

    Returns:
        ``train``, ``validate``, ``test``, or ``test:<name>`` for a further test set.

    Examples:
        >>> subset_of("Validation"), subset_of("test_geographic"), subset_of("maybe")
        ('validate', 'test:geographic', None)
    """
    plain = word.strip().lower()
    if plain in _SUBSETS:
        return _SUBSETS[plain]
    further = _FURTHER_TEST.fullmatch(plain)
    return f"test:{further['name']}" if further else None


def in_lab_words(word: str) -> str:
    """Return a subset's name as the lab writes it, or as it is where the lab knows no such word.

    Examples:
        >>> in_lab_words("val"), in_lab_words("unlabelled")
        ('validate', 'unlabelled')
    """
    return subset_of(word) or word


def is_test(word: str) -> bool:
    """Return whether somebody's word for a subset names one that is kept for judging alone.

    Examples:
        >>> is_test("testing"), is_test("test:bolivia"), is_test("validate")
        (True, True, False)
    """
    return in_lab_words(word).partition(":")[0] == "test"


def learning_order(name: str) -> tuple[int, str]:
    """Return what sorts subsets that learn before those that judge them.

    Examples:
        >>> sorted(["test:far", "test", "fold 0", "train", "validate"], key=learning_order)
        ['train', 'validate', 'fold 0', 'test', 'test:far']
    """
    return _RANKS.get(re.split("[: ]", name, maxsplit=1)[0], len(_RANKS)), name


def usual_split(version: "Version", name: str | None = None) -> str | None:
    """Return the name of the split that is meant, without its folder.

    Args:
        version: Whose split.
        name: The one that was asked for; None, or ``default``, is the usual one: ``default``,
            else ``official``, else the only one there is.

    Returns:
        Its name; None if the version has no split and none but the usual one was asked for.

    Raises:
        NotFoundError: There is none of that name.
        InvalidInputError: There are several, and nothing says which is meant.
    """
    there = [t.removeprefix(_FOLDER) for t in version.tables() if t.startswith(_FOLDER)]
    if name is not None and name not in _USUAL[:1]:
        if name in there:
            return name
        raise NotFoundError(
            f"{version.ref} has no split '{name}'",
            hint=f"it has {', '.join(there) or 'none'}; make one: eolab split {version.ref}",
        )
    found = [usual for usual in _USUAL if usual in there] or there
    if len(found) > 1 and found is there:
        raise InvalidInputError(
            f"{version.ref} has the splits {', '.join(there)}, and none is called 'default'",
            hint=f"say which one is meant: splits={there[0]!r}",
        )
    return found[0] if found else None
