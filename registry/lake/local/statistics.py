"""How large a repository is."""

import os
from pathlib import Path

from registry.lake.local import refs
from registry.lake.local.git import Git
from registry.lake.records import Statistics

__all__ = ["measure"]


def measure(git: Git) -> Statistics:
    """Count commits behind any branch or tag, and stored objects with their bytes.

    Returns:
        The counts.
    """
    branches = refs.in_folder(git.layout, "refs/heads/")
    tags = refs.in_folder(git.layout, "refs/tags/")
    seen: set[str] = set()
    waiting = [git.peel(oid) for oid in (*branches.values(), *tags.values())]
    while waiting:
        oid = waiting.pop()
        if oid not in seen:
            seen.add(oid)
            waiting.extend(git.commit(oid).commit.parents)
    objects = size = 0
    for folder, _, names in os.walk(git.layout.objects):
        objects += len(names)
        size += sum(Path(folder, name).stat().st_size for name in names)
    return Statistics(
        commits=len(seen), branches=len(branches), tags=len(tags), objects=objects, size=size
    )
