"""A user's own sets: SQL expressions over the columns of samples, in a small file."""

from registry.curate.features.definition import FeatureSet
from registry.errors import InvalidInputError

__all__ = ["own_set"]


def own_set(text: str) -> FeatureSet:
    """Return the set that a definition says."""
    raise InvalidInputError(f"{text[:40]!r} is no definition", hint="see docs/how-to/features.md")
