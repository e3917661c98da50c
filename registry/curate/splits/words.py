"""The words for subsets: the lab's, and those of others."""

import re
from typing import Final

__all__ = ["is_subset", "is_subset_word", "subset_of", "subset_word_pattern"]

_SUBSETS: Final = {
    "train": "train", "training": "train",
    "val": "validate", "valid": "validate", "validate": "validate", "validation": "validate",
    "dev": "validate",
    "test": "test", "testing": "test",
}  # fmt: skip
_FURTHER_TEST: Final = re.compile(r"test[ :_-](?P<name>[a-z0-9][a-z0-9._-]{0,63})")

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
