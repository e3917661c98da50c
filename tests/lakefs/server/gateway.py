"""The S3 gateway: a repository is a bucket, and a key starts with a ref."""

import re
import secrets
from datetime import UTC, datetime
from email.utils import formatdate
from urllib.parse import quote, unquote
from xml.sax.saxutils import escape, unescape

from tests.lakefs.server.api_objects import conditional
from tests.lakefs.server.messages import Answer, Slice, byte_range
from tests.lakefs.server.paging import MOST, grouped
from tests.lakefs.server.refusals import Refusal
from tests.lakefs.server.signatures import verify

__all__ = ["Gateway"]

_META = "x-amz-meta-"
_PART = re.compile(rb"<PartNumber>\s*(\d+)\s*</PartNumber>")
_KEY = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)


class Gateway:
    """Answers a request, or raises a refusal."""

    def __init__(self, state):
        self._state = state

    def answer(self, request):
        verify(request, self._state.keys)
        bucket, _, key = request.path.lstrip("/").partition("/")
        if not bucket:
            return _xml("ListAllMyBucketsResult", self._buckets())
        found = self._state.repository(bucket)
        if not key:
            return self._of_bucket(request, found)
        ref, _, path = key.partition("/")
        if not path:
            raise _no_key(key)
        handler = self._handler(request)
        return handler(request, found, ref, path)

    def _handler(self, request):
        if request.method in {"GET", "HEAD"}:
            return self._read
        if request.method == "DELETE":
            return self._abort if "uploadId" in request.query else self._delete
        if request.method == "POST":
            return self._complete if "uploadId" in request.query else self._begin
        if "partNumber" in request.query:
            return self._put_part
        return self._copy if request.headers.get("x-amz-copy-source") else self._put

    # --------------------------------------------------------------- buckets
    def _buckets(self):
        with self._state.lock:
            names = sorted(self._state.repositories)
        buckets = "".join(f"<Bucket><Name>{name}</Name></Bucket>" for name in names)
        return f"<Buckets>{buckets}</Buckets>"

    def _of_bucket(self, request, found):
        if request.method == "HEAD":
            return Answer(200)
        if request.method == "POST" and "delete" in request.query:
            return self._delete_many(request, found)
        if request.method != "GET":
            raise Refusal(501, "not implemented", code="NotImplemented")
        if "location" in request.query:
            return _xml("LocationConstraint", "us-east-1")
        return self._list(request, found)

    def _list(self, request, found):
        prefix, query = request.query.get("prefix", ""), request.query
        version_2 = query.get("list-type") == "2"
        after = query.get("continuation-token") or query.get("start-after") or query.get("marker")
        limit = min(int(query.get("max-keys", MOST)), MOST)
        ref, slash, inside = prefix.partition("/")
        if not slash:
            names, entries = self._refs(found, prefix), {}
        else:
            with found.lock:
                tree = found.tree(ref)
            entries = tree.entries
            names = grouped(
                tree.paths,
                prefix=inside,
                after=(after or "").removeprefix(f"{ref}/"),
                delimiter=query.get("delimiter", ""),
                limit=limit + 1,
            )
        names = list(names)
        shown, more = names[:limit], len(names) > limit
        head = f"{ref}/" if slash else ""
        encode = quote if query.get("encoding-type") == "url" else escape
        lines = [f"<Name>{found.name}</Name><Prefix>{encode(prefix)}</Prefix>"]
        lines += [f"<MaxKeys>{limit}</MaxKeys><IsTruncated>{str(more).lower()}</IsTruncated>"]
        lines += [f"<KeyCount>{len(shown)}</KeyCount>"] if version_2 else []
        lines += ["<EncodingType>url</EncodingType>"] if encode is quote else []
        if more:
            token = "NextContinuationToken" if version_2 else "NextMarker"
            lines += [f"<{token}>{encode(head + shown[-1][0])}</{token}>"]
        for name, is_prefix in shown:
            key = encode(head + name)
            if is_prefix:
                lines += [f"<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>"]
            else:
                lines += [_contents(key, entries[name])]
        return _xml("ListBucketResult", "".join(lines))

    @staticmethod
    def _refs(found, prefix):
        with found.lock:
            names = [name for name, at in found.branches.items() if not at.hidden]
        return [(f"{name}/", True) for name in sorted(names) if name.startswith(prefix)]

    def _delete_many(self, request, found):
        text, deleted = request.body.read().decode(), []
        for raw in _KEY.findall(text):
            key = unescape(raw, {"&quot;": '"', "&apos;": "'"})
            ref, _, path = key.partition("/")
            with found.lock:
                found.unstage(ref, path)
            deleted.append(f"<Deleted><Key>{escape(key)}</Key></Deleted>")
        return _xml("DeleteResult", "".join(deleted))

    # --------------------------------------------------------------- objects
    def _read(self, request, found, ref, path):
        stored = _stored(found, ref, path)
        headers = {
            "ETag": stored.etag,
            "Last-Modified": formatdate(stored.mtime, usegmt=True),
            "Accept-Ranges": "bytes",
            "Content-Type": stored.content_type,
        }
        headers |= {
            name: value for name, value in stored.metadata.items() if name.lower().startswith(_META)
        }
        span = byte_range(request.headers.get("Range"), stored.size)
        if span is None:
            return Answer(200, body=Slice(stored.file, 0, stored.size), headers=headers)
        start, stop = span
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stored.size}"
        return Answer(206, body=Slice(stored.file, start, stop), headers=headers)

    def _put(self, request, found, ref, path):
        only_new = conditional(request)
        _refuse_unwritable(found, ref)
        stored = self._state.storage.take(request.body, **_described(request))
        with found.lock:
            found.stage(ref, path, stored, only_new=only_new)
        return Answer(200, headers={"ETag": stored.etag})

    def _copy(self, request, found, ref, path):
        source = unquote(request.headers["x-amz-copy-source"]).lstrip("/")
        bucket, _, key = source.partition("/")
        source_ref, _, source_path = key.partition("/")
        stored = _stored(self._state.repository(bucket), source_ref, source_path)
        copied = self._state.storage.copy(stored)
        with found.lock:
            found.stage(ref, path, copied)
        return _xml("CopyObjectResult", f"<ETag>{copied.etag}</ETag>{_modified(copied)}")

    def _delete(self, request, found, ref, path):
        with found.lock:
            found.unstage(ref, path)
        return Answer(204)

    # --------------------------------------------------------------- in parts
    def _begin(self, request, found, ref, path):
        if "uploads" not in request.query:
            raise Refusal(501, "not implemented", code="NotImplemented")
        _refuse_unwritable(found, ref)
        upload = secrets.token_hex(16)
        with self._state.lock:
            self._state.uploads[upload] = (_described(request), {})
        key = f"<Bucket>{found.name}</Bucket><Key>{escape(f'{ref}/{path}')}</Key>"
        return _xml("InitiateMultipartUploadResult", f"{key}<UploadId>{upload}</UploadId>")

    def _put_part(self, request, found, ref, path):
        _, parts = self._upload(request)
        stored = self._state.storage.take(request.body)
        parts[int(request.query["partNumber"])] = stored
        return Answer(200, headers={"ETag": stored.etag})

    def _complete(self, request, found, ref, path):
        only_new = conditional(request)
        described, parts = self._upload(request)
        numbers = [int(number) for number in _PART.findall(request.body.read())]
        if not numbers or set(numbers) - parts.keys():
            raise Refusal(400, "a part was never uploaded", code="InvalidPart")
        stored = self._state.storage.join([parts[number] for number in numbers], **described)
        with found.lock:
            found.stage(ref, path, stored, only_new=only_new)
        self._abort(request, found, ref, path)
        key = f"<Bucket>{found.name}</Bucket><Key>{escape(f'{ref}/{path}')}</Key>"
        return _xml("CompleteMultipartUploadResult", f"{key}<ETag>{stored.etag}</ETag>")

    def _abort(self, request, found, ref, path):
        with self._state.lock:
            self._state.uploads.pop(request.query["uploadId"], None)
        return Answer(204)

    def _upload(self, request):
        with self._state.lock:
            if request.query["uploadId"] not in self._state.uploads:
                raise Refusal(404, "no such upload", code="NoSuchUpload")
            return self._state.uploads[request.query["uploadId"]]


def _xml(root, inside):
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<{root} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inside}</{root}>'
    )
    return Answer(200, body=text.encode(), headers={"Content-Type": "application/xml"})


def _contents(key, stored):
    return (
        f"<Contents><Key>{key}</Key>{_modified(stored)}<ETag>{escape(stored.etag)}</ETag>"
        f"<Size>{stored.size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


def _modified(stored):
    at = datetime.fromtimestamp(stored.mtime, UTC)
    return f"<LastModified>{at:%Y-%m-%dT%H:%M:%S}.000Z</LastModified>"


def _described(request):
    # The gateway keeps S3's prefix in the name: another key than the one the API would write.
    names = [name for name in request.headers if name.lower().startswith(_META)]
    metadata = {f"X-Amz-Meta-{name[len(_META) :]}": request.headers[name] for name in names}
    return {"metadata": metadata, "content_type": request.headers.get("Content-Type")}


def _stored(found, ref, path):
    with found.lock:
        tree = found.tree(ref)
    if path not in tree.entries:
        raise _no_key(f"{ref}/{path}")
    return tree.entries[path]


def _refuse_unwritable(found, ref):
    with found.lock:
        found.branch(ref)
        found.refuse_protected(ref)


def _no_key(key):
    return Refusal(404, f"the key {key} does not exist", code="NoSuchKey")
