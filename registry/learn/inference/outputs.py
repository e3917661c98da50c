"""What a prediction may write: no file that is read, and only kinds that hold it."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from registry.errors import InvalidInputError, UnavailableError
from registry.learn.models.architecture import Head, HeadTask

__all__ = ["check_folders", "check_kind", "check_picture", "check_places", "suffix_of"]

_MAPS: Final = (".tif", ".tiff")
_OBJECTS: Final = (".geojson", ".json")


def suffix_of(head: Head) -> str:
    """Return how the file's name ends that holds an answer: a map's, or that of objects."""
    return _OBJECTS[0] if head.task == HeadTask.DETECTION else _MAPS[0]


def check_kind(out: Path, head: Head) -> None:
    """Refuse a file whose name says that it holds something else.

    Args:
        out: Where the prediction will be.
        head: Which of the model's answers.

    Raises:
        InvalidInputError: Its suffix is of another kind.
    """
    objects = head.task == HeadTask.DETECTION
    if out.suffix.lower() not in (_OBJECTS if objects else _MAPS):
        what = "objects, which this model finds" if objects else "a map, which is a GeoTIFF"
        raise InvalidInputError(
            f"'{out.name}' cannot hold {what}",
            hint=f"write {'GeoJSON' if objects else 'a GeoTIFF'}: -o {out.stem}{suffix_of(head)}",
        )


def check_picture(path: Path) -> None:
    """Refuse a picture whose name says that it is something else than a PNG.

    Raises:
        InvalidInputError: It does.
    """
    if path.suffix.lower() != ".png":
        raise InvalidInputError(
            f"'{path.name}' cannot be the picture, which is a PNG",
            hint=f"write a PNG: --picture {path.stem}.png",
        )


def check_folders(outputs: Iterable[Path]) -> None:
    """Refuse files that their folders cannot take, before anything is computed for them.

    Raises:
        InvalidInputError: One is a folder itself, or lies in none that exists.
        UnavailableError: Its folder cannot be written to.
    """
    for one in outputs:
        folder = one.absolute().parent
        if not folder.is_dir():
            raise InvalidInputError(
                f"there is no folder '{one.parent}' to write '{one.name}' to",
                hint="make it, or name a file in a folder that exists",
            )
        if one.is_dir():
            raise InvalidInputError(f"'{one}' is a folder", hint="name a file in it")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UnavailableError(
                f"the folder '{folder}' cannot be written to",
                hint="write to another, or change its rights",
            )


def check_places(outputs: Iterable[Path], inputs: Iterable[Path]) -> None:
    """Refuse to write over a file that is read, or over another that is written.

    Args:
        outputs: Files that will be written.
        inputs: Files that are read, under whatever names and links.

    Raises:
        InvalidInputError: One is both.
    """
    read = {key: one for one in inputs for key in _keys(one)}
    written: set[object] = set()
    for one in outputs:
        keys = _keys(one)
        if taken := keys & {*read}:
            raise InvalidInputError(
                f"'{one}' would take the place of '{read[taken.pop()]}', which is read",
                hint="write to another file",
            )
        if keys & written:
            raise InvalidInputError(
                f"'{one}' would be written twice", hint="give the map and the picture their own"
            )
        written |= keys


def _keys(path: Path) -> set[object]:
    """Return what tells a file from others: its path without links, and its inode."""
    found: set[object] = {path.resolve()}
    try:
        stat = path.stat()
    except OSError:  # not there yet
        return found
    return found | {(stat.st_dev, stat.st_ino)}
