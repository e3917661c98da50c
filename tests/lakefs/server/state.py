"""All that the server knows: its user, its repositories, its storage."""

import re
import secrets
import threading

from tests.lakefs.server.refusals import Refusal, missing
from tests.lakefs.server.repository import Repository
from tests.lakefs.server.storage import Storage

__all__ = ["State"]

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{2,62}")


class State:
    def __init__(self, *, protection_delay):
        self.lock = threading.RLock()
        self.storage = Storage()
        self.repositories = {}
        self.uploads = {}
        self.user = None
        self.keys = {}
        self._namespaces = set()
        self._protection_delay = protection_delay

    def setup(self, user, key=None, secret=None):
        """Make the first user; a second call is refused."""
        with self.lock:
            if self.user is not None:
                raise Refusal(409, "lakeFS already initialized")
            key = key or f"AKIA{secrets.token_hex(8).upper()}"
            self.user = user
            self.keys[key] = secret or secrets.token_urlsafe(30)
            return key, self.keys[key]

    def create(self, name, *, namespace, default_branch):
        with self.lock:
            if not _NAME.fullmatch(name):
                raise Refusal(400, f"repository name {name!r}: invalid value: validation error")
            if name in self.repositories:
                raise Refusal(409, "error creating repository: not unique")
            # What a deleted repository wrote is still there, so its place stays taken.
            if namespace in self._namespaces:
                raise Refusal(400, "failed to create repository: storage namespace already in use")
            self._namespaces.add(namespace)
            self.repositories[name] = Repository(
                name,
                namespace=namespace,
                default_branch=default_branch,
                committer=self.user,
                protection_delay=self._protection_delay,
            )
            return self.repositories[name]

    def repository(self, name):
        with self.lock:
            if name not in self.repositories:
                raise missing(f"repository {name}")
            return self.repositories[name]

    def delete(self, name):
        with self.lock:
            self.repository(name)
            del self.repositories[name]

    def close(self):
        self.storage.close()
