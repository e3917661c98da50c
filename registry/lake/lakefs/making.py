"""Making a repository on a server, which nobody sees before it is whole.

A server renames nothing, so a repository is made under its own name and is a dataset from when it
has the hidden branch :data:`READY`.
"""

import re
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from registry.errors import ConflictError
from registry.lake.lakefs.answers import GoneError, TakenError
from registry.lake.lakefs.mirror import folder_of
from registry.lake.lakefs.names import OWN
from registry.lake.lakefs.notes import BRANCH as NOTES
from registry.lake.lakefs.notes import Notes
from registry.lake.lakefs.remote import Remote
from registry.lake.lakefs.server import patiently
from registry.lake.local import locks
from registry.lake.names import default_author
from registry.lake.system import translated

__all__ = [
    "READY", "alone", "begin", "clear_away", "conclude", "may_go_on", "namespace_of", "remove",
    "withdraw",
]  # fmt: skip

READY = f"{OWN}ready"
"""Hidden branch of a repository that is there whole."""

STALE = 24 * 3600
"""Seconds after which what another machine was making was certainly left behind."""


@contextmanager
def alone(remote: Remote) -> Iterator[None]:
    """Queue with whoever else on this machine makes a repository of that name."""
    home = folder_of(remote.server.place.endpoint, remote.name, "making")
    with translated("make a cache"):
        home.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = home.with_suffix(".lock")
        lock.touch()
    with locks.exclusive(lock):
        yield


def namespace_of(remote: Remote) -> str | None:
    """Return where the server keeps a repository's objects; None if there is no such repository."""
    said = _described(remote)
    namespace = said.get("storage_namespace")
    return namespace if isinstance(namespace, str) else None


def _described(remote: Remote) -> dict[str, Any]:
    try:
        said = remote.server.ask(f"look up '{remote.name}'", "GET", f"/repositories/{remote.name}")
    except GoneError:
        return {}
    return said if isinstance(said, dict) else {}


def _plan(remote: Remote) -> dict[str, Any]:
    """Return what was written down by whoever began to make a repository."""
    with suppress(GoneError):
        for _, said in Notes(remote).read("making"):
            return said if isinstance(said, dict) else {}
    return {}


def may_go_on(remote: Remote, about: str | None) -> bool:
    """Return whether a half-made repository is left that was to become the same.

    Whoever made it on this machine has ended: the caller holds the lock.
    """
    plan = _plan(remote)
    return about is not None and plan.get("about") == about and _is_ours(plan)


def _is_ours(plan: dict[str, Any]) -> bool:
    at = plan.get("at")
    old = isinstance(at, int) and at < time.time() - STALE
    return plan.get("host") == socket.gethostname() or old


def clear_away(remote: Remote) -> None:
    """Remove a half-made repository of that name, if there is one that nobody makes any more.

    Raises:
        ConflictError: Another machine is making it, or it is none of ours.
    """
    namespace = namespace_of(remote)
    if namespace is None:
        return
    ours = re.search(rf"/{re.escape(remote.name)}-[0-9a-f]{{12}}/?$", namespace)
    plan = _plan(remote)
    if not ours or not (_is_ours(plan) if plan else _is_empty(remote)):
        raise ConflictError(
            f"the server has a repository '{remote.name}' that is no dataset, or is being made",
            hint="choose another name, or delete it in lakeFS if nobody works on it",
        )
    remove(remote)


def _is_empty(remote: Remote) -> bool:
    """Return whether a repository has nothing but its first commit."""
    return not remote.tags() and not any(
        remote.commit_at(head).parents for head in remote.branches(hidden=True).values()
    )


def begin(remote: Remote, namespace: str, *, about: str | None) -> None:
    """Make a repository on the server, with the branch for notes.

    Raises:
        ConflictError: Somebody else was faster.
    """
    home = f"{namespace}/{remote.name}-{uuid.uuid4().hex[:12]}"
    asked = remote.server.model(
        "RepositoryCreation", name=remote.name, storage_namespace=home, default_branch="main"
    )
    api = remote.server.client.repositories_api

    def once() -> bool:
        remote.server.call(f"make repository '{remote.name}'", api.create_repository, asked)
        return True

    def look() -> bool | None:
        return True if (namespace_of(remote) or "").rstrip("/") == home else None

    try:
        patiently(once, look=look)
    except TakenError as error:
        raise ConflictError(
            f"somebody else is making a repository '{remote.name}'", hint="look again in a while"
        ) from error
    first = remote.head("main")
    remote.create_branch(NOTES, first, hidden=True)
    _claim(remote, about)
    Notes(remote).moved(
        "branch/main", before=None, after=first, operation="create", author=default_author()
    )


def _claim(remote: Remote, about: str | None) -> None:
    said = {"about": about, "host": socket.gethostname(), "at": int(time.time())}
    Notes(remote).write("making", said)


def withdraw(remote: Remote) -> None:
    """Let nobody find a repository that is to be removed; whoever is killed then left it."""
    _claim(remote, None)
    with suppress(GoneError):
        remote.delete_branch(READY)


def conclude(remote: Remote) -> None:
    """Let everybody see a repository."""
    remote.create_branch(READY, remote.head(NOTES), hidden=True)
    Notes(remote).strike("making")


def remove(remote: Remote) -> None:
    """Delete a repository with all it holds; nothing if it is gone."""
    api = remote.server.client.repositories_api

    def once() -> None:
        with suppress(GoneError):
            remote.server.call(
                f"delete repository '{remote.name}'", api.delete_repository, remote.name
            )

    patiently(once)
