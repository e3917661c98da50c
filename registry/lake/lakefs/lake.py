"""The lake on a lakeFS server: one of its repositories for each dataset."""

import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from registry.errors import ConflictError, InvalidInputError, NotFoundError, RegistryError
from registry.lake.lakefs import moving
from registry.lake.lakefs.answers import GoneError, TakenError
from registry.lake.lakefs.names import OWN
from registry.lake.lakefs.notes import BRANCH as NOTES
from registry.lake.lakefs.place import Place
from registry.lake.lakefs.remote import Remote
from registry.lake.lakefs.repository import LakefsRepository
from registry.lake.lakefs.server import Server, patiently
from registry.lake.names import check_repository, default_author

__all__ = ["LakefsLake", "open_lake"]

READY = f"{OWN}ready"
"""Hidden branch of a repository that is there whole; a repository without it is being made."""

STALE = 24 * 3600
"""Seconds after which a half-made repository was certainly left behind."""

LONGEST = 63
"""Characters of a repository's name on the server."""


def open_lake(place: Place) -> "LakefsLake":
    """Open the lake on a server.

    Returns:
        The lake.

    Raises:
        UnavailableError: The server does not answer.
    """  # noqa: DOC502 — raised by the request
    server = Server(place)
    server.ask("open the lake", "GET", "/repositories", fields={"amount": 1})
    return LakefsLake(server)


class LakefsLake:
    """A set of repositories on one server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._place = server.place
        self.address: str = server.place.address

    def __repr__(self) -> str:
        return f"LakefsLake({self.address!r})"

    def create(
        self, name: str, *, prepare: Callable[[LakefsRepository], None] | None = None
    ) -> LakefsRepository:
        """Make a repository with an empty first commit on ``main``.

        Args:
            name: Its name.
            prepare: Fills it before anybody else sees it, so that it is there whole or not at all.

        Returns:
            The repository.

        Raises:
            ConflictError: There is one of that name, or one is being made.
        """
        remote = Remote(self._server, self._checked(name))
        self._make(remote, name)
        try:
            first = remote.head("main")
            remote.create_branch(NOTES, first, hidden=True)
            repository = self._open(remote, name)
            repository.begin(first, author=default_author())
            if prepare is not None:
                prepare(repository)
            remote.create_branch(READY, first, hidden=True)
        except BaseException:
            with suppress(RegistryError):
                self._remove(remote)
            raise
        return repository

    def _make(self, remote: Remote, name: str) -> None:
        import lakefs_sdk

        asked = lakefs_sdk.RepositoryCreation(
            name=remote.name,
            storage_namespace=f"{self._namespace()}/{remote.name}-{uuid.uuid4().hex[:12]}",
            default_branch="main",
        )

        def once() -> bool:
            api = self._server.client.repositories_api
            self._server.call(f"make repository '{remote.name}'", api.create_repository, asked)
            return True

        def look() -> bool | None:
            with suppress(GoneError):
                said = self._described(remote)
                return True if said.get("storage_namespace") == asked.storage_namespace else None
            return None

        try:
            patiently(once, look=look)
        except TakenError as error:
            if self._is_ready(remote):
                raise ConflictError(
                    f"there is a dataset '{name}' already", hint="choose another name, or use it"
                ) from error
            made = int(self._described(remote).get("creation_date", 0))
            if made < time.time() - STALE and remote.branches(OWN, hidden=True):
                self._remove(remote)
                self._make(remote, name)
                return
            raise ConflictError(
                f"the server has a repository '{remote.name}' that is no dataset, or is being made",
                hint="choose another name, or delete it in lakeFS if nobody works on it",
            ) from error

    def _namespace(self) -> str:
        """Return below which address the server keeps what it is given."""
        stated = os.environ.get("EOLAB_LAKEFS_NAMESPACE")
        if stated:
            return stated.rstrip("/")
        said = self._server.ask("ask the server for its storage", "GET", "/config")
        storage = said.get("storage_config") if isinstance(said, dict) else None
        found: Mapping[str, Any] = storage if isinstance(storage, dict) else {}
        kind = found.get("blockstore_type")
        if kind in {"local", "mem"}:
            return f"{kind}://eolab"
        prefix = found.get("default_namespace_prefix")
        if isinstance(prefix, str) and "://" in prefix and not prefix.endswith("://"):
            return prefix.rstrip("/")
        raise InvalidInputError(
            f"the lakeFS server at {self._place.endpoint} does not say where repositories go",
            hint="set EOLAB_LAKEFS_NAMESPACE, such as s3://bucket/eolab",
        )

    def repository(self, name: str) -> LakefsRepository:
        """Return a repository.

        Raises:
            NotFoundError: There is none of that name.
        """
        remote = Remote(self._server, self._checked(name))
        if not self._is_ready(remote):
            raise NotFoundError(f"there is no dataset '{name}'", hint="list them: eolab list")
        return self._open(remote, name)

    def _open(self, remote: Remote, name: str) -> LakefsRepository:
        namespace = str(self._described(remote).get("storage_namespace", ""))
        made = LakefsRepository(remote, name=name, namespace=namespace, address=self.address)
        made.finish()
        return made

    def repositories(self) -> list[str]:
        """Return the names of the repositories, sorted."""
        before = f"{self._place.prefix}-" if self._place.prefix else ""
        names = [name for name in self._names(before) if name.startswith(before)]
        with ThreadPoolExecutor(8) as pool:
            ready = list(pool.map(lambda n: self._is_ready(Remote(self._server, n)), names))
        found = (name.removeprefix(before) for name, is_ready in zip(names, ready, strict=True) if is_ready)  # fmt: skip
        return sorted(found)

    def _names(self, prefix: str) -> Iterator[str]:
        after = ""
        while True:
            asked = {"prefix": prefix, "after": after, "amount": 1000}
            said = self._server.ask("list repositories", "GET", "/repositories", fields=asked)
            for one in said["results"]:
                with suppress(InvalidInputError):
                    yield check_repository(str(one["id"]))
            if not said["pagination"]["has_more"] or said["pagination"]["next_offset"] <= after:
                return
            after = said["pagination"]["next_offset"]

    def delete(self, name: str, *, expected: Mapping[str, str] | None = None) -> None:
        """Remove a repository with its history.

        Args:
            name: Its name.
            expected: Its branches with the commits they must name (compare-and-swap); any will
                do if None.

        Raises:
            ConflictError: Its branches are others, or stand elsewhere.
        """
        repository = self.repository(name)
        remote = Remote(self._server, self._checked(name))
        if expected is not None and repository.branches() != dict(expected):
            raise ConflictError(
                f"somebody changed '{name}' meanwhile",
                hint=f"look at it before you delete it: eolab log {name}",
            )
        with suppress(GoneError):
            remote.delete_branch(READY)  # nobody finds it from here on
        self._remove(remote)

    def _remove(self, remote: Remote) -> None:
        def once() -> None:
            with suppress(GoneError):
                api = self._server.client.repositories_api
                self._server.call(
                    f"delete repository '{remote.name}'", api.delete_repository, remote.name
                )

        patiently(once)

    def _described(self, remote: Remote) -> dict[str, Any]:
        said = self._server.ask(
            f"look up '{remote.name}'", "GET", f"/repositories/{remote.name}"
        )
        return said if isinstance(said, dict) else {}

    def _is_ready(self, remote: Remote) -> bool:
        try:
            return bool(remote.head(READY))
        except GoneError:
            return False

    def _checked(self, name: str) -> str:
        on_server = self._place.on_server(check_repository(name))
        if len(on_server) > LONGEST:
            raise InvalidInputError(
                f"'{on_server}' has {len(on_server)} characters, more than a lakeFS server takes",
                hint=f"choose a name of at most {LONGEST - len(on_server) + len(name)}",
            )
        return on_server
