"""A fake server of each test's own, and the lake on it as several machines see it."""

import lakefs
import pytest

from registry.lake import connect
from tests.lakefs.server import running_server


@pytest.fixture
def fake():
    with running_server() as server:
        yield server


@pytest.fixture
def machine(fake, tmp_path, monkeypatch):
    """Open the lake as a machine of that name does, with a cache of its own."""
    for name, value in fake.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("registry.lake.lakefs.server.FIRST_PAUSE", 0.0)

    def opened(name="one"):
        monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / name))
        return connect("lakefs://")

    return opened


@pytest.fixture
def repo(machine):
    return machine().create("ships")


@pytest.fixture
def other(repo, machine):
    """The same repository as another machine sees it."""
    return machine("other").repository("ships")


@pytest.fixture
def client(fake):
    """What somebody uses who does not know of the lab."""
    made = lakefs.Client(host=fake.endpoint, username=fake.key, password=fake.secret)
    return lakefs.Repository("ships", client=made)


@pytest.fixture(scope="session")
def put():
    """Commit objects by path; None removes."""

    def commit(repo, files, branch="main", message="change", **options):
        with repo.transaction(branch, message=message, **options) as transaction:
            for path, data in files.items():
                if data is None:
                    transaction.remove(path)
                else:
                    transaction.put(path, data)
        return transaction.commit.id

    return commit


@pytest.fixture(scope="session")
def content():
    """Give all objects of a ref by path."""
    return lambda repo, at: {e.path: repo.read(e.path, at=at) for e in repo.entries(at)}


@pytest.fixture
def asked(fake, monkeypatch):
    """List what the server is asked from here on."""
    from tests.lakefs.server.api import Api

    seen = []
    answer = Api.answer

    def noted(self, request):
        seen.append(f"{request.method} {request.path}?{request.query}")
        return answer(self, request)

    monkeypatch.setattr(Api, "answer", noted)
    return seen
