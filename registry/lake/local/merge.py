"""Three-way merge of trees, object by object, and the inverse of a commit."""

from collections.abc import Iterable, Iterator, Mapping

from registry.errors import ConflictError, InvalidInputError
from registry.lake.local import folders, trees
from registry.lake.local.git import Git
from registry.lake.records import Change, ChangeKind, Conflict, Entry, MergeConflictError, MergePlan

__all__ = ["changes", "decide", "plan", "refuse_stale_inverse"]

SIDES = ("ours", "theirs", "base")


def changes(
    git: Git, before: bytes | None, after: bytes | None, prefix: str = ""
) -> Iterator[Change]:
    """Yield what differs between two trees, sorted by path."""
    for path, old, new in trees.differences(git.tree, before, after, prefix):
        kind = (
            ChangeKind.ADDED if old is None
            else ChangeKind.REMOVED if new is None
            else ChangeKind.CHANGED
        )  # fmt: skip
        yield Change(
            path=path, kind=kind, before=_entry(git, path, old), after=_entry(git, path, new)
        )


def _entry(git: Git, path: str, oid: bytes | None) -> Entry | None:
    if oid is None:
        return None
    pointer = git.pointer(oid)
    return Entry(path=path, sha256=pointer.sha256, size=pointer.size)


def plan(git: Git, *, base: str | None, ours: str, theirs: str) -> MergePlan:
    """Compare two commits with the one where they parted.

    A Delta table whose log both sides wrote is one conflict over all its files that differ: taken
    file by file, the longer log would silently win and rows be lost.

    Returns:
        What a merge would do.
    """
    root = None if base is None else git.commit(base).tree
    our_tree, their_tree = git.commit(ours).tree, git.commit(theirs).tree
    mine = {change.path: change for change in changes(git, root, our_tree)}
    other = {change.path: change for change in changes(git, root, their_tree)}
    diverged = folders.tables_in(mine) & folders.tables_in(other)
    made = _made_above(mine)
    settled: list[Change] = []
    conflicts: list[Conflict] = []
    for path in sorted(mine.keys() | other.keys()):
        left, right = mine.get(path), other.get(path)
        if folders.inside(path, diverged) is not None:
            if left is None or right is None or left.after != right.after:
                conflicts.append(_conflict(path, left, right))
        elif right is not None and left is None:
            if not _nested(right, mine, made):
                settled.append(right)
            else:
                conflicts.append(_conflict(path, left, right))
        elif left is not None and right is not None and left.after != right.after:
            conflicts.append(_conflict(path, left, right))
    return MergePlan(
        base=base, ours=ours, theirs=theirs, changes=tuple(settled), conflicts=tuple(conflicts)
    )


def _made_above(made: Mapping[str, Change]) -> frozenset[str]:
    """Return the folders of what one side made."""
    return frozenset(
        parent for path, change in made.items() if change.after for parent in _above(path)
    )


def _above(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path


def _nested(change: Change, mine: Mapping[str, Change], folders_made: frozenset[str]) -> bool:
    """Return whether one side made an object where the other made a folder."""
    return change.after is not None and (
        change.path in folders_made
        or any(above in mine and mine[above].after for above in _above(change.path))
    )


def _conflict(path: str, left: Change | None, right: Change | None) -> Conflict:
    known = left or right
    base = known.before if known is not None else None
    return Conflict(
        path=path,
        base=base,
        ours=left.after if left is not None else base,
        theirs=right.after if right is not None else base,
    )


def decide(
    merge: MergePlan, *, resolve: Mapping[str, str], side: str | None
) -> list[tuple[str, Entry | None]]:
    """Return what to write on ours: path and entry, None to remove.

    Args:
        merge: The plan.
        resolve: Side by path, or by a folder above it.
        side: The same for all others.

    Raises:
        MergeConflictError: Conflicts are left.
        InvalidInputError: A side is unknown, a path does not conflict, or one Delta table would be
            mixed from two sides.
    """  # noqa: DOC501 — made by the function that lists them
    _check_sides(merge, resolve, side)
    writes = [(change.path, change.after) for change in merge.changes]
    left, sides = [], {}
    for conflict in merge.conflicts:
        chosen = _chosen(conflict.path, resolve) or side
        if chosen is None:
            left.append(conflict)
            continue
        sides[conflict.path] = chosen
        entry: Entry | None = getattr(conflict, chosen)
        if entry != conflict.ours:
            writes.append((conflict.path, entry))
    if left:
        raise _undecided(merge, left)
    _refuse_mixed(sides)
    return writes


def _chosen(path: str, resolve: Mapping[str, str]) -> str | None:
    while path:
        if path in resolve:
            return resolve[path]
        path = path.rpartition("/")[0]
    return None


def _check_sides(merge: MergePlan, resolve: Mapping[str, str], side: str | None) -> None:
    for chosen in (*resolve.values(), *([] if side is None else [side])):
        if chosen not in SIDES:
            raise InvalidInputError(
                f"{chosen!r} is no side of a merge", hint="take 'ours', 'theirs' or 'base'"
            )
    paths = [conflict.path for conflict in merge.conflicts]
    for named in resolve:
        if not any(path == named or path.startswith(f"{named}/") for path in paths):
            raise InvalidInputError(
                f"'{named}' does not conflict", hint="name the paths that do, or leave it out"
            )


def _refuse_mixed(sides: Mapping[str, str]) -> None:
    for table in folders.tables_in(sides):
        if len({chosen for path, chosen in sides.items() if path.startswith(f"{table}/")}) > 1:
            raise InvalidInputError(
                f"table '{table}' would be mixed from two sides",
                hint=f"resolve '{table}' as a whole, or merge its rows",
            )


def _undecided(merge: MergePlan, left: list[Conflict]) -> MergeConflictError:
    shown = ", ".join(f"'{conflict.path}'" for conflict in left[:5])
    more = f" and {len(left) - 5} more" if len(left) > 5 else ""  # noqa: PLR2004 — as shown above
    return MergeConflictError(
        f"{merge.theirs[:10]} and {merge.ours[:10]} changed {shown}{more} differently",
        hint="say which side to take for each, or merge the tables by row",
        conflicts=tuple(left),
    )


def refuse_stale_inverse(
    git: Git, commit: str, head: str, undone: Iterable[Change]
) -> list[tuple[str, Entry | None]]:
    """Return what takes a commit's change back, if nothing was built upon it.

    Raises:
        ConflictError: Something it changed, or a Delta table it wrote, was changed since.
    """
    touched = {change.path: change for change in undone}
    tables = folders.tables_in(touched)
    since = trees.differences(git.tree, git.commit(commit).tree, git.commit(head).tree)
    for path, _, _ in since:
        if path in touched or folders.table_of(path) in tables:
            raise ConflictError(
                f"'{path}', which {commit[:10]} changed, has been changed again since",
                hint="revert the newer commit first, or edit the data forwards",
            )
    return [(change.path, change.before) for change in touched.values()]
