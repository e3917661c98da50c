"""A server, a client of it, and a repository that goes when its test is over."""

import os
import shutil
import uuid

import pytest

from registry.lake import connect
from tests.lakefs.operations import put
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
def lake(server, tmp_path, monkeypatch):
    """An empty lake on the server, which goes with the test."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("EOLAB_USER", "anna")
    monkeypatch.setenv("EOLAB_AUTHOR", "Anna <anna@example.org>")
    opened = connect(f"lakefs:///n{uuid.uuid4().hex[:12]}")
    yield opened
    for name in opened.repositories():
        opened.delete(name)


@pytest.fixture
def fake():
    """A fake of the test's own, to break."""
    with running_server() as found:
        yield found


@pytest.fixture
def fake_repo(fake):
    return a_repository(a_client(fake))


@pytest.fixture
def place(fake, monkeypatch, tmp_path):
    """The address of a lake on a fake of the test's own, whose clients lose no time."""
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("registry.lake.lakefs.server.FIRST_PAUSE", 0.0)
    return fake.endpoint.replace("http://", "lakefs://")


@pytest.fixture
def ships(place):
    """A repository of a lake; its two branches changed different objects."""
    made = connect(place).create("ships")
    put(made, "main", {"README.md": b"ships", "a": b"1", "gone": b"1"})
    made.create_branch("anna/fix", at="main")
    put(made, "anna/fix", {"b": b"2", "gone": None})
    put(made, "main", {"c": b"3"})
    return made


@pytest.fixture
def strangers(place, tmp_path, monkeypatch):
    """Give the repository as another machine sees it, with an empty cache."""

    def elsewhere():
        cache = tmp_path / "elsewhere"
        shutil.rmtree(cache, ignore_errors=True)
        monkeypatch.setenv("EOLAB_CACHE", str(cache))
        opened = connect(place).repository("ships")
        monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))
        return opened

    return elsewhere


def hidden(fake):
    api = a_client(fake).sdk_client.branches_api
    return [ref.id for ref in api.list_branches("ships", show_hidden=True).results]
