"""Checking, measuring and tidying a repository on a server."""

import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from registry.errors import ConflictError, CorruptError, InvalidInputError, NotFoundError
from registry.lake import lazy
from registry.lake.lakefs.landing import STALE, Landing
from registry.lake.lakefs.mirror import Mirror
from registry.lake.lakefs.objects import FETCHERS
from registry.lake.lakefs.refs import Refs
from registry.lake.local import objects, sessions, trees
from registry.lake.local.pointers import Pointer
from registry.lake.records import Damage, Statistics, Sweep
from registry.progress import Progress

__all__ = ["collect", "damages", "forget", "measure"]


def _reached(mirror: Mirror, heads: Iterable[str]) -> set[str]:
    """Return commits and all that are behind them."""
    seen: set[str] = set()
    waiting = list(heads)
    while waiting:
        commit = waiting.pop()
        if commit not in seen:
            seen.add(commit)
            waiting.extend(mirror.light(commit).commit.parents)
    return seen


def _objects(mirror: Mirror, commits: Iterable[str]) -> dict[Pointer, tuple[str, str]]:
    """Return the objects of some commits, each with a commit and a path that has it."""
    found: dict[Pointer, tuple[str, str]] = {}
    for commit in commits:
        before = [p for p in mirror.light(commit).commit.parents if p in commits][:1]
        old = mirror.commit(before[0]).tree if before else None
        new = mirror.commit(commit).tree
        for path, _, oid in trees.differences(mirror.tree, old, new):
            if oid is not None:
                found.setdefault(mirror.pointer(oid), (commit, path))
    return found


def _heads(refs: Refs) -> set[str]:
    return {*refs.branches().values(), *refs.tags().values()}


def measure(refs: Refs) -> Statistics:
    """Count commits behind any branch or tag, and their distinct objects with their bytes.

    Returns:
        The counts; the server may keep more, for it stores equal objects apart.
    """
    branches, tags = refs.branches(), refs.tags()
    commits = _reached(refs.mirror, {*branches.values(), *tags.values()})
    found = _objects(refs.mirror, commits)
    return Statistics(
        commits=len(commits), branches=len(branches), tags=len(tags), objects=len(found),
        size=sum(pointer.size for pointer in found),
    )  # fmt: skip


def damages(refs: Refs, progress: Progress) -> Iterator[Damage]:
    """Read every object that a branch or a tag reaches, on the server and in the cache.

    Args:
        refs: The repository.
        progress: Told how many are read.

    Yields:
        What is not as it was stored.
    """
    mirror = refs.mirror
    try:
        commits = _reached(mirror, _heads(refs))
        found = _objects(mirror, commits)
    except CorruptError as error:
        yield Damage(what=mirror.remote.name, problem=error.problem, fix=error.hint)
        return
    with ThreadPoolExecutor(FETCHERS) as pool:
        told = pool.map(lambda item: _damage(mirror, item[0], *item[1]), found.items())
        progress.stage("reading objects", total=len(found), unit="objects")
        for damage in told:
            progress.advance()
            if damage is not None:
                yield damage
    for head in sorted(_heads(refs)):
        yield from _misread(mirror, head)
    yield from _cached(mirror, found)


def _misread(mirror: Mirror, commit: str) -> Iterator[Damage]:
    """Yield where the mirror's tree of a commit is not what the server lists."""
    known = {path: mirror.pointer(oid) for path, oid in _walked(mirror, commit)}
    listed = {path: mirror.pointer_of(held) for path, held in mirror.listed(commit)}
    for path in sorted(known.keys() | listed.keys()):
        mine, its = known.get(path), listed.get(path)
        if path not in listed or mine is None or (its is not None and its != mine):
            yield Damage(
                what=f"'{path}' at {commit[:10]}", problem="is not what the server lists",
                fix=f"remove {mirror.layout.root}, which is a cache, and look again",
            )  # fmt: skip


def _walked(mirror: Mirror, commit: str) -> Iterator[tuple[str, bytes]]:
    return trees.walk(mirror.tree, mirror.commit(commit).tree)


def _damage(mirror: Mirror, pointer: Pointer, commit: str, path: str) -> Damage | None:
    half = mirror.layout.temporary / f"{uuid.uuid4().hex}.checked"
    try:
        arrived = mirror.bytes.download(path, half, at=commit, size=pointer.size)
        if arrived == pointer:
            return None
        problem = f"hashes to {arrived.sha256[:10]}, not to {pointer.sha256[:10]}"
    except (CorruptError, NotFoundError) as error:
        problem = error.problem
    finally:
        half.unlink(missing_ok=True)
    return Damage(
        what=f"'{path}' at {commit[:10]}", problem=problem,
        fix="restore the storage behind lakeFS from a copy",
    )  # fmt: skip


def _cached(mirror: Mirror, known: Iterable[Pointer]) -> Iterator[Damage]:
    for pointer in known:
        file = mirror.layout.object(pointer.sha256)
        if file.exists() and objects.digest(file) != pointer:
            yield Damage(
                what=f"{file}, in the cache", problem="is not what its hash says",
                fix="remove the file, and the views beside it; they are fetched again",
            )  # fmt: skip


def collect(
    refs: Refs, landing: Landing, *, grace: timedelta, dry_run: bool, keep: Iterable[str]
) -> Sweep:
    """Give up commits that nothing reaches, and remove what killed processes left on the server.

    Args:
        refs: The repository.
        landing: Its writes.
        grace: What is younger stays.
        dry_run: Only count.
        keep: Further commits that are roots.

    Returns:
        The objects that only those commits have.

    Raises:
        InvalidInputError: ``grace`` is negative.
    """
    if grace < timedelta():
        raise InvalidInputError(f"a grace of {grace} is negative", hint="use 0 or more days")
    mirror, since = refs.mirror, datetime.now(tz=UTC) - grace
    spoken_of, young = _spoken_of(refs, since)
    roots = {*_heads(refs), *keep, *young, *sessions.pinned(mirror.layout)}
    gone = refs.swept(fresh=True)
    needed = _reached(mirror, roots)
    lost = _reached(mirror, _there(mirror, spoken_of - gone)) - needed - gone
    held = _objects(mirror, needed)
    swept = {one: place for one, place in _objects(mirror, lost).items() if one not in held}
    if not dry_run:
        refs.give_up(lost)
        landing.sweep(older_than=max(grace, STALE))
        trim(mirror, set(held))
    return Sweep(objects=len(swept), size=sum(one.size for one in swept), kept_by_grace=0)


def _spoken_of(refs: Refs, since: datetime) -> tuple[set[str], set[str]]:
    """Return the commits that notes speak of, and those of them that young notes speak of."""
    spoken: set[str] = set()
    young: set[str] = set()
    for moved in refs.notes.movements():
        ends = {end for end in (moved.before, moved.after) if end is not None}
        spoken |= ends
        young |= ends if moved.at > since else set()
    for made, at in refs.notes.grafts():
        spoken.add(made)
        young |= {made} if at > since else set()
    return spoken, young


def _there(mirror: Mirror, commits: Iterable[str]) -> list[str]:
    return [commit for commit in commits if mirror.has_commit(commit)]


def trim(mirror: Mirror, needed: set[Pointer]) -> None:
    """Drop from the cache what no branch or tag has; what somebody reads stays by its own links."""
    digests = {pointer.sha256 for pointer in needed}
    for folder, _, files in _walk(mirror.layout.objects):
        for name in files:
            if name not in digests:
                with suppress(FileNotFoundError):
                    (folder / name).unlink()


def _walk(folder: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    import os

    for above, folders, files in os.walk(folder):
        yield Path(above), folders, files


def forget(refs: Refs, digests: Iterable[str], *, commits: Mapping[str, str | None]) -> Sweep:
    """Let nothing of ours lead to objects and commits any more.

    Args:
        refs: The repository.
        digests: SHA-256 in hex of the objects.
        commits: Commits that go, each with the one that stands in for it, or None.

    Returns:
        What went; the server's operator has to collect its bytes.

    Raises:
        ConflictError: A branch or tag still reaches one of them.
    """
    mirror, unwanted = refs.mirror, frozenset(digests)
    reached = _reached(mirror, _heads(refs))
    needed = set(_objects(mirror, reached))
    held = {pointer.sha256 for pointer in needed}
    still = (reached & commits.keys()) or (held & unwanted)
    if still:
        raise ConflictError(
            f"a branch or tag still needs {min(still)[:10]}; nothing was removed",
            hint="move every ref away from it first",
        )
    spoken_of, _ = _spoken_of(refs, datetime.now(tz=UTC))
    pinned = sessions.pinned(mirror.layout)
    told = _there(mirror, {*spoken_of, *pinned, *commits})
    tainted = _tainted(mirror, _reached(mirror, told) - reached, unwanted, commits)
    if worked_on := pinned & tainted:
        raise ConflictError(
            f"a running process works on commit {min(worked_on)[:10]}, which is to be forgotten; "
            "nothing was removed",
            hint="wait until it has ended, or end it; then do it again",
        )
    refs.notes.replace({**dict.fromkeys(tainted), **commits})
    refs.give_up(tainted - refs.swept(fresh=True))
    _drop_commits(mirror, reached)
    swept = _empty_cache(mirror, unwanted)
    trim(mirror, needed)
    return swept


def _drop_commits(mirror: Mirror, reached: set[str]) -> None:
    """Remove from this machine what commits said that no branch or tag reaches any more."""
    for folder, _, files in _walk(mirror.layout.own / "commits"):
        for name in files:
            if name not in reached:
                (folder / name).unlink(missing_ok=True)


def _tainted(
    mirror: Mirror, among: set[str], digests: frozenset[str], commits: Mapping[str, str | None]
) -> set[str]:
    """Return the commits that are to be forgotten, that hold what is, or that such are behind."""
    tainted = among & commits.keys()
    for commit in among - tainted:
        walked = trees.walk(mirror.tree, mirror.commit(commit).tree)
        if any(mirror.pointer(oid).sha256 in digests for _, oid in walked):
            tainted.add(commit)
    return {commit for commit in among if _reached(mirror, [commit]) & tainted}


def _empty_cache(mirror: Mirror, unwanted: frozenset[str]) -> Sweep:
    """Remove objects from this machine, and the views that show them, whoever reads them.

    Returns:
        What was removed.
    """
    for view in list(mirror.layout.views.iterdir()):
        if view.suffix:  # it goes with the view that it belongs to
            continue
        with suppress(CorruptError, ValueError):
            walked = trees.walk(mirror.tree, bytes.fromhex(view.name))
            if not any(mirror.pointer(oid).sha256 in unwanted for _, oid in walked):
                continue
        gone = mirror.layout.temporary / f"{view.name}.{uuid.uuid4().hex}"
        with suppress(FileNotFoundError):
            view.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        shutil.rmtree(lazy.companion(view), ignore_errors=True)
    count = size = 0
    for sha256 in unwanted:
        with suppress(FileNotFoundError, IsADirectoryError):
            file = mirror.layout.object(sha256)
            size += file.stat().st_size
            file.unlink()
            count += 1
    return Sweep(objects=count, size=size, kept_by_grace=0, left_on_server=len(unwanted))
