"""The embedded lake: a folder with one bare Git repository for each dataset."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pygit2

from registry.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from registry.lake.local import disk, locks, refs
from registry.lake.local.disk import translated
from registry.lake.local.git import Batch, Git
from registry.lake.local.layout import Layout
from registry.lake.local.repository import LocalRepository
from registry.lake.local.transaction import write_commit
from registry.lake.names import check_repository, default_author

__all__ = ["LocalLake", "initialise", "open_lake"]

MARK = "lake.json"
FORMAT = {"format": "eolab-lake", "version": 1}
FIRST_MESSAGE = "Begin"
READY = "eolab/ready"
"""Written when a repository that is being made is one, however empty."""

STALE = 24 * 3600
"""Seconds after which a half-made repository was certainly left behind."""

_CONFIG = {
    "gc.auto": "0",
    "gc.pruneExpire": "never",
    "receive.denyDeletes": "true",
    "receive.denyNonFastForwards": "true",
}
"""Git's own clean-up knows nothing of sessions and views; eolab gc does it."""


def initialise(folder: Path) -> "LocalLake":
    """Make a folder a lake, or return the lake that it is.

    Returns:
        The lake.

    Raises:
        InvalidInputError: The folder holds something else.
    """
    mark = folder / MARK
    with translated(f"make a lake at {folder}"):
        if not mark.exists():
            if folder.exists() and (not folder.is_dir() or _holds_something_else(folder)):
                raise InvalidInputError(
                    f"{folder} holds something that is no lake", hint="name a new or empty folder"
                )
            for part in ("repositories", "tmp"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            temporary = folder / "tmp" / f"{uuid.uuid4().hex}.mark"
            disk.write_atomically(mark, json.dumps(FORMAT).encode() + b"\n", temporary=temporary)
    return open_lake(folder)


def _holds_something_else(folder: Path) -> bool:
    return any(child.name not in {"repositories", "tmp"} for child in folder.iterdir())


def open_lake(folder: Path) -> "LocalLake":
    """Open the lake that a folder is.

    Returns:
        The lake.

    Raises:
        NotFoundError: It is none.
        InvalidInputError: It was made by a newer version.
    """
    with translated(f"open the lake at {folder}"):
        try:
            mark = json.loads((folder / MARK).read_bytes())
        except (FileNotFoundError, NotADirectoryError, ValueError) as error:
            raise NotFoundError(
                f"there is no lake at {folder}", hint="make one: eolab init"
            ) from error
    if not isinstance(mark, dict) or mark.get("format") != FORMAT["format"]:
        raise NotFoundError(f"there is no lake at {folder}", hint="make one: eolab init")
    if mark.get("version") != FORMAT["version"]:
        raise InvalidInputError(
            f"the lake at {folder} has format {mark.get('version')}; this program knows "
            f"{FORMAT['version']}",
            hint="update eolab",
        )
    return LocalLake(folder)


class LocalLake:
    """A set of repositories in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address: str = folder.as_uri()

    def __repr__(self) -> str:
        return f"LocalLake({self.address!r})"

    def create(
        self,
        name: str,
        *,
        prepare: Callable[[LocalRepository], None] | None = None,
        resumes: str | None = None,
    ) -> LocalRepository:
        """Make a repository with an empty first commit on ``main``.

        Args:
            name: Its name.
            prepare: Fills it before anybody else sees it, so that it is there whole or not at all;
                it goes by another name until then.
            resumes: What the preparation is about; ``prepare`` is given what one about the same
                left that was killed, or that stopped because something was unavailable.

        Returns:
            The repository.

        Raises:
            ConflictError: There is one of that name.
        """  # noqa: DOC501 — what else the disk says is translated
        home = self.folder / "repositories" / check_repository(name)
        if home.exists():
            raise _exists(name)
        with (
            translated(f"make repository '{name}'"),
            self._half(name, resumes) as half,
        ):
            if home.exists():  # while this one waited for another that makes the same
                raise _exists(name)
            try:
                if prepare is not None:
                    prepare(LocalRepository(half))
                half.rename(home)
            except OSError as error:
                if home.exists():
                    raise _exists(name) from error
                raise
            disk.sync_folder(home.parent)
        return LocalRepository(home)

    @contextmanager
    def _half(self, name: str, resumes: str | None) -> Iterator[Path]:
        """Make a repository under another name, or find one that may be gone on with.

        Yields:
            Its folder; what is left in it when the block ends is removed, except where the same
            may be tried again.
        """
        said = uuid.uuid4().hex if resumes is None else f"{name}\n{resumes}"
        half = self.folder / "tmp" / f"{sha256(said.encode()).hexdigest()[:32]}.git"
        lock = half.with_suffix(".lock")
        handle = locks.hold(lock)
        try:
            self._sweep()
            if not (half / READY).exists():
                shutil.rmtree(half, ignore_errors=True)
                _make_repository(half)
                (half / READY).touch()
            os.utime(half)
            yield half
        except BaseException as error:
            again = isinstance(error, UnavailableError | OSError | KeyboardInterrupt)
            if resumes is None or not again:
                shutil.rmtree(half, ignore_errors=True)
            raise
        finally:
            lock.unlink(missing_ok=True)
            os.close(handle)

    def _sweep(self) -> None:
        """Remove what processes left that were killed while they made or deleted a repository."""
        for left in (self.folder / "tmp").iterdir():
            try:
                old = left.stat().st_mtime < time.time() - STALE
                if old and not locks.is_held(left.with_suffix(".lock")):
                    _remove(left)
            except FileNotFoundError:  # somebody else was faster
                continue

    def repository(self, name: str) -> LocalRepository:
        """Return a repository; NotFoundError if there is none of that name.

        Raises:
            NotFoundError: There is none of that name.
        """
        home = self.folder / "repositories" / check_repository(name)
        if not home.is_dir():
            raise NotFoundError(f"there is no dataset '{name}'", hint="list them: eolab list")
        return LocalRepository(home)

    def repositories(self) -> list[str]:
        """Return the names of the repositories, sorted."""
        with translated("list the lake"):
            return sorted(home.name for home in (self.folder / "repositories").iterdir())

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
        layout = Layout(self.folder / "repositories" / name)
        gone = self.folder / "tmp" / f"{uuid.uuid4().hex}.deleted"
        with translated(f"delete '{name}'"):
            with refs.locked(layout):
                if expected is not None and repository.branches() != dict(expected):
                    raise ConflictError(
                        f"somebody changed '{name}' meanwhile",
                        hint=f"look at it before you delete it: eolab log {name}",
                    )
                layout.root.rename(gone)
            shutil.rmtree(gone)


def _remove(left: Path) -> None:
    if left.is_dir():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)


def _exists(name: str) -> ConflictError:
    return ConflictError(
        f"there is a dataset '{name}' already", hint="choose another name, or use it"
    )


def _make_repository(root: Path) -> None:
    root.mkdir()
    git = pygit2.init_repository(
        str(root), bare=True, initial_head="main",
        flags=pygit2.enums.RepositoryInitFlag.BARE | pygit2.enums.RepositoryInitFlag.MKPATH,
    )  # fmt: skip
    for key, value in _CONFIG.items():
        git.config[key] = value
    shutil.rmtree(root / "hooks", ignore_errors=True)
    (root / "info").mkdir(exist_ok=True)
    (root / "info" / "attributes").write_text("* filter=lfs diff=lfs merge=lfs -text\n")
    layout = Layout(root)
    for folder in (
        layout.objects, layout.sessions, layout.views, layout.leases, layout.temporary,
        layout.git_objects / "pack", root / "refs" / "tags",
    ):  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
    for lock in (layout.refs_lock, layout.gate, layout.turnstile, layout.packing):
        lock.touch()
    reader = Git(layout)
    batch, author = Batch(reader), default_author()
    first = write_commit(
        reader, batch, tree=batch.add("tree", b""), parents=(), message=FIRST_MESSAGE,
        author=author, metadata={},
    )  # fmt: skip
    with refs.locked(layout) as held:
        held.move(refs.branch("main"), expected=None, to=first, operation="create", author=author)
