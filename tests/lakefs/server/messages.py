"""One request and one answer, and bodies as the clients encode them."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.lakefs.server.refusals import Refusal

__all__ = ["Answer", "Request", "Slice", "byte_range", "form_file"]


@dataclass(frozen=True, slots=True)
class Slice:
    """Bytes ``start`` to ``stop`` of a file."""

    file: Path
    start: int
    stop: int


@dataclass(slots=True)
class Answer:
    status: int = 200
    document: object = None
    """Sent as JSON; ``body`` is sent as it is."""

    body: bytes | Slice = b""
    headers: dict = field(default_factory=dict)

    def encoded(self):
        """Return headers and body as they go out."""
        headers = dict(self.headers)
        body = self.body
        if self.document is not None:
            body = json.dumps(self.document).encode()
            headers.setdefault("Content-Type", "application/json")
        size = body.stop - body.start if isinstance(body, Slice) else len(body)
        headers.setdefault("Content-Length", str(size))
        return headers, body


class Request:
    def __init__(self, method, target, headers, stream):
        self.method = method
        self.target = target
        self.headers = headers
        split = urlsplit(target)
        self.raw_path = split.path
        self.path = unquote(split.path)
        self.pairs = parse_qsl(split.query, keep_blank_values=True)
        self.query = dict(self.pairs)
        self.body = _Body(headers, stream)

    def many(self, name):
        return [value for key, value in self.pairs if key == name]

    def flag(self, name, *, default=False):
        return self.query.get(name, str(default)).lower() in {"true", "1"}

    def json(self):
        said = self.body.read()
        try:
            document = json.loads(said or b"{}")
        except ValueError as error:
            raise Refusal(400, "invalid request body") from error
        if not isinstance(document, (dict, list)):
            raise Refusal(400, "invalid request body")
        return document


class _Body:
    """A request's bytes without the framings that HTTP and S3 put around them."""

    def __init__(self, headers, stream):
        self._stream = stream
        if headers.get("Transfer-Encoding", "").lower() == "chunked":
            self._read = _Chunks(stream.read).read
        else:
            self._left = int(headers.get("Content-Length") or 0)
            self._read = self._counted
        if headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
            self._read = _Chunks(self._read).read

    def read(self, count=-1):
        """Read ``count`` bytes, or all that is left."""
        if count >= 0:
            return self._read(count)
        blocks = []
        while block := self._read(1 << 20):
            blocks.append(block)
        return b"".join(blocks)

    def drain(self):
        while self._read(1 << 20):
            pass

    def _counted(self, count):
        block = self._stream.read(min(count, self._left))
        if not block and self._left:
            raise ConnectionResetError("the client went away in the middle of its body")
        self._left -= len(block)
        return block


class _Chunks:
    """HTTP's framing, and S3's own inside it: ``size[;extension] CRLF bytes CRLF … 0 CRLF CRLF``.

    S3's ends with its checksums in the place of HTTP's trailers.
    """

    def __init__(self, read):
        self._raw = read
        self._left = 0
        self._ended = False

    def read(self, count):
        if self._ended or not count:
            return b""
        if not self._left:
            self._left = int(self._line().split(b";")[0] or b"0", 16)
            if not self._left:
                self._ended = True
                while self._line():
                    pass
                return b""
        block = self._raw(min(count, self._left))
        if not block:
            raise ConnectionResetError("the client went away in the middle of its body")
        self._left -= len(block)
        if not self._left:
            self._line()
        return block

    def _line(self):
        line = b""
        while not line.endswith(b"\n") and (byte := self._raw(1)):
            line += byte
        return line.strip()


def byte_range(header, size):
    """Return start and stop of a ``Range`` header; None if there is none."""
    if not header or not header.startswith("bytes="):
        return None
    first, _, last = header[len("bytes=") :].partition("-")
    if first:
        start, stop = int(first), min(int(last) + 1 if last else size, size)
    else:
        start, stop = max(size - int(last), 0), size
    if start >= size or start >= stop:
        raise Refusal(
            416,
            "Requested Range Not Satisfiable",
            code="InvalidRange",
            headers={"Content-Range": f"bytes */{size}"},
        )
    return start, stop


def form_file(content_type, body):
    """Return the one file of a multipart form."""
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    for part in body.split(b"--" + boundary):
        head, _, data = part.partition(b"\r\n\r\n")
        if b'name="content"' in head:
            return data.removesuffix(b"\r\n")
    raise Refusal(400, "missing the part 'content'")
