"""Commits that were made elsewhere, recorded on a server as they were."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

from registry.errors import NotFoundError
from registry.lake.lakefs.landing import Copied, Landing
from registry.lake.lakefs.mirror import Mirror
from registry.lake.lakefs.refs import Refs
from registry.lake.local import objects, pointers, promises, sessions, trees
from registry.lake.local.disk import translated
from registry.lake.local.git import Batch
from registry.lake.local.grafting import Pins, checked_message, edits_of
from registry.lake.local.pointers import Pointer
from registry.lake.local.sessions import Session
from registry.lake.names import check_metadata, split_author
from registry.lake.records import Change, Commit, Entry

__all__ = ["graft", "holds"]

Fetch = Callable[[Entry], BinaryIO]


def holds(refs: Refs, digests: Iterable[str]) -> set[str]:
    """Return which objects some branch, tag or grafted commit has."""
    wanted = set(digests)
    found: set[str] = set()
    for commit in refs.heads():
        if wanted <= found:
            break
        found |= wanted & {pointer.sha256 for pointer in refs.objects(commit)}
    return found


def graft(
    refs: Refs,
    landing: Landing,
    pins: Pins,
    commit: Commit,
    *,
    parents: Sequence[str],
    changes: Iterable[Change],
    fetch: Fetch | None,
) -> Commit:
    """Record a commit that was made elsewhere, as the contract says.

    The history begins anew with a commit that has no parents, whatever the server's own first
    commit is: what people see are the parents that the commit itself names.

    Returns:
        The commit here.
    """
    mirror = refs.mirror
    message, (name, address) = checked_message(commit), split_author(commit.author)
    metadata = check_metadata(commit.metadata)
    edits, needed = edits_of(changes)
    before = [_parent(mirror, parent) for parent in parents]
    said = Commit(
        id="", parents=tuple(parents), message=message, author=f"{name} <{address}>",
        at=max(one.at for one in (commit, *before)), metadata=metadata,
    )  # fmt: skip
    known = _fingerprint(said, needed, edits)
    done = refs.notes.grafted(known)
    if done is not None and mirror.has_commit(done):
        if done in refs.swept(fresh=True):
            refs.notes.strike(f"swept/{done}")
            refs.swept(fresh=True)
        pins.add(done, parents)
        return mirror.light(done).commit
    with translated(f"record commit {commit.id[:10]}"), sessions.opened(mirror.layout) as session:
        root = mirror.commit(before[0].id).tree if before else None
        batch = Batch(mirror)
        made_tree = trees.apply(batch.tree, batch.add, root, edits)
        tree = batch.add("tree", b"") if made_tree is None else made_tree
        with mirror.adding():
            batch.write()
        sources = _sources(refs, session, needed, [p.id for p in before], fetch)
        onto = before[0].id if before else refs.first()
        with landing.own_branch(onto) as work:
            puts, gone = {}, []
            start = root if before else mirror.commit(onto).tree
            for path, _, oid in trees.differences(mirror.tree, start, tree):
                if oid is None:
                    gone.append(path)
                else:
                    pointer = mirror.pointer(oid)
                    puts[path] = (sources(pointer), pointer.sha256)
            landing.stage(work, puts, gone)
            made = landing.commit(work, said, onto=onto)
            mirror.keep_tree(made.id, tree)
            for other in before[1:]:
                landing.join(work, made, other.id)
            pins.add(made.id, parents)
            refs.made_here.add(made.id)
            refs.notes.graft(known, made.id)
        mirror.tidy()
    return mirror.light(made.id).commit


def _parent(mirror: Mirror, commit: str) -> Commit:
    if not mirror.has_commit(commit):
        raise NotFoundError(
            f"commit {commit[:10]}, on which another is to be recorded, is not here",
            hint="send the parents first",
        )
    return mirror.light(commit).commit


def _fingerprint(said: Commit, needed: dict[Pointer, Entry], edits: trees.Edits) -> str:
    """Return what tells a grafted commit from all others: what is said, and what it changes."""
    about = [
        said.parents, said.message, said.author, int(said.at.timestamp()),
        sorted(said.metadata.items()), sorted(pointer.sha256 for pointer in needed), repr(edits),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(about).encode()).hexdigest()


def _sources(
    refs: Refs, session: Session, needed: dict[Pointer, Entry], near: list[str], fetch: Fetch | None
) -> Callable[[Pointer], Path | Copied]:
    """Find where each object comes from; fetch those that are nowhere here.

    Returns:
        What tells of an object where its bytes are.

    Raises:
        NotFoundError: Something is not here and nobody can fetch it.
    """
    mirror = refs.mirror
    found: dict[Pointer, Path | Copied] = {}
    missing = {}
    objects.stage_bytes(b"", session.folder, name="empty")
    wanted = {pointer: entry.path for pointer, entry in needed.items() if pointer.size}
    places = refs.places(wanted, near=near) if wanted else {}
    for pointer, entry in needed.items():
        if not pointer.size:
            found[pointer] = session.folder / pointers.EMPTY_SHA256
        elif pointer in places:
            found[pointer] = places[pointer]
        elif objects.is_whole(mirror.layout, pointer):
            found[pointer] = mirror.layout.object(pointer.sha256)
        else:
            missing[pointer] = entry
    if missing and fetch is None:
        first = next(iter(missing.values()))
        raise NotFoundError(
            f"{len(missing):,} objects are not stored here, '{first.path}' the first of them",
            hint="send them with the commit",
        )
    if missing and fetch is not None:
        promises.receive_all(mirror.layout, session, mirror.adding, missing, fetch)
        found |= {pointer: mirror.layout.object(pointer.sha256) for pointer in missing}
    return found.__getitem__
