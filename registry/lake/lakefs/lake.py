"""The lake on a lakeFS server: one of its repositories for each dataset."""

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from registry.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    RegistryError,
    UnavailableError,
)
from registry.lake.lakefs import making
from registry.lake.lakefs.answers import GoneError
from registry.lake.lakefs.place import Place
from registry.lake.lakefs.remote import Remote
from registry.lake.lakefs.repository import LakefsRepository
from registry.lake.lakefs.server import Server
from registry.lake.names import check_repository

__all__ = ["LakefsLake", "open_lake"]

LONGEST = 63
"""Characters of a repository's name on the server."""


def open_lake(place: Place) -> "LakefsLake":
    """Open the lake on a server.

    Returns:
        The lake.

    Raises:
        UnavailableError: The server does not answer.
    """
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
        self,
        name: str,
        *,
        prepare: Callable[[LakefsRepository], None] | None = None,
        resumes: str | None = None,
    ) -> LakefsRepository:
        """Make a repository with an empty first commit on ``main``.

        Args:
            name: Its name.
            prepare: Fills it before anybody else sees it, so that it is there whole or not at all.
            resumes: What the preparation is about; ``prepare`` is given what one about the same
                left on this machine that was killed, or stopped as something was unavailable.

        Returns:
            The repository.

        Raises:
            ConflictError: There is one of that name, or one is being made.
        """  # noqa: DOC501 — what was raised meanwhile
        remote = Remote(self._server, self._checked(name))
        with making.alone(remote):
            if self._is_ready(remote):
                raise _exists(name)
            if not making.may_go_on(remote, resumes):
                making.clear_away(remote)
                making.begin(remote, self._namespace(), about=resumes)
            repository = self._open(remote, name)
            try:
                if prepare is not None:
                    prepare(repository)
                making.conclude(remote)
            except BaseException as error:
                if resumes is None or not isinstance(error, UnavailableError):
                    with suppress(RegistryError):
                        making.remove(remote)
                raise
        return repository

    def _namespace(self) -> str:
        """Return below which address the server keeps what it is given.

        Raises:
            InvalidInputError: It does not say, and nobody else has.
        """
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
        namespace = making.namespace_of(remote) or ""
        made = LakefsRepository(remote, name=name, namespace=namespace, address=self.address)
        made.finish()
        return made

    def repositories(self) -> list[str]:
        """Return the names of the repositories, sorted."""
        before = f"{self._place.prefix}-" if self._place.prefix else ""
        names = [name for name in self._names(before) if name.startswith(before)]
        with ThreadPoolExecutor(8) as pool:
            ready = list(pool.map(lambda n: self._is_ready(Remote(self._server, n)), names))
        found = zip(names, ready, strict=True)
        return sorted(name.removeprefix(before) for name, is_ready in found if is_ready)

    def _names(self, prefix: str) -> Iterator[str]:
        after = ""
        while True:
            asked: dict[str, str | int] = {"prefix": prefix, "after": after, "amount": 1000}
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
        making.withdraw(remote)
        making.remove(remote)

    def _is_ready(self, remote: Remote) -> bool:
        try:
            return bool(remote.head(making.READY))
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


def _exists(name: str) -> ConflictError:
    return ConflictError(
        f"there is a dataset '{name}' already", hint="choose another name, or use it"
    )
