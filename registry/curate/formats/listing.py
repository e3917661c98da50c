"""The files of a folder or an archive, listed safely and read without unpacking anything.

Nothing here trusts a name or a declared size: both come from whoever made the source.
"""

import fnmatch
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from io import BytesIO
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, cast

from registry.curate.formats.archives import tar_spans, zip_spans
from registry.curate.formats.contract import SourceFile
from registry.curate.formats.layers import split_layer
from registry.curate.formats.spans import (
    Packing,
    Span,
    UnsafeSourceError,
    check_name,
    check_unique,
    is_clutter,
    read_span,
    shown,
)
from registry.errors import InvalidInputError, NotFoundError, RejectedError

__all__ = ["FileListing", "open_listing"]

_SMALL: Final = 16 << 20
_PAPERS: Final = frozenset({".md", ".txt", ".pdf", ""})
_CARD: Final = "readme.md"
_ZIPS: Final = frozenset({b"PK\x03\x04", b"PK\x05\x06"})
_ARCHIVES: Final = frozenset({".zip", ".tar"})


class FileListing:
    """The files of a folder or an archive by their checked names; see ``contract.Listing``."""

    def __init__(self, name: str, root: Path, spans: Mapping[str, Span]) -> None:
        """Hold spans by path.

        Args:
            name: The source's own name.
            root: The folder or archive.
            spans: Where each file lies; paths are checked already.

        Raises:
            RejectedError: There is none.
        """
        if not spans:
            raise RejectedError(
                f"the source {str(root)!r} holds no files", hint="check the path, or unpack it"
            )
        self.name = name
        self.root = root
        self._spans = dict(sorted(spans.items()))
        self.files: Mapping[str, SourceFile] = MappingProxyType({
            path: SourceFile(path=path, size=span.size, stamp=span.stamp)
            for path, span in self._spans.items()
        })

    def span(self, path: str) -> Span:
        """Return where the bytes of a file lie, or of the file that a layer is of.

        Raises:
            NotFoundError: There is no such file.
        """
        file, _ = split_layer(path)
        if path not in self._spans and file in self._spans:
            return self._spans[file]
        if path not in self._spans:
            raise NotFoundError(
                f"the source {self.name!r} has no file {path!r}", hint="check the sidecars' names"
            )
        return self._spans[path]

    def read(self, path: str, *, limit: int = 64 << 20) -> bytes:
        """Return a file's bytes, of which there may be ``limit`` at most."""
        return read_span(self.span(path), limit=limit)

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading in one go; seekable only outside archives, or if it is small.

        Returns:
            The open file; the caller closes it.
        """
        span = self.span(path)
        if span.packing is Packing.PLAIN:
            return Path(span.file).open("rb")
        if span.packing is Packing.STORED or span.size <= _SMALL:
            return BytesIO(read_span(span, limit=max(span.size, 1)))
        with zipfile.ZipFile(span.file) as archive:
            return cast("BinaryIO", archive.open(path))

    def local_path(self, path: str) -> Path | None:
        """Return where the file lies on disk; None inside an archive."""
        span = self.span(path)
        return Path(span.file) if span.packing is Packing.PLAIN else None

    def beside(self, spans: Mapping[str, Span]) -> "FileListing":
        """Return this listing with files that lie beside its archive; its own come first."""
        return FileListing(self.name, self.root, {**spans, **self._spans}) if spans else self

    def glob(self, pattern: str) -> Iterator[SourceFile]:
        """Yield the files whose path matches a shell pattern.

        Returns:
            The files, sorted by path.
        """
        wanted = re.compile(fnmatch.translate(pattern))
        return (file for path, file in self.files.items() if wanted.match(path))


def open_listing(source: Path | str) -> FileListing:
    """List a folder, a zip, a tar or a single file.

    Args:
        source: Path of it; what it is, is seen from its bytes and not from its suffix.

    Returns:
        The listing. A folder with an archive and nothing else but papers is listed as the
        archive. A single file that is no archive is a listing of one.

    Raises:
        NotFoundError: There is nothing at the path.
        InvalidInputError: What is there is neither a folder nor a file.
        UnsafeSourceError: A name, link or declared size is hostile.
        RejectedError: The source is empty or damaged, encrypted or packed in an unknown way.
    """
    root = Path(source).expanduser()
    if not root.exists():
        raise NotFoundError(f"there is nothing at {str(source)!r}", hint="check the path")
    root = root.resolve()
    if root.is_dir():
        spans = _folder_spans(root)
        archive = _only_archive(spans)
        if archive is None:
            return FileListing(root.name, root, spans)
        return open_listing(archive).beside(_cards(spans))
    if not root.is_file():
        raise InvalidInputError(
            f"{str(source)!r} is neither a folder nor a file", hint="give a folder or an archive"
        )
    with root.open("rb") as file:
        head = file.read(512)
    if head[:4] in _ZIPS:
        return FileListing(root.stem, root, zip_spans(root))
    if head[257:262] == b"ustar":
        return FileListing(root.stem, root, tar_spans(root))
    if _is_packed_tar(root, head):
        raise RejectedError(
            f"the archive {root.name!r} can only be read from front to back",
            hint="unpack it and ingest the folder, or repack it as zip",
        )
    if root.suffix.lower() == ".zip":
        raise RejectedError(
            f"{root.name!r} does not begin like a zip archive", hint="fetch it again"
        )
    return FileListing(root.stem, root, {check_name(root.name): _plain_span(root)})


def _only_archive(spans: Mapping[str, Span]) -> Path | None:
    data = list(islice((path for path in spans if _suffix(path) not in _PAPERS), 2))
    if len(data) == 1 and _suffix(data[0]) in _ARCHIVES:
        return Path(spans[data[0]].file)
    nameless = [path for path in spans if not _suffix(path)]
    if not data and len(nameless) == 1 and _is_zip(Path(spans[nameless[0]].file)):
        return Path(spans[nameless[0]].file)
    return None


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in _ZIPS


def _cards(spans: Mapping[str, Span]) -> dict[str, Span]:
    return {path: span for path, span in spans.items() if path.lower() == _CARD}


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()  # noqa: PTH122 — a name, a million times


def _is_packed_tar(root: Path, head: bytes) -> bool:
    packed = head.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"))
    return packed and (".tar" in root.name.lower() or root.suffix.lower() in {".tgz", ".tbz2"})


def _plain_span(path: Path | str, status: os.stat_result | None = None) -> Span:
    status = status or Path(path).stat()
    return Span(
        file=str(path),
        packing=Packing.PLAIN,
        offset=0,
        packed=status.st_size,
        size=status.st_size,
        crc=None,
        stamp=f"{status.st_size}-{status.st_mtime_ns:x}",
    )


# ------------------------------------------------------------------ folders
def _folder_spans(root: Path) -> dict[str, Span]:
    spans = {}
    for path, entry in _walk(root, ""):
        check_name(path)
        spans[path] = _plain_span(_inside(root, path, entry), entry.stat())
    check_unique(spans)
    return spans


def _walk(folder: Path | str, prefix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_clutter(entry.name):
                continue
            path = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{check_name(path)}/")
            else:
                yield path, entry


def _inside(root: Path, path: str, entry: os.DirEntry[str]) -> str:
    """Return the real file behind an entry.

    Raises:
        UnsafeSourceError: It is not a file below the root.
    """
    if not entry.is_symlink():
        if not entry.is_file(follow_symlinks=False):
            raise UnsafeSourceError(
                f"{shown(path)} is neither a file nor a folder", hint="remove it from the source"
            )
        return entry.path
    target = Path(os.path.realpath(entry.path))  # which bears links that lead in a circle
    if not target.is_relative_to(root):
        raise UnsafeSourceError(
            f"{shown(path)} is a link that leads out of the source",
            hint="put the file in its place",
        )
    if not target.is_file():
        raise UnsafeSourceError(
            f"{shown(path)} is a link to no file", hint="put the file in its place"
        )
    return str(target)
