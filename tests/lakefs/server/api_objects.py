"""Objects through the API: upload, read, list, copy, delete."""

import io
from dataclasses import replace

from tests.lakefs.server.messages import Answer, Slice, byte_range, form_file
from tests.lakefs.server.paging import MOST, grouped, page
from tests.lakefs.server.refusals import Refusal

__all__ = ["copy", "delete", "delete_many", "listed", "read", "set_metadata", "stat", "upload"]

_META = "x-lakefs-meta-"
_LONGEST = 1024


def upload(state, request, repository, branch):
    found, path = state.repository(repository), _path(request)
    only_new = conditional(request)
    with found.lock:
        found.branch(branch)
        found.refuse_protected(branch)
    content_type = request.headers.get("Content-Type", "")
    body = request.body
    if content_type.startswith("multipart/form-data"):
        body, content_type = io.BytesIO(form_file(content_type, body.read())), None
    names = [name for name in request.headers if name.lower().startswith(_META)]
    metadata = {name.lower()[len(_META) :]: request.headers[name] for name in names}
    stored = state.storage.take(body, metadata=metadata, content_type=content_type)
    with found.lock:
        found.stage(branch, path, stored, only_new=only_new)
    return Answer(201, document=document(path, stored))


def read(state, request, repository, ref):
    stored = _stored(state, request, repository, ref)
    if not stored.file.exists():
        raise Refusal(410, "No data")
    span = byte_range(request.headers.get("Range"), stored.size)
    headers = {
        "ETag": stored.etag,
        "Content-Type": stored.content_type,
        "Accept-Ranges": "bytes",
    }
    if span is None:
        return Answer(200, body=Slice(stored.file, 0, stored.size), headers=headers)
    start, stop = span
    headers["Content-Range"] = f"bytes {start}-{stop - 1}/{stored.size}"
    return Answer(206, body=Slice(stored.file, start, stop), headers=headers)


def stat(state, request, repository, ref):
    stored = _stored(state, request, repository, ref)
    known = document(request.query["path"], stored)
    return Answer(document=_without_metadata(request, known))


def listed(state, request, repository, ref):
    found = state.repository(repository)
    with found.lock:
        tree = found.tree(ref)
    amount = page(request)
    asked = {name: request.query.get(name, "") for name in ("prefix", "after", "delimiter")}
    names = list(grouped(tree.paths, **asked, limit=amount + 1))
    results = [
        _common_prefix(name)
        if is_prefix
        else _without_metadata(request, document(name, tree.entries[name]))
        for name, is_prefix in names[:amount]
    ]
    more = len(names) > amount
    pagination = {
        "has_more": more,
        "next_offset": names[amount - 1][0] if more else "",
        "results": len(results),
        "max_per_page": MOST,
    }
    return Answer(document={"pagination": pagination, "results": results})


def delete(state, request, repository, branch):
    found = state.repository(repository)
    with found.lock:
        found.unstage(branch, request.query["path"])
    return Answer(204)


def delete_many(state, request, repository, branch):
    found, paths = state.repository(repository), request.json()["paths"]
    if len(paths) > MOST:
        raise Refusal(400, f"{len(paths)} paths are more than {MOST}")
    with found.lock:
        for path in paths:
            found.unstage(branch, path)
    return Answer(document={"errors": []})


def copy(state, request, repository, branch):
    found, said = state.repository(repository), request.json()
    with found.lock:
        tree = found.tree(said.get("src_ref") or branch)
        if said["src_path"] not in tree.entries:
            raise Refusal(404, f"path {said['src_path']}: not found")
        copied = state.storage.copy(tree.entries[said["src_path"]])
        path = request.query["dest_path"]
        found.stage(branch, path, copied)
    return Answer(201, document=document(path, copied))


def set_metadata(state, request, repository, branch):
    """All user metadata is replaced, though the operation is called an update."""
    found, path = state.repository(repository), request.query["path"]
    with found.lock:
        stored = _stored(state, request, repository, branch)
        found.stage(branch, path, replace(stored, metadata=request.json()["set"]))
    return Answer(201)


def conditional(request):
    """Return whether the upload is for a new path only; no other condition is implemented."""
    only_new = request.headers.get("If-None-Match")
    if request.headers.get("If-Match") is not None or only_new not in {None, "*"}:
        raise Refusal(501, "Not Implemented", code="NotImplemented")
    return only_new == "*"


def document(path, stored):
    return {
        "path": path,
        "path_type": "object",
        "physical_address": f"local://{stored.file}",
        "checksum": stored.checksum,
        "size_bytes": stored.size,
        "mtime": stored.mtime,
        "metadata": stored.metadata,
        "content_type": stored.content_type,
    }


def _path(request):
    path = request.query.get("path", "")
    if not path or len(path) > _LONGEST:
        raise Refusal(400, f"path of {len(path)} characters: invalid value: validation error")
    return path


def _stored(state, request, repository, ref):
    found, path = state.repository(repository), request.query.get("path", "")
    with found.lock:
        tree = found.tree(ref)
    if path not in tree.entries:
        raise Refusal(404, f"path {path}: not found")
    return tree.entries[path]


def _without_metadata(request, known):
    if not request.flag("user_metadata", default=True):
        known["metadata"] = {}
    return known


def _common_prefix(name):
    return {
        "path": name,
        "path_type": "common_prefix",
        "physical_address": "",
        "checksum": "",
        "mtime": 0,
    }
