"""Branches and tags: one small file each, moved by compare-and-swap under a lock.

The lake replaces ref files whole instead of making Git's ``.lock`` files, so a killed process
leaves nothing behind that could block the next.
"""

import difflib
import json
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from registry.errors import ConflictError, CorruptError, ForbiddenError, NotFoundError
from registry.lake.local import disk, locks, moves, reflog
from registry.lake.local.layout import Layout
from registry.lake.local.moves import Move

__all__ = [
    "branch",
    "existing",
    "get",
    "in_folder",
    "locked",
    "names",
    "protect",
    "protected",
    "tag",
]

_OID = re.compile(r"[0-9a-f]{40}")


def branch(name: str) -> str:
    """Return the ref of a branch."""
    return f"refs/heads/{name}"


def tag(name: str) -> str:
    """Return the ref of a tag."""
    return f"refs/tags/{name}"


def spoken(ref: str) -> str:
    """Return a ref as people read it: ``branch/main``, ``tag/v1``."""
    return ref.replace("refs/heads/", "branch/", 1).replace("refs/tags/", "tag/", 1)


def get(layout: Layout, ref: str) -> str | None:
    """Return the object id that a ref names, or None if there is no such ref.

    Raises:
        CorruptError: The ref's file holds something else.
    """
    decided = moves.pending(layout)
    if ref in decided:
        return decided[ref].after
    return _stored(layout, ref)


def _stored(layout: Layout, ref: str) -> str | None:
    try:
        text = (layout.root / ref).read_text(encoding="ascii").removesuffix("\n")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        return _packed(layout).get(ref)
    except UnicodeDecodeError:
        text = "?"
    if not _OID.fullmatch(text):
        raise CorruptError(
            f"{spoken(ref)} names {text[:50]!r}, which is no commit",
            hint="run eolab fsck; the reflog knows where it was",
        )
    return text


def existing(layout: Layout, name: str) -> str:
    """Return where a branch stands.

    Raises:
        NotFoundError: There is no such branch.
    """
    head = get(layout, branch(name))
    if head is None:
        near = difflib.get_close_matches(name, [r[11:] for r in in_folder(layout, "refs/heads/")])
        hint = f"did you mean '{near[0]}'?" if near else "list them: eolab branch"
        raise NotFoundError(f"no branch '{name}'", hint=hint)
    return head


def _packed(layout: Layout) -> dict[str, str]:
    found = {}
    with suppress(FileNotFoundError):
        for line in (layout.root / "packed-refs").read_text().splitlines():
            oid, _, ref = line.partition(" ")
            if _OID.fullmatch(oid):
                found[ref] = oid
    return found


def names(layout: Layout) -> list[str]:
    """Return every ref there is, also one that cannot be read, sorted."""
    found = set(_packed(layout))
    for above, _, files in os.walk(layout.root / "refs"):
        found |= {os.path.relpath(f"{above}/{name}", layout.root) for name in files}
    for move in moves.pending(layout).values():
        (found.discard if move.after is None else found.add)(move.ref)
    return sorted(found)


def in_folder(layout: Layout, folder: str) -> dict[str, str]:
    """Return the object ids of all refs below a folder such as ``refs/heads/``, by ref, sorted."""
    decided = moves.pending(layout)
    found = {ref: oid for ref, oid in _packed(layout).items() if ref.startswith(folder)}
    root = str(layout.root)
    for above, _, names in os.walk(layout.root / folder):
        for name in names:
            if not name.endswith(".lock"):
                ref = f"{above[len(root) + 1 :].rstrip('/')}/{name}"
                oid = _stored(layout, ref)
                if oid is not None:
                    found[ref] = oid
    # Looked at before and after, for a movement may be decided or made while files are read.
    for ref, move in (decided | moves.pending(layout)).items():
        if ref.startswith(folder):
            found[ref] = move.after or ""
    return {ref: oid for ref, oid in sorted(found.items()) if oid}


def protected(layout: Layout) -> frozenset[str]:
    """Return the names of protected branches.

    Raises:
        CorruptError: The file that lists them cannot be read.
    """
    try:
        return frozenset(json.loads(layout.protected.read_bytes()))
    except FileNotFoundError:
        return frozenset()
    except ValueError as error:
        raise CorruptError(
            f"{layout.protected} cannot be read", hint='write the names again, such as ["main"]'
        ) from error


def protect(layout: Layout, name: str) -> None:
    """Refuse to move or delete a branch except by ``advance`` from now on."""
    with locks.exclusive(layout.refs_lock):
        names = sorted(protected(layout) | {name})
        temporary = layout.temporary / f"{uuid.uuid4().hex}.protected"
        disk.write_atomically(layout.protected, json.dumps(names).encode(), temporary=temporary)


class Locked:
    """The refs of one repository while nobody else may move them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def get(self, ref: str) -> str | None:
        """Return what a ref names."""
        return get(self._layout, ref)

    def refuse_protected(self, name: str, doing: str) -> None:
        """Refuse to do something to a protected branch.

        Raises:
            ForbiddenError: It is protected.
        """
        if name in protected(self._layout):
            raise ForbiddenError(
                f"branch '{name}' is protected; nobody may {doing} it",
                hint="work on a branch of your own and publish it",
            )

    def move(
        self, ref: str, *, expected: str | None, to: str | None, operation: str, author: str
    ) -> None:
        """Make a ref name another object, or make it, or delete it.

        The reflog is written first: an entry whose movement never happened is struck out by the
        next who takes the lock.

        Raises:
            ConflictError: It does not stand where it is expected.
            NotFoundError: It does not exist and should.
        """  # noqa: DOC501 — made by the function below
        current = self.get(ref)
        if current != expected:
            raise _moved(ref, expected, current)
        if to is not None and expected is None:
            self._refuse_nesting(ref)
        reflog.append(
            self._layout, ref=spoken(ref), before=current, after=to, operation=operation,
            author=author,
        )  # fmt: skip
        self._make(ref, to)

    def move_all(self, wanted: list[Move]) -> None:
        """Make every movement or none, whenever this process ends.

        Raises:
            ConflictError: A ref does not stand where it is expected.
            NotFoundError: A ref does not exist and should.
        """  # noqa: DOC501 — made by the function below
        for move in wanted:
            if self.get(move.ref) != move.before:
                raise _moved(move.ref, move.before, self.get(move.ref))
            if move.before is None:
                self._refuse_nesting(move.ref)
        moves.announce(self._layout, wanted)
        self.finish_moves()

    def finish_moves(self) -> None:
        """Make what was decided and, the decider being killed, perhaps not made."""
        decided = moves.pending(self._layout)
        if not decided:
            return
        for move in decided.values():
            last = next(reflog.entries(self._layout, spoken(move.ref)), None)
            if last is None or (last.before, last.after) != (move.before, move.after):
                reflog.append(
                    self._layout, ref=spoken(move.ref), before=move.before, after=move.after,
                    operation=move.operation, author=move.author,
                )  # fmt: skip
            self._make(move.ref, move.after)
        moves.conclude(self._layout)

    def _make(self, ref: str, to: str | None) -> None:
        if to is None:
            self._delete(ref)
        else:
            self._write(ref, to)

    def _refuse_nesting(self, ref: str) -> None:
        above = ref.rpartition("/")[0]
        others = [*in_folder(self._layout, f"{ref}/")]
        while above.count("/") >= 2:  # noqa: PLR2004 — refs/heads/ is no branch
            others += [above] if self.get(above) is not None else []
            above = above.rpartition("/")[0]
        for other in others:
            raise ConflictError(
                f"{spoken(ref)} cannot be made beside {spoken(other)}: one would be the "
                "folder of the other",
                hint="choose another name",
            )

    def _write(self, ref: str, to: str) -> None:
        file = self._layout.root / ref
        disk.make_durable((), disk.make_folder(file.parent))
        if file.is_dir():
            _remove_empty(file)
        temporary = self._layout.temporary / f"{uuid.uuid4().hex}.ref"
        disk.write_atomically(file, f"{to}\n".encode(), temporary=temporary)

    def _delete(self, ref: str) -> None:
        packed = self._layout.root / "packed-refs"
        if ref in _packed(self._layout):
            kept, skip = [], False
            for line in packed.read_text().splitlines(keepends=True):
                skip = line.split(" ")[-1].strip() == ref or (skip and line.startswith("^"))
                kept += [] if skip else [line]
            temporary = self._layout.temporary / f"{uuid.uuid4().hex}.refs"
            disk.write_atomically(packed, "".join(kept).encode(), temporary=temporary)
        file = self._layout.root / ref
        if not file.exists():  # it was packed, and is gone
            return
        file.unlink()
        disk.sync_folder(file.parent)
        with suppress(OSError):  # other branches are in that folder
            while file.parent.name not in {"heads", "tags"}:
                file = file.parent
                file.rmdir()


def _remove_empty(folder: Path) -> None:
    for above, _, _ in sorted(os.walk(folder), reverse=True):
        with suppress(OSError):
            Path(above).rmdir()


@contextmanager
def locked(layout: Layout) -> Iterator[Locked]:
    """Hold the refs alone, waiting for whoever moves one.

    Yields:
        The refs, which only the holder may move.
    """
    with locks.exclusive(layout.refs_lock):
        held = Locked(layout)
        held.finish_moves()
        reflog.strike_unfinished(layout, held.get)
        yield held


def _moved(ref: str, expected: str | None, current: str | None) -> ConflictError | NotFoundError:
    name = spoken(ref)
    if expected is None:
        return ConflictError(f"{name} exists already", hint="choose another name, or use it")
    if current is None:
        return NotFoundError(f"{name} does not exist any more", hint="list what there is")
    return ConflictError(
        f"{name} stands at {current[:10]}, not at {expected[:10]}: somebody moved it meanwhile",
        hint="read it again, then retry",
    )
