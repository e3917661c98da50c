"""Where a server is, and whose keys it is given."""

import pytest

from registry.errors import ForbiddenError, InvalidInputError
from registry.lake.lakefs.place import find


@pytest.fixture(autouse=True)
def keys(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("LAKECTL_CONFIG_FILE", raising=False)
    monkeypatch.delenv("LAKECTL_SERVER_ENDPOINT_URL", raising=False)
    monkeypatch.setenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY", "s3cret")


@pytest.mark.parametrize(
    ("address", "endpoint", "prefix"),
    [
        ("lakefs://127.0.0.1:8000", "http://127.0.0.1:8000", ""),
        ("lakefs://localhost:8000/lab", "http://localhost:8000", "lab"),
        ("lakefs://[::1]:8000", "http://[::1]:8000", ""),
        ("lakefs://lake.example.org", "https://lake.example.org", ""),
        ("lakefs://lake.example.org:8000/", "https://lake.example.org:8000", ""),
        ("lakefs+http://lake.example.org:8000", "http://lake.example.org:8000", ""),
        ("lakefs+https://127.0.0.1:8000", "https://127.0.0.1:8000", ""),
    ],
)
def test_keys_go_unencrypted_to_this_machine_alone_unless_said(address, endpoint, prefix):
    place = find(address)
    assert (place.endpoint, place.prefix) == (endpoint, prefix)
    assert find(place.address) == place


def test_the_settings_name_the_server_and_how_to_speak_with_it(monkeypatch):
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", "http://lake.example.org:8000/api/v1")
    assert find("lakefs://").endpoint == "http://lake.example.org:8000"
    assert find("lakefs://lake.example.org:8000/lab").endpoint == "http://lake.example.org:8000"
    assert find("lakefs:///lab").prefix == "lab"


def test_keys_are_not_given_to_another_server(monkeypatch):
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", "https://lake.example.org")
    for address in ("lakefs://evil.example.org", "lakefs+http://lake.example.org:443"):
        with pytest.raises(InvalidInputError, match="belong to"):
            find(address)


@pytest.mark.parametrize(
    "address",
    [
        "lakefs://key:secret@127.0.0.1:8000", "lakefs://a b", "lakefs://127.0.0.1:8000/a/b",
        "lakefs://127.0.0.1:8000/../x", "lakefs://127.0.0.1:8000?x=1", "lakefs://", "lakefs:///A",
        "lakefs://127.0.0.1:99999", "lakefs://127.0.0.1:0", "lakefs://127.0.0.1:", "lakefs://:8000",
        "lakefs://127.0.0.1:8000#x", "lakefs://127.0.0.1:8000?", "lakefs://127.0.0.1:80\n00",
        "lakefs:/x", "lakefs:x", "lakefs:", "lakefs://[::1", "lakefs://[:::::]:1", "lakefs://::1:80",
        "lakefs://key:se#secret@host", "lakefs://key:se/secret@host", "lakefs://ho\u2100st",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_without_a_secret_in_the_message(address):
    with pytest.raises(InvalidInputError) as caught:
        find(address)
    assert "secret" not in str(caught.value)


def test_keys_may_be_written_down(monkeypatch, tmp_path):
    monkeypatch.delenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID")
    monkeypatch.delenv("LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY")
    with pytest.raises(ForbiddenError, match="no keys"):
        find("lakefs://127.0.0.1:8000")
    (tmp_path / ".lakectl.yaml").write_text(
        "credentials: {access_key_id: K, secret_access_key: S}\n"
        "server: {endpoint_url: 'http://10.0.0.7:8000'}\n"
    )
    place = find("lakefs://")
    assert (place.endpoint, place.key, place.secret) == ("http://10.0.0.7:8000", "K", "S")


@pytest.mark.parametrize(
    "text", ["- a list", "server: 7\ncredentials: [x]", "!!python/object:x {}"]
)
def test_settings_that_are_none_are_refused(monkeypatch, tmp_path, text):
    monkeypatch.delenv("LAKECTL_CREDENTIALS_ACCESS_KEY_ID")
    (tmp_path / ".lakectl.yaml").write_text(text)
    with pytest.raises((ForbiddenError, InvalidInputError)):
        find("lakefs://127.0.0.1:8000")


def test_a_secret_is_never_shown():
    place = find("lakefs://127.0.0.1:8000")
    assert "s3cret" not in repr(place)
    assert "s3cret" not in place.address


@pytest.mark.parametrize(
    "endpoint",
    ["http://127.0.0.1:99999", "ftp://host", "http://", "http://[::1", "a b", "k:secret@h"],
)
def test_settings_that_name_no_server_are_refused(monkeypatch, endpoint):
    monkeypatch.setenv("LAKECTL_SERVER_ENDPOINT_URL", endpoint)
    with pytest.raises(InvalidInputError, match="settings name the server") as caught:
        find("lakefs://")
    assert "secret" not in str(caught.value)
