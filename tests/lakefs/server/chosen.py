"""The server that tests run against: a real one where one is named, the fake anywhere else."""

import contextlib
import os
from dataclasses import dataclass

from tests.lakefs.server.serving import running_server

__all__ = ["VARIABLES", "RealServer", "chosen_server"]

VARIABLES = (
    "LAKECTL_SERVER_ENDPOINT_URL",
    "LAKECTL_CREDENTIALS_ACCESS_KEY_ID",
    "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealServer:
    """What a test may know of a server that it did not start."""

    endpoint: str
    key: str
    secret: str

    @property
    def environment(self):
        return dict(zip(VARIABLES, (self.endpoint, self.key, self.secret), strict=True))


@contextlib.contextmanager
def chosen_server(**options):
    """Give the server that the environment names, or a fake with ``options``."""
    named = [os.environ.get(name, "") for name in VARIABLES]
    if all(named):
        endpoint, key, secret = named
        endpoint = endpoint.rstrip("/").removesuffix("/api/v1")
        yield RealServer(endpoint=endpoint, key=key, secret=secret)
        return
    with running_server(**options) as server:
        yield server
