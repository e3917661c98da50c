"""Bytes on disk and what is known of them; every upload is an object of its own."""

import hashlib
import os
import shutil
import tempfile
import time
import uuid
from dataclasses import dataclass, field, replace
from pathlib import Path

__all__ = ["Storage", "Stored"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    file: Path
    checksum: str
    size: int
    mtime: int
    metadata: dict = field(default_factory=dict)
    content_type: str = "application/octet-stream"
    parts: int = 0
    """Of how many parts the gateway put it together; its ETag says so, its checksum does not."""

    @property
    def identity(self):
        """Equal identities are no change to lakeFS, whatever the bytes are."""
        return self.checksum, tuple(sorted(self.metadata.items()))

    @property
    def etag(self):
        return f'"{self.checksum}-{self.parts}"' if self.parts else f'"{self.checksum}"'


class Storage:
    """A folder of bodies, gone with the server."""

    def __init__(self, folder=None):
        self._made = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="fake-lakefs-"))
        self.folder.mkdir(parents=True, exist_ok=True)

    def take(self, body, *, metadata=None, content_type=None):
        """Write a body down as it comes; a broken one leaves nothing."""
        file, digest, size = self._name(), hashlib.md5(usedforsecurity=False), 0
        try:
            with file.open("wb") as out:
                while block := body.read(1 << 20):
                    out.write(block)
                    digest.update(block)
                    size += len(block)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        return Stored(
            file=file,
            checksum=digest.hexdigest(),
            size=size,
            mtime=int(time.time()),
            metadata=dict(metadata or {}),
            content_type=content_type or "application/octet-stream",
        )

    def join(self, parts, *, metadata=None, content_type=None):
        """Put an object of several parts together, with S3's composite checksum."""
        file = self._name()
        with file.open("wb") as out:
            for part in parts:
                with part.file.open("rb") as body:
                    shutil.copyfileobj(body, out)
        digests = b"".join(bytes.fromhex(part.checksum) for part in parts)
        return Stored(
            file=file,
            checksum=hashlib.md5(digests, usedforsecurity=False).hexdigest(),
            size=sum(part.size for part in parts),
            mtime=int(time.time()),
            metadata=dict(metadata or {}),
            content_type=content_type or "application/octet-stream",
            parts=len(parts),
        )

    def copy(self, stored):
        """A copy is a second physical object; nothing is shared."""
        file = self._name()
        os.link(stored.file, file)
        return replace(stored, file=file, mtime=int(time.time()))

    def close(self):
        if self._made:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _name(self):
        return self.folder / uuid.uuid4().hex
