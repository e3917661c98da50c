"""Objects and commits removed at once: no grace, no reflog, no view that still shows them."""

import json
import math
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from registry.errors import ConflictError, CorruptError, InvalidInputError, NotFoundError
from registry.lake.local import disk, gate, gc, promises, reach, reflog, refs, sessions, views
from registry.lake.local.git import Batch, Git
from registry.lake.local.layout import Layout
from registry.lake.local.moves import Move
from registry.lake.local.reach import Reached
from registry.lake.names import default_author
from registry.lake.records import Sweep

__all__ = ["forget", "move_refs"]

JOURNALS = ".ingest"
"""Where ingests keep beside the datasets what they have read so far; losing it costs time."""

Moves = Mapping[str, tuple[str | None, str | None]]


def move_refs(git: Git, moves: Moves, *, operation: str, edit: Callable[[str], str]) -> None:
    """Move branches and tags, protected ones too: all of them or none, also if killed.

    Raises:
        ConflictError: One of them stands elsewhere.
    """  # noqa: DOC501 — made by the function below
    author = default_author()
    named = {_git_name(ref): ends for ref, ends in moves.items()}
    targets = [to for _, to in named.values() if to is not None]
    with git.adding():
        _require(git, targets)
        with refs.locked(git.layout) as held:
            batch = Batch(git)
            wanted = []
            for ref, (expected, to) in named.items():
                stands = held.get(ref)
                if (None if stands is None else git.peel(stands)) != expected:
                    raise _elsewhere(ref, expected, stands)
                after = to if to is None else _target(git, batch, stands, to, edit)
                wanted.append(Move(ref, stands, after, operation, author))
            batch.write()
            held.move_all(wanted)


def _git_name(ref: str) -> str:
    kind, _, name = ref.partition("/")
    if kind not in {"branch", "tag"} or not name:
        raise InvalidInputError(f"{ref!r} is no ref", hint="write branch/<name> or tag/<name>")
    return refs.branch(name) if kind == "branch" else refs.tag(name)


def _require(git: Git, targets: Iterable[str]) -> None:
    """Refuse to name what is not stored whole.

    Raises:
        NotFoundError: Something is not there.
    """
    reached = Reached()
    try:
        reach.reach(git, targets, reached)
    except CorruptError as error:
        raise NotFoundError(
            f"what a ref should name is not stored whole: {error.problem}",
            hint="record its commits first",
        ) from error
    missing = [
        one
        for one in reached.objects
        if one.size
        and not _stored(git.layout, one.sha256)
        and not promises.is_promised(git.layout, one)
    ]
    if missing:
        raise NotFoundError(
            f"{len(missing):,} objects that a ref would need are not stored",
            hint="record its commits first",
        )


def _stored(layout: Layout, sha256: str) -> bool:
    return layout.object(sha256).exists()


def _elsewhere(ref: str, expected: str | None, stands: str | None) -> ConflictError:
    def said(oid: str | None) -> str:
        return "nothing" if oid is None else oid[:10]

    return ConflictError(
        f"{refs.spoken(ref)} names {said(stands)}, not {said(expected)}: somebody moved it "
        "meanwhile; no ref was moved",
        hint="read it again, then retry",
    )


def _target(git: Git, batch: Batch, stands: str | None, to: str, edit: Callable[[str], str]) -> str:
    """Return what a ref names from now on: the commit, or a tag like the one that was there."""
    if stands is None or git.peel(stands) == stands:
        return to
    head, _, message = git.read(stands)[1].decode().partition("\n\n")
    lines = [f"object {to}", *head.split("\n")[1:]]
    return batch.add("tag", ("\n".join(lines) + "\n\n" + edit(message)).encode()).hex()


def forget(git: Git, objects: Iterable[str], *, commits: Mapping[str, str | None]) -> Sweep:
    """Remove objects and commits now, with all that nothing else needs.

    What an open session, a young commit or the reflog keeps stays unless it leads to what is
    forgotten; of everything that nobody needs no grace keeps a byte.

    Returns:
        What was removed.

    Raises:
        ConflictError: A ref still needs some of it, or a process that has it open still runs.
    """
    layout, unwanted = git.layout, frozenset(objects)
    fresh = Git(layout)
    with gate.sweeping(layout):
        sessions.sweep(layout)
        with refs.locked(layout):
            pass  # finishes what a killed process had decided
        reached = Reached()
        reach.reach(fresh, refs.in_folder(layout, "refs/").values(), reached)
        _refuse_needed(fresh, reached, unwanted, commits)
        judge = _Judge(fresh, reached, unwanted, frozenset(commits))
        for oid in sorted(sessions.pinned(layout)):
            if not judge.keep(oid):
                raise ConflictError(
                    f"a running process works on commit {oid[:10]}, which is to be forgotten; "
                    "nothing was removed",
                    hint="wait until it has ended, or end it; then do it again",
                )
        for oid in (*reach.young(fresh, -math.inf), *_remembered(layout, commits)):
            judge.keep(oid)
        gc.tell(layout)
        _rewrite_reflog(fresh, judge, commits)
        needed = {pointer.sha256 for pointer in reached.objects}
        swept = gc.sweep_objects(layout, needed, math.inf, dry_run=False)
        _sweep_views(layout, reached.git)
        gc.sweep_git(fresh, reached.git, math.inf)
        gc.empty(layout.temporary)
        gc.tell(layout)
    shutil.rmtree(layout.root.parent.parent / JOURNALS, ignore_errors=True)
    git.catch_up()
    return swept


def _refuse_needed(
    git: Git, reached: Reached, unwanted: frozenset[str], commits: Mapping[str, str | None]
) -> None:
    held = {pointer.sha256 for pointer in reached.objects} & unwanted
    named = {oid for oid in commits if bytes.fromhex(oid) in reached.git}
    if not held and not named:
        return
    for ref, oid in refs.in_folder(git.layout, "refs/").items():
        own = Reached()
        reach.reach(git, [oid], own)
        needs = {pointer.sha256 for pointer in own.objects} & held
        needs |= {one for one in named if bytes.fromhex(one) in own.git}
        if needs:
            raise ConflictError(
                f"{refs.spoken(ref)} still needs {min(needs)[:10]}; nothing was removed",
                hint="move every ref away from it first",
            )


class _Judge:
    """Decides which commits that no ref names are kept, and adds what they need."""

    def __init__(
        self, git: Git, reached: Reached, objects: frozenset[str], commits: frozenset[str]
    ) -> None:
        self._git = git
        self._reached = reached
        self._objects = objects
        self._known = dict.fromkeys(commits, False)

    def keep(self, oid: str) -> bool:
        """Keep a commit with all behind it, if nothing of it is to be forgotten.

        Returns:
            Whether it is kept.
        """
        waiting = [oid]
        while waiting:
            one = waiting[-1]
            if self._decided(one) is not None:
                waiting.pop()
                continue
            try:
                raw = self._git.commit(self._git.peel(one))
            except CorruptError:
                self._known[one] = False
                continue
            open_ = [parent for parent in raw.commit.parents if self._decided(parent) is None]
            if open_:
                waiting.extend(open_)
                continue
            behind = all(self._decided(parent) for parent in raw.commit.parents)
            self._known[one] = behind and self._take(one, raw.commit.id, raw.tree)
        return bool(self._decided(oid))

    def _decided(self, oid: str) -> bool | None:
        known = self._known.get(oid)
        if known is None and bytes.fromhex(oid) in self._reached.git:
            return True
        return known

    def _take(self, oid: str, commit: str, tree: bytes) -> bool:
        if self._known.get(commit) is False:  # a tag of it
            return False
        own = Reached(git=self._reached.git.copy())
        try:
            reach.reach_tree(self._git, tree, own)
        except CorruptError:  # a part of it is swept already
            return False
        if {pointer.sha256 for pointer in own.objects} & self._objects:
            return False
        self._reached.git |= own.git | {bytes.fromhex(oid), bytes.fromhex(commit)}
        self._reached.objects |= own.objects
        return True


def _remembered(layout: Layout, commits: Mapping[str, str | None]) -> list[str]:
    found = {oid for entry in reflog.entries(layout) for oid in (entry.before, entry.after) if oid}
    return sorted({commits.get(oid) or oid for oid in found})


def _rewrite_reflog(git: Git, judge: _Judge, commits: Mapping[str, str | None]) -> None:
    """Let the reflog speak of what stands in for the forgotten; leave out what says nothing then.

    A movement between a commit and what stands in for it is none, and one from or to a commit
    that has gone cannot be taken back.
    """
    lines = []
    for entry in reversed(list(reflog.entries(git.layout))):
        before, after = (_standing(git, oid, commits) for oid in (entry.before, entry.after))
        ends = [oid for oid in (before, after) if oid is not None]
        if before == after or not all(judge.keep(oid) for oid in ends):
            continue
        lines.append(
            json.dumps({
                "ref": entry.ref, "before": before, "after": after, "operation": entry.operation,
                "author": entry.author, "at": entry.at.isoformat(timespec="milliseconds"),
            })
        )  # fmt: skip
    temporary = git.layout.temporary / f"{uuid.uuid4().hex}.reflog"
    data = "".join(f"{line}\n" for line in lines).encode()
    disk.write_atomically(git.layout.reflog, data, temporary=temporary)


def _standing(git: Git, oid: str | None, commits: Mapping[str, str | None]) -> str | None:
    if oid is None:
        return None
    try:
        peeled = git.peel(oid)
    except CorruptError:
        peeled = oid
    return commits.get(peeled) or peeled


def _sweep_views(layout: Layout, needed: set[bytes]) -> None:
    """Remove views of trees that nothing needs, whoever reads them."""
    outside = views.home_outside(layout)
    shown = [*layout.views.iterdir(), *(outside.iterdir() if outside.is_dir() else ())]
    for view in shown:
        if not _is_needed(view.name.removesuffix(".lazy"), needed):
            # Half-removed it would be taken for whole; what a kill leaves of it goes next time.
            gone = view.with_name(f"gone-{uuid.uuid4().hex}")
            with suppress(OSError):
                view.rename(gone)
                shutil.rmtree(gone, ignore_errors=True)


def _is_needed(name: str, needed: set[bytes]) -> bool:
    try:
        return bytes.fromhex(name) in needed
    except ValueError:
        return False
