"""Repositories, their settings, and what the server says of itself."""

from tests.lakefs.server.messages import Answer
from tests.lakefs.server.paging import paged

__all__ = [
    "config",
    "create",
    "delete",
    "get",
    "listed",
    "metadata",
    "protect",
    "protection",
    "storage",
    "version",
]

_VERSION = {"version": "dev", "upgrade_recommended": False}
_STORAGE = {
    "blockstore_type": "local",
    "blockstore_namespace_example": "local://example-bucket/",
    "blockstore_namespace_ValidityRegex": "^local://",
    "default_namespace_prefix": "local://example-bucket",
    "pre_sign_support": False,
    "pre_sign_support_ui": False,
    "import_support": True,
    "import_validity_regex": "^local://",
    "pre_sign_multipart_upload": False,
}


def config(_, request):
    return Answer(document={"version_config": _VERSION, "storage_config": _STORAGE})


def version(_, request):
    return Answer(document=_VERSION)


def storage(_, request):
    return Answer(document=_STORAGE)


def listed(state, request):
    prefix, after = request.query.get("prefix", ""), request.query.get("after", "")
    with state.lock:
        names = sorted(state.repositories)
        names = [name for name in names if name.startswith(prefix) and name > after]
        found = [_document(state.repositories[name]) for name in names]
    return Answer(document=paged(request, found, name=lambda document: document["id"]))


def create(state, request):
    said = request.json()
    made = state.create(
        said["name"],
        namespace=said["storage_namespace"].rstrip("/"),
        default_branch=said.get("default_branch") or "main",
    )
    return Answer(201, document=_document(made))


def get(state, request, repository):
    return Answer(document=_document(state.repository(repository)))


def delete(state, request, repository):
    state.delete(repository)
    return Answer(204)


def metadata(state, request, repository):
    state.repository(repository)
    return Answer(document={})


def protection(state, request, repository):
    rules = state.repository(repository).protection
    return Answer(document=[{"pattern": pattern} for pattern in rules])


def protect(state, request, repository):
    found = state.repository(repository)
    patterns = [rule["pattern"] for rule in request.json()]
    with found.lock:
        found.protect(patterns)
    return Answer(204)


def _document(repository):
    return {
        "id": repository.name,
        "creation_date": repository.creation_date,
        "default_branch": repository.default_branch,
        "storage_namespace": repository.namespace,
        "read_only": False,
    }
