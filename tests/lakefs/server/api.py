"""The REST API below ``/api/v1``: which handler takes a request, and who may ask."""

import base64
import re
import secrets

from tests.lakefs.server import api_objects, api_refs, api_repositories
from tests.lakefs.server.messages import Answer
from tests.lakefs.server.refusals import Refusal, missing

__all__ = ["Api"]

_REPOSITORY = "/repositories/{repository}"
_BRANCH = _REPOSITORY + "/branches/{branch}"
_REF = _REPOSITORY + "/refs/{ref}"

_ROUTES = {
    "GET /config": api_repositories.config,
    "GET /config/version": api_repositories.version,
    "GET /config/storage": api_repositories.storage,
    "GET /repositories": api_repositories.listed,
    "POST /repositories": api_repositories.create,
    f"GET {_REPOSITORY}": api_repositories.get,
    f"DELETE {_REPOSITORY}": api_repositories.delete,
    f"GET {_REPOSITORY}/metadata": api_repositories.metadata,
    f"GET {_REPOSITORY}/settings/branch_protection": api_repositories.protection,
    f"PUT {_REPOSITORY}/settings/branch_protection": api_repositories.protect,
    f"GET {_REPOSITORY}/branches": api_refs.branches,
    f"POST {_REPOSITORY}/branches": api_refs.create_branch,
    f"GET {_BRANCH}": api_refs.branch,
    f"DELETE {_BRANCH}": api_refs.delete_branch,
    f"PUT {_BRANCH}": api_refs.reset,
    f"PUT {_BRANCH}/hard_reset": api_refs.hard_reset,
    f"GET {_BRANCH}/diff": api_refs.uncommitted,
    f"POST {_BRANCH}/commits": api_refs.commit,
    f"POST {_BRANCH}/revert": api_refs.revert,
    f"POST {_BRANCH}/cherry-pick": api_refs.cherry_pick,
    f"GET {_REPOSITORY}/tags": api_refs.tags,
    f"POST {_REPOSITORY}/tags": api_refs.create_tag,
    f"GET {_REPOSITORY}/tags/{{tag}}": api_refs.tag,
    f"DELETE {_REPOSITORY}/tags/{{tag}}": api_refs.delete_tag,
    f"GET {_REPOSITORY}/commits/{{ref}}": api_refs.get_commit,
    f"GET {_REF}/commits": api_refs.log,
    f"GET {_REF}/diff/{{right}}": api_refs.diff,
    f"GET {_REF}/merge/{{branch}}": api_refs.merge_base,
    f"POST {_REF}/merge/{{branch}}": api_refs.merge,
    f"GET {_REF}/objects": api_objects.read,
    f"HEAD {_REF}/objects": api_objects.read,
    f"GET {_REF}/objects/ls": api_objects.listed,
    f"GET {_REF}/objects/stat": api_objects.stat,
    f"POST {_BRANCH}/objects": api_objects.upload,
    f"DELETE {_BRANCH}/objects": api_objects.delete,
    f"POST {_BRANCH}/objects/delete": api_objects.delete_many,
    f"POST {_BRANCH}/objects/copy": api_objects.copy,
    f"PUT {_BRANCH}/objects/stat/user_metadata": api_objects.set_metadata,
}


def _compiled(route):
    method, _, path = route.partition(" ")
    return re.compile(method + " /api/v1" + re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path))


class Api:
    """Answers a request, or raises a refusal."""

    def __init__(self, state):
        self._state = state
        self._routes = [(_compiled(route), handler) for route, handler in _ROUTES.items()]

    def answer(self, request):
        asked = f"{request.method} {request.path}"
        if asked == "GET /api/v1/healthcheck":
            return Answer(204)
        if request.path == "/api/v1/setup_lakefs":
            return self._setup(request)
        self._authenticate(request)
        for pattern, handler in self._routes:
            if matched := pattern.fullmatch(asked):
                return handler(self._state, request, **matched.groupdict())
        raise missing(f"endpoint {asked}")

    def _authenticate(self, request):
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            key, _, secret = base64.b64decode(token).decode().partition(":")
        except ValueError:
            key = secret = ""
        known = self._state.keys.get(key)
        right = known is not None and secrets.compare_digest(known, secret)
        if scheme != "Basic" or not right:
            raise Refusal(401, "error authenticating request")

    def _setup(self, request):
        if request.method == "GET":
            state = "initialized" if self._state.user else "not_initialized"
            return Answer(document={"state": state})
        said = request.json()
        key = said.get("key") or {}
        given = key.get("access_key_id"), key.get("secret_access_key")
        key_id, secret = self._state.setup(said["username"], *given)
        document = {"access_key_id": key_id, "secret_access_key": secret, "creation_date": 0}
        return Answer(document=document)
