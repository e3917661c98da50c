"""A server, a client of it, and a repository that goes when its test is over."""

import os
import uuid

import pytest

from tests.lakefs.server import chosen_server, running_server

lakefs = pytest.importorskip("lakefs")


def a_client(server):
    return lakefs.Client(host=server.endpoint, username=server.key, password=server.secret)


def a_repository(client):
    """Make a repository with a name of its own, where the server is to keep such."""
    name = f"test-{uuid.uuid4().hex[:12]}"
    storage = client.sdk_client.config_api.get_config().storage_config
    place = os.environ.get("EOLAB_LAKEFS_NAMESPACE") or storage.default_namespace_prefix
    folder = (place or f"{storage.blockstore_type}://eolab").removesuffix("/")
    return lakefs.Repository(name, client=client).create(storage_namespace=f"{folder}/{name}")


def s3_options(server):
    """What delta-rs needs to open the server's S3 gateway."""
    return {
        "AWS_ENDPOINT_URL": server.endpoint,
        "AWS_ACCESS_KEY_ID": server.key,
        "AWS_SECRET_ACCESS_KEY": server.secret,
        "AWS_REGION": "us-east-1",
        "AWS_ALLOW_HTTP": str(server.endpoint.startswith("http://")).lower(),
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
    }


@pytest.fixture(scope="session")
def server():
    """The server that the environment names, else a fake."""
    with chosen_server() as found:
        yield found


@pytest.fixture(scope="session")
def client(server):
    return a_client(server)


@pytest.fixture
def repo(client):
    made = a_repository(client)
    yield made
    made.delete()


@pytest.fixture
def fake():
    """A fake of the test's own, to break."""
    with running_server() as found:
        yield found


@pytest.fixture
def fake_repo(fake):
    return a_repository(a_client(fake))
