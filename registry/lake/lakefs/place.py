"""Where a lakeFS server is, and with which keys it is opened."""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from registry.errors import ForbiddenError, InvalidInputError
from registry.lake.system import translated

__all__ = ["SCHEMES", "Place", "find"]

SCHEMES = ("lakefs", "lakefs+http", "lakefs+https")

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}
_PREFIX = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_HOST = re.compile(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A server, the keys that open it, and which of its repositories are meant."""

    endpoint: str
    """``http://host:port`` or ``https://…``, nothing behind it."""

    key: str
    """Access key id."""

    secret: str = field(repr=False)
    """Secret access key; never shown or stored."""

    prefix: str = ""
    """What the names of the lake's repositories begin with on the server, followed by ``-``."""

    @property
    def address(self) -> str:
        """What :func:`registry.lake.connect` takes."""
        scheme, _, host = self.endpoint.partition("://")
        loopback = urlsplit(self.endpoint).hostname in _LOOPBACK
        plain = "lakefs" if (scheme == "http") == loopback else f"lakefs+{scheme}"
        return f"{plain}://{host}/{self.prefix}".rstrip("/")

    def on_server(self, name: str) -> str:
        """Return what a repository is called on the server."""
        return f"{self.prefix}-{name}" if self.prefix else name


def find(address: str) -> Place:
    """Return the server at an address, with the keys that lakeFS's own settings name.

    Args:
        address: ``lakefs://host:port[/prefix]``. Plain HTTP is spoken with this machine itself and
            where the settings name that very server by ``http://``; ``lakefs+http://`` and
            ``lakefs+https://`` say which it is. Without a host, the server of the settings.

    Raises:
        InvalidInputError: It cannot be read, or the keys belong to another server.
        ForbiddenError: There are no keys.
    """  # noqa: DOC501 — one is made by the function that says so
    parts = _parted(address)
    if parts is None or parts.scheme not in SCHEMES or "?" in address or "#" in address:
        raise _unreadable(address)
    prefix = parts.path.strip("/")
    said = parts.netloc
    if prefix and not _PREFIX.fullmatch(prefix):
        raise InvalidInputError(
            f"'{prefix}' cannot begin the names of repositories on a lakeFS server",
            hint="use up to 40 lower-case letters, digits and hyphens behind the host",
        )
    settings = _settings()
    endpoint = _endpoint(parts.scheme, said, settings.endpoint, address)
    if settings.endpoint and _server(endpoint) != _server(settings.endpoint):
        raise InvalidInputError(
            f"the lakeFS keys belong to {settings.endpoint}, not to {endpoint}",
            hint="set LAKECTL_SERVER_ENDPOINT_URL and both LAKECTL_CREDENTIALS_… variables",
        )
    if not settings.key or not settings.secret:
        raise ForbiddenError(
            f"there are no keys for the lakeFS server at {endpoint}",
            hint="set LAKECTL_CREDENTIALS_ACCESS_KEY_ID and LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY, "
            "or write them with lakectl config",
        )
    return Place(endpoint=endpoint, key=settings.key, secret=settings.secret, prefix=prefix)


def _parted(address: str) -> SplitResult | None:
    """Return the parts of an address; None if no server could be at it, or it holds keys."""
    if "://" not in address or "@" in address or " " in address or not address.isprintable():
        return None
    try:
        parts = urlsplit(address)
        usable = parts.port is None or parts.port > 0  # a port above 65,535 is a ValueError
    except ValueError:
        return None
    return parts if usable and not parts.netloc.endswith(":") else None


def _endpoint(scheme: str, host: str, known: str, address: str) -> str:
    if not host:
        if not known:
            raise InvalidInputError(
                f"'{address}' names no server", hint="write lakefs://host:port, or set "
                "LAKECTL_SERVER_ENDPOINT_URL",
            )  # fmt: skip
        return known
    name, port = _split(host)
    if not _HOST.fullmatch(name):
        raise _unreadable(address)
    stated = f"{name}{port}"
    if scheme == "lakefs":
        same = known and _server(f"http://{stated}")[:2] == _server(known)[:2]
        plain = known.startswith("http://") if same else name.strip("[]") in _LOOPBACK
        scheme = "http" if plain else "https"
    else:
        scheme = scheme.removeprefix("lakefs+")
    return f"{scheme}://{stated}"


def _split(host: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.+?)(:\d{1,5})?", host)
    return (match[1], match[2] or "") if match else (host, "")


def _server(endpoint: str) -> tuple[str, int | None, str]:
    parts = urlsplit(endpoint)
    name = parts.hostname or ""
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return "localhost" if name in _LOOPBACK else name, port, parts.scheme


def _unreadable(address: str) -> InvalidInputError:
    shown = address if "@" not in address else f"{address.partition(':')[0]}://…@…"
    return InvalidInputError(
        f"'{shown}' is no address of a lakeFS server",
        hint="write lakefs://host:port, with /prefix or without; keys come from LAKECTL_…",
    )


@dataclass(frozen=True, slots=True)
class _Settings:
    endpoint: str
    key: str
    secret: str = field(repr=False)


def _settings() -> _Settings:
    """Read lakeFS's own variables, then its ``~/.lakectl.yaml``.

    Returns:
        What they say.

    Raises:
        InvalidInputError: They name a server by what is no address.
    """
    names = (
        "LAKECTL_SERVER_ENDPOINT_URL", "LAKECTL_CREDENTIALS_ACCESS_KEY_ID",
        "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY",
    )  # fmt: skip
    endpoint, key, secret = (os.environ.get(name, "") for name in names)
    if not (key and secret):
        written = _written()
        endpoint = endpoint or _text(written, "server", "endpoint_url")
        key = key or _text(written, "credentials", "access_key_id")
        secret = secret or _text(written, "credentials", "secret_access_key")
    endpoint = endpoint.rstrip("/").removesuffix("/api/v1")
    if endpoint and "://" not in endpoint:
        endpoint = f"http://{endpoint}"
    parts = _parted(endpoint) if endpoint else None
    if endpoint and not (parts and parts.scheme in {"http", "https"} and parts.hostname):
        shown = endpoint if "@" not in endpoint else "…@…"
        raise InvalidInputError(
            f"lakeFS's settings name the server '{shown}', which is no address of one",
            hint="set LAKECTL_SERVER_ENDPOINT_URL to http://host:port or https://host",
        )
    return _Settings(endpoint, key, secret)


def _written() -> object:
    import yaml

    stated = os.environ.get("LAKECTL_CONFIG_FILE")
    file = Path(stated) if stated else Path.home() / ".lakectl.yaml"
    with translated(f"read {file}"):
        try:
            return yaml.safe_load(file.read_bytes())
        except FileNotFoundError:
            return {}
        except yaml.YAMLError as error:
            raise InvalidInputError(
                f"{file} cannot be read", hint="write it anew with lakectl config"
            ) from error


def _text(settings: object, section: str, name: str) -> str:
    part = settings.get(section) if isinstance(settings, dict) else None
    value = part.get(name) if isinstance(part, dict) else None
    return value if isinstance(value, str) else ""
