"""Views and workspaces that are filled when somebody reads them.

A view or workspace may hold *placeholders*: sparse files of the right size, without any right to
read or write them, in place of objects that were not fetched. Beside its folder ``F`` lies
``F.lazy/source.json``, which says what they stand for and which repository brings it. Whoever is
about to read a file's bytes calls :func:`ensure` first; where nothing is missing that costs one
``stat`` a file.

For whoever lays a folder (a backend of the lake)::

    tables = ...                                  # the Delta tables in the tree
    left = [e for e in entries if lazy.may_wait(e.path, tables) and not here(e)]
    lazy.leave_out(folder, left, address=lake.address, repository="ships", commit=commit_id)
    ...                                           # lay the other entries, then publish ``folder``

``leave_out`` makes the placeholders in ``folder`` and writes the source beside ``beside`` (by
default ``folder`` itself), so a folder that is made under another name and renamed says its final
one. The repository's ``bring(entries, at=commit)`` is what :func:`ensure` calls: it returns a file
of this machine for each object, verified and never written to again, which takes the placeholder's
place by a link (or a copy where there can be none).

Only data files of Delta tables may wait: they are never written in place, and the few doors that
open them call :func:`ensure`. Logs, cards, indexes and all other files are always there.

For whoever commits a folder: an untouched placeholder (:func:`is_placeholder`, of the size it had)
has not changed; a placeholder under another name must be refused, for nobody knows what it is.
Whoever removes a folder removes :func:`companion` too.
"""

import json
import os
import stat
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from registry.errors import CorruptError, UnavailableError
from registry.lake.local import disk, folders
from registry.lake.records import Entry
from registry.lake.system import translated

__all__ = ["companion", "ensure", "is_placeholder", "leave_out", "may_wait", "parts"]

SOURCE = "source.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """What a folder's placeholders stand for, and who brings it."""

    address: str
    repository: str
    commit: str
    files: Mapping[str, tuple[str, int]]


def may_wait(path: str, tables: frozenset[str]) -> bool:
    """Return whether an object may be left out of a folder until somebody reads it.

    Args:
        path: Its path in the tree.
        tables: The Delta tables of the tree, as ``folders.tables_in`` finds them.

    Examples:
        >>> may_wait("samples/part-0.parquet", frozenset({"samples"}))
        True
        >>> may_wait("samples/_delta_log/00000000000000000000.json", frozenset({"samples"}))
        False
    """
    inside = folders.inside(path, tables)
    if inside is None or not path.endswith(".parquet"):
        return False
    below = path[len(inside) :].lstrip("/").split("/")
    return not any(part.startswith(("_", ".")) for part in below)


def companion(folder: Path) -> Path:
    """Return where it is written what a folder's placeholders stand for."""
    return folder.with_name(f"{folder.name}.lazy")


def leave_out(
    folder: Path,
    entries: Iterable[Entry],
    *,
    address: str,
    repository: str,
    commit: str,
    beside: Path | None = None,
) -> None:
    """Lay placeholders into a folder and write beside it what fills them.

    Args:
        folder: Where the placeholders are made; folders in it are made as needed.
        entries: What is left out; no object may be there yet, and none of 0 bytes.
        address: The lake that brings them, as :func:`registry.lake.connect` takes it.
        repository: Its repository that brings them.
        commit: A commit of it that has them.
        beside: The name that the folder will have; by default it has it already.

    Raises:
        UnavailableError: The file system keeps no permissions, so a placeholder would pass for
            a file.
    """
    left = sorted(entries, key=lambda entry: entry.path)
    if not left:
        return
    home = companion(folder if beside is None else beside)
    home.mkdir(parents=True, exist_ok=True)
    files = {entry.path: (entry.sha256, entry.size) for entry in left}
    for other in _older(home):  # who made the same folder at once may have left out more
        files = {**other.files, **files}
    said = {"address": address, "repository": repository, "commit": commit, "files": files}
    half = home / f"{uuid.uuid4().hex}.half"
    disk.write_atomically(home / SOURCE, json.dumps(said).encode(), temporary=half, durable=False)
    for entry in left:
        target = folder / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        _make_placeholder(target, entry.size)


def _older(home: Path) -> list[_Source]:
    try:
        return [_read(home)]
    except (FileNotFoundError, CorruptError):
        return []


def _make_placeholder(file: Path, size: int) -> None:
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0)
    try:
        os.ftruncate(handle, size)
        kept = not stat.S_IMODE(os.fstat(handle).st_mode)
    finally:
        os.close(handle)
    if not kept:
        file.unlink()
        raise UnavailableError(
            f"the file system at {file.parent} keeps no permissions, so nothing can be left out",
            hint="fetch everything, or use a folder on another file system",
        )


def is_placeholder(file: str | Path) -> bool:
    """Return whether a file only stands for one that was not fetched; False if there is none."""
    try:
        facts = os.lstat(file)
    except OSError:
        return False
    return stat.S_ISREG(facts.st_mode) and not stat.S_IMODE(facts.st_mode) and facts.st_size > 0


def ensure(*files: str | Path) -> None:
    """Fetch those of some files that are not here yet, before their bytes are read.

    Any number of threads and processes may ask for the same files at once.

    Args:
        files: Files of views, workspaces or any other folder.

    Raises:
        CorruptError: A placeholder has nothing beside it that says what it stands for, or what
            was brought is not that.
    """
    waiting: dict[Path, list[str]] = defaultdict(list)
    for file in files:
        if is_placeholder(file):
            folder = _folder_of(Path(file))
            waiting[folder].append(Path(file).absolute().relative_to(folder).as_posix())
    for folder, paths in waiting.items():
        with translated(f"fetch {len(paths)} files of {folder}"):
            _fill(folder, paths)


def parts(file: str | Path) -> Callable[[int, int], bytes] | None:
    """Return what reads some bytes of a file that is not here, without fetching all of it.

    Nobody checks those bytes but the reader, who has to know what they hold.

    Args:
        file: A file of a view.

    Returns:
        A function of the first byte and how many; None if the file is here, or its lake gives
        whole objects alone.
    """
    from registry.lake.addresses import connect  # late: the backends lay lazy folders

    if not is_placeholder(file):
        return None
    folder = _folder_of(Path(file))
    source = _read(companion(folder))
    path = Path(file).absolute().relative_to(folder).as_posix()
    repository = connect(source.address).repository(source.repository)
    part = getattr(repository, "part", None)
    if part is None or path not in source.files:
        return None

    def read(offset: int, length: int) -> bytes:
        found: bytes = part(path, at=source.commit, offset=offset, length=length)
        return found

    return read


def _folder_of(file: Path) -> Path:
    # The outermost: a dataset itself may hold a folder that looks like such a companion.
    for folder in reversed(file.absolute().parents):
        if folder.name and (companion(folder) / SOURCE).exists():
            return folder
    raise CorruptError(
        f"{file} was not fetched, and nothing says what it stands for",
        hint="remove the view that it lies in; it is made again",
    )


def _fill(folder: Path, paths: Iterable[str]) -> None:
    from registry.lake.addresses import connect  # late: the backends lay lazy folders

    source = _read(companion(folder))
    entries = []
    for path in paths:
        if path not in source.files:
            raise CorruptError(
                f"{folder / path} was not fetched, and nothing says what it stands for",
                hint="remove the view that it lies in; it is made again",
            )
        sha256, size = source.files[path]
        entries.append(Entry(path=path, sha256=sha256, size=size))
    repository = connect(source.address).repository(source.repository)
    brought = repository.bring(entries, at=source.commit)
    for entry in entries:
        _put(brought[entry.sha256], folder / entry.path, entry, companion(folder))


def _put(brought: Path, target: Path, entry: Entry, home: Path) -> None:
    if brought.stat().st_size != entry.size:
        raise CorruptError(
            f"'{entry.path}' was brought with {brought.stat().st_size:,} bytes instead of "
            f"{entry.size:,}",
            hint="run eolab fsck",
        )
    half = home / f"{uuid.uuid4().hex}.part"
    try:
        disk.share(brought, half)
        if is_placeholder(target):  # else somebody else was faster, or wrote there
            half.replace(target)
    finally:
        with suppress(FileNotFoundError):  # renaming a link to itself leaves it where it is
            half.unlink()


def _read(home: Path) -> _Source:
    data = (home / SOURCE).read_bytes()
    try:
        said = json.loads(data)
        files = {str(path): (str(one[0]), int(one[1])) for path, one in said["files"].items()}
        words = {name: str(said[name]) for name in ("address", "repository", "commit")}
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise CorruptError(
            f"{home / SOURCE} cannot be read", hint="remove the view beside it; it is made again"
        ) from error
    return _Source(files=files, **words)
