"""What refs name, how they moved, and the commits behind them."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace

from registry.errors import InvalidInputError, NotFoundError
from registry.lake.local import reach, reflog, refs, trees
from registry.lake.local.git import Git
from registry.lake.names import check_branch, check_tag, default_author
from registry.lake.records import Commit, RefUpdate

__all__ = ["annotated_tag", "log", "movements", "resolve", "tag_message", "undo"]

_HEX = re.compile(r"[0-9a-f]{7,40}")
_FULL = 40


def resolve(git: Git, ref: str) -> str:
    """Return the commit id that a branch, a tag, an id or a unique prefix names.

    Raises:
        NotFoundError: Nothing of that name, or several commits.
    """
    git.catch_up()
    if _HEX.fullmatch(ref) and len(ref) == _FULL and git.has_commit(ref):
        return ref
    if _could_be_a_name(ref):
        for name in (refs.branch(ref), refs.tag(ref)):
            oid = refs.get(git.layout, name)
            if oid is not None:
                return git.peel(oid)
    if _HEX.fullmatch(ref) and len(ref) < _FULL:
        found = git.expand(ref)
        if len(found) == 1:
            return found[0]
        if found:
            raise NotFoundError(
                f"several commits of '{git.layout.root.name}' begin with {ref}",
                hint="give more digits",
            )
    name = git.layout.root.name
    raise NotFoundError(
        f"'{name}' has no branch, tag or commit '{ref}'",
        hint=f"list them: eolab branch {name}, or eolab log {name}@main",
    )


def _could_be_a_name(ref: str) -> bool:
    try:
        check_branch(ref)
    except InvalidInputError:
        return False
    return True


def annotated_tag(name: str, target: str, message: str, author: str) -> bytes:
    """Return the Git object of a tag that says why it was made."""
    lines = [f"object {target}", "type commit", f"tag {name}"]
    return "\n".join([
        *lines,
        f"tagger {author} {int(time.time())} +0000",
        "",
        message,
        "",
    ]).encode()


def tag_message(git: Git, name: str) -> str:
    """Return what was said when a tag was made; empty where nothing was.

    Raises:
        NotFoundError: No such tag.
    """
    oid = refs.get(git.layout, refs.tag(check_tag(name)))
    if oid is None:
        raise NotFoundError(f"no tag '{name}'", hint="list them: eolab log")
    kind, data = git.read(oid)
    if kind != "tag":
        return ""
    return data.decode(errors="replace").partition("\n\n")[2].strip("\n")


def log(git: Git, head: str, path: str | None) -> Iterator[Commit]:
    """Yield the commits behind a commit, newest first, children before parents.

    Args:
        git: Reads them.
        head: Where to begin.
        path: Only commits that changed this path or something below it; a merge counts if its
            outcome differs from every parent's.
    """
    path = None if path is None else path.strip("/")
    for raw in git.walk(head):
        if not path or _changed(git, raw.tree, raw.commit.parents, path):
            yield raw.commit


def _changed(git: Git, tree: bytes, parents: tuple[str, ...], path: str) -> bool:
    after = trees.find(git.tree, tree, path)
    before = [trees.find(git.tree, git.commit(parent).tree, path) for parent in parents]
    return all(node != after for node in before) if before else after is not None


def movements(git: Git, ref: str | None) -> Iterator[RefUpdate]:
    """Yield movements of refs, newest first.

    Args:
        git: The repository.
        ref: ``branch/<name>``, ``tag/<name>`` or a branch's bare name; all if None.
    """
    if ref is not None and not ref.startswith(("branch/", "tag/")):
        ref = f"branch/{ref}"
    for entry in reflog.entries(git.layout, ref):
        if entry.ref.startswith("tag/") and entry.after and git.is_stored(entry.after):
            yield replace(entry, after=git.peel(entry.after))
        else:
            yield entry


def undo(git: Git, branch: str) -> RefUpdate:
    """Take back the last movement of a branch.

    Returns:
        The movement that took the last one back.

    Raises:
        NotFoundError: It never moved, or where it was is swept already.
        ConflictError: It stands where no movement left it.
        ForbiddenError: It is protected.
    """
    ref, author = refs.branch(branch), default_author()
    with refs.locked(git.layout) as held:
        held.refuse_protected(branch, "undo")
        last = next(reflog.entries(git.layout, refs.spoken(ref)), None)
        if last is None:
            raise NotFoundError(f"branch '{branch}' has never moved", hint="see eolab branch")
        if last.before is not None:
            reach.require(git, last.before)
        held.move(ref, expected=last.after, to=last.before, operation="undo", author=author)
    return next(reflog.entries(git.layout, refs.spoken(ref)))
