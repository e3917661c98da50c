"""Three-way per object, as lakeFS does it: a path's identity is checksum and user metadata."""

from dataclasses import dataclass

from tests.lakefs.server.history import Tree
from tests.lakefs.server.refusals import Refusal

__all__ = ["Difference", "merged", "three_dot", "two_dot"]

STRATEGIES = {"source-wins", "dest-wins"}


@dataclass(frozen=True, slots=True)
class Difference:
    type: str
    path: str
    size: int

    def document(self):
        return {
            "type": self.type,
            "path": self.path,
            "path_type": "object",
            "size_bytes": self.size,
        }


def two_dot(left, right):
    """How right differs from left."""
    return [_difference(left, right, path) for path in _differing(left, right)]


def three_dot(base, left, right):
    """What merging right into left would bring, and where both changed."""
    found = []
    for path in _differing(base, right):
        if left.identity(path) == right.identity(path):
            continue
        if left.identity(path) == base.identity(path):
            found.append(_difference(base, right, path))
        else:
            size = (right.entries.get(path) or left.entries.get(path)).size
            found.append(Difference("conflict", path, size))
    return found


def merged(base, dest, source, strategy=""):
    """Return dest with what source changed since base.

    A strategy decides every conflict alike, and loses the other side's rows in a Delta log.
    """
    if strategy and strategy not in STRATEGIES:
        raise Refusal(400, f"invalid merge strategy: {strategy}")
    entries = dict(dest.entries)
    for difference in three_dot(base, dest, source):
        if difference.type == "conflict":
            if not strategy:
                # The paths are nowhere in the answer: they have to be asked for by a diff.
                raise Refusal(409, "conflict found", body={"reference": ""})
            if strategy == "dest-wins":
                continue
        stored = source.entries.get(difference.path)
        if stored is None:
            entries.pop(difference.path, None)
        else:
            entries[difference.path] = stored
    return Tree(entries)


def _differing(left, right):
    paths = left.entries.keys() | right.entries.keys()
    return sorted(path for path in paths if left.identity(path) != right.identity(path))


def _difference(left, right, path):
    if path not in left.entries:
        return Difference("added", path, right.entries[path].size)
    if path not in right.entries:
        return Difference("removed", path, left.entries[path].size)
    return Difference("changed", path, right.entries[path].size)
