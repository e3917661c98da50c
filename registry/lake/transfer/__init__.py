"""Datasets between two lakes: only what the other side lacks travels, and arrives as it was.

Everything here speaks to a lake by its contract alone. Commits are matched by what they say and
what they changed, so a history is found again on a lake that gives commits other ids.
"""

from registry.lake.transfer.refs import DivergedError
from registry.lake.transfer.verbs import Part, Transferred, clone, copy, origin_of, pull, push

__all__ = [
    "DivergedError",
    "Part",
    "Transferred",
    "clone",
    "copy",
    "origin_of",
    "pull",
    "push",
]
