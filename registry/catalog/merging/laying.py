"""The folder in which a merge is put together, and how it becomes a commit."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from registry.catalog.merging.sides import Sides
from registry.catalog.trees import LOG, is_immutable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry.lake import Change, Entry, Transaction

__all__ = ["stage", "take", "unlink"]


def take(root: Path, sides: Sides, changes: "Iterable[Change]") -> None:
    """Lay what theirs has into the folder; it is staged as links to stored objects later.

    Args:
        root: The folder.
        sides: The trees that are merged.
        changes: Which paths, and what theirs has there.
    """
    view = sides.repository.locate(sides.trees.theirs).path
    wanted = list(changes)
    for change in wanted:
        unlink(root, change.path)
    for change in wanted:
        if change.after is not None:
            target = root / change.path
            target.parent.mkdir(parents=True, exist_ok=True)
            _lay(view / change.path, target)


def unlink(root: Path, path: str) -> None:
    """Remove a file, and the folders that it leaves empty.

    A log's folder left empty would look like a damaged table.
    """
    file = root / path
    file.unlink(missing_ok=True)
    for folder in file.parents:
        if folder == root or not folder.is_dir() or any(folder.iterdir()):
            return
        folder.rmdir()


def stage(
    root: Path, sides: Sides, transaction: "Transaction", *, taken: set[str], written: set[str]
) -> None:
    """Stage how the folder differs from ours; what theirs has already is linked, not read.

    Args:
        root: The folder.
        sides: The trees that are merged.
        transaction: Opened on ours.
        taken: Units that are as theirs has them.
        written: Units that were written to.
    """
    found = dict(_files(root))
    for path in sides.our_entries:
        if path not in found:
            transaction.remove(path)
    for path, file in found.items():
        unit = sides.unit_of(path)
        if unit not in taken and unit not in written:
            continue
        mine, yours = sides.our_entries.get(path), sides.their_entries.get(path)
        if mine is not None and is_immutable(path) and unit not in taken:
            continue
        as_theirs = unit in taken and unit not in written
        if yours is not None and (as_theirs or _same_data(path, yours, file)):
            if mine != yours:
                transaction.link(yours)
        else:
            transaction.put_file(path, file)


def _same_data(path: str, entry: "Entry", file: Path) -> bool:
    # A data file's name is unique to its bytes; a log's is not: both sides have a version 7.
    return (
        path.endswith(".parquet") and f"/{LOG}/" not in path and entry.size == file.stat().st_size
    )


def _lay(source: Path, target: Path) -> None:
    from registry.lake import lazy

    lazy.ensure(source)
    if is_immutable(source.as_posix()):
        try:
            os.link(source, target)
        except OSError:  # another file system, or too many links: a copy does as well
            shutil.copyfile(source, target)
    else:
        shutil.copyfile(source, target)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path
