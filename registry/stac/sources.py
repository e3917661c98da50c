"""Where STAC items lie: lines, collections, folders and catalogs, read piece by piece."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from os import walk
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final, cast
from urllib.parse import unquote

import orjson

from registry.errors import InvalidInputError, NotFoundError
from registry.stac.rows import Refuse
from registry.stac.splitter import Splitter

__all__ = ["LIMITS", "Limits", "documents"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much of a stranger's JSON is read before it is refused."""

    item_bytes: int = 16 << 20
    """Most bytes of one item, unpacked; a real one has 1 to 100 kB."""

    files: int = 2_000_000
    """Most files of one folder or catalog."""


LIMITS: Final = Limits()
"""What :func:`registry.stac.reader.read` allows unless told otherwise."""

_LINES: Final = (".ndjson", ".jsonl", ".geojsonl")
_JSON: Final = (".json", ".geojson")

Document = tuple[bytes | str, str]
"""The JSON text of an item, and where it stood."""


def documents(path: Path, *, refuse: Refuse, limits: Limits = LIMITS) -> Iterator[Document]:
    """Yield every item below ``path`` in a stable order, as text that is not yet judged.

    Args:
        path: ``.ndjson`` or ``.ndjson.gz``; a JSON item, item collection, catalog or
            collection; or a folder, of which every ``.json`` file that is an item is read.
        refuse: Told of what cannot be decoded.
        limits: What is too large.

    Yields:
        The item's text, and where it stood below ``path``.

    Raises:
        NotFoundError: There is nothing at ``path``.
        InvalidInputError: It is no form of STAC that is known, or is damaged.
    """
    if path.is_dir():
        yield from _folder(path, refuse, limits)
    elif not path.is_file():
        raise NotFoundError(f"there is no file or folder {path}", hint="check the path")
    elif (name := path.name.lower().removesuffix(".gz")).endswith(_LINES):
        yield from _lines(path, limits)
    elif name.endswith(_JSON):
        yield from _json(path, refuse, limits)
    else:
        raise InvalidInputError(
            f"{path.name} is no form of STAC that is read here",
            hint="give .ndjson, .ndjson.gz, .json, .parquet, or a folder of items",
        )


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        if path.name.lower().endswith(".gz"):
            with gzip.open(path, "rb") as packed:
                yield cast("IO[bytes]", packed)
        else:
            with path.open("rb") as plain:
                yield plain
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InvalidInputError(
            f"{path.name} cannot be unpacked: {error}",
            hint="fetch the file again; it is cut or damaged",
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidInputError(
            f"{path.name} is not UTF-8: {error}", hint="write the file again, as UTF-8"
        ) from error


def _lines(path: Path, limits: Limits) -> Iterator[Document]:
    number = 0
    with _opened(path) as stream:
        while line := stream.readline(limits.item_bytes + 1):
            number += 1
            origin = f"{path.name}:{number}"
            if len(line) > limits.item_bytes:
                raise _oversized(origin, limits)
            if line.isspace():
                continue
            yield line, origin


def _oversized(origin: str, limits: Limits) -> InvalidInputError:
    return InvalidInputError(
        f"{origin} is larger than {limits.item_bytes:,} bytes",
        hint="no STAC item is that large; is it a collection? give it as .json, or one item a line",
    )


def _folder(folder: Path, refuse: Refuse, limits: Limits) -> Iterator[Document]:
    files = 0
    for parent, folders, names in walk(folder):
        folders.sort()
        for name in sorted(names):
            if not name.lower().endswith(_JSON):
                continue
            files += 1
            if files > limits.files:
                raise InvalidInputError(
                    f"{folder} holds more than {limits.files:,} JSON files",
                    hint="write them as one .ndjson file",
                )
            found = _whole(Path(parent) / name, folder, refuse, limits)
            if found is not None and found.kind == "Feature":
                yield found.text, found.origin


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    text: bytes
    document: object
    origin: str

    @property
    def kind(self) -> object:
        """The STAC type of what is in it; None where it is something else."""
        return _kind(self.document)


def _whole(file: Path, root: Path, refuse: Refuse, limits: Limits) -> _File | None:
    origin = file.relative_to(root).as_posix()
    if not file.resolve().is_relative_to(root.resolve()):
        refuse(origin, "a link that leaves the folder")
        return None
    size = file.stat().st_size
    if size > limits.item_bytes:
        refuse(origin, f"larger than {limits.item_bytes:,} bytes; no item or catalog is")
        return None
    text = file.read_bytes()
    try:
        return _File(text=text, document=orjson.loads(text), origin=origin)
    except orjson.JSONDecodeError as error:
        refuse(origin, f"not JSON: {error}")
        return None


def _kind(document: object) -> object:
    if not isinstance(document, dict) or "stac_version" not in document:
        return None
    return document.get("type", "Catalog")


def _json(path: Path, refuse: Refuse, limits: Limits) -> Iterator[Document]:
    said: dict[str, Any] = {}
    total = 0
    with _opened(path) as stream:
        pieces = Splitter(TextIOWrapper(stream, encoding="utf-8"), path.name, limits.item_bytes)
        if pieces.is_array():
            yield from _elements(pieces, path.name)
            return
        for key in pieces.members():
            if key == "features":
                yield from _elements(pieces, path.name)
                return
            said[key] = pieces.value()
            total += len(key) + pieces.size
            if total > limits.item_bytes:
                raise _oversized(path.name, limits)
    if said.get("type") == "Feature":
        yield orjson.dumps(said), path.name
    elif _kind(said) in {"Catalog", "Collection"}:
        yield from _linked(said, path, refuse, limits)
    else:
        raise InvalidInputError(
            f"{path.name} is JSON, but neither a STAC item, a collection of items nor a catalog",
            hint="look at its `type` and `stac_version`",
        )


def _elements(pieces: Splitter, name: str) -> Iterator[Document]:
    for number, item in enumerate(pieces.elements(), start=1):
        yield item, f"{name}:{number}"


def _linked(top: dict[str, Any], path: Path, refuse: Refuse, limits: Limits) -> Iterator[Document]:
    """Yield the items of a catalog on disk, depth first, in the order of its links."""
    root = path.parent
    waiting = [(top, PurePosixPath())]
    seen = {path.resolve()}
    while waiting:
        catalog, folder = waiting.pop()
        below = []
        for href in _links(catalog):
            try:
                file = _target(href, folder, root)
            except (ValueError, OSError) as error:
                refuse(path.name, f"the link {href[:200]!r} {error}")
                continue
            if file in seen:
                continue
            seen.add(file)
            if len(seen) > limits.files:
                refuse(path.name, f"more than {limits.files:,} files are linked")
                return
            found = _whole(file, root.resolve(), refuse, limits)
            if found is not None and found.kind == "Feature":
                yield found.text, found.origin
            elif found is not None and found.kind in {"Catalog", "Collection"}:
                child = cast("dict[str, Any]", found.document)
                below.append((child, PurePosixPath(found.origin).parent))
        waiting.extend(reversed(below))


def _links(catalog: dict[str, Any]) -> Iterator[str]:
    links = catalog.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict) and link.get("rel") in {"item", "child"}:
            href = link.get("href")
            if isinstance(href, str) and "\0" not in unquote(href):
                yield href


def _target(href: str, folder: PurePosixPath, root: Path) -> Path:
    # as it is written, else with its escapes undone
    for said in (href, unquote(href)):
        file = (root / folder / said).resolve()
        if "://" in said or not file.is_relative_to(root.resolve()):
            raise ValueError("leaves the catalog's folder")
        if file.is_file():
            return file
    raise ValueError("leads to no file")
