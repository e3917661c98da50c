"""Which addresses are followed: what an archive's items say is anybody's word."""

import ipaddress
import socket
from typing import Final
from urllib.parse import SplitResult, urlsplit

from registry.errors import InvalidInputError, RejectedError

__all__ = ["UnsafeAddressError", "check_api", "check_href"]

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SUFFIXES: Final = (".tif", ".tiff", ".jp2")


class UnsafeAddressError(RejectedError):
    """An archive leads to an address that is not followed."""

    code = "unsafe-address"


def check_api(address: str) -> str:
    """Return the address of an API.

    Args:
        address: As somebody gave it.

    Returns:
        The same, without a slash at its end.

    Raises:
        InvalidInputError: It is no https address; on this machine http will do.

    Examples:
        >>> check_api("https://earth.example/v1/")
        'https://earth.example/v1'
    """
    parts = _parts(address)
    host = parts.hostname if parts is not None else None
    plain = parts is not None and parts.scheme == "http" and host in _LOOPBACK
    if parts is None or not host or parts.username or not (parts.scheme == "https" or plain):
        raise InvalidInputError(
            f"'{address}' is no address of an archive",
            hint="give its STAC API: --api https://earth-search.aws.element84.com/v1",
        )
    return address.rstrip("/")


def check_href(href: str, *, api: str) -> str:
    """Return an address that an archive's answer leads to.

    Args:
        href: As the answer has it.
        api: Address of the API, whose own host may be on this machine.

    Returns:
        The same.

    Raises:
        UnsafeAddressError: It is no https address of a public host, nor of the API's own.

    Examples:
        >>> check_href("https://198.51.100.7/a.tif", api="https://earth.example")
        Traceback (most recent call last):
        ...
        registry.learn.inference.web.UnsafeAddressError: the archive leads to ...
          hint: ...
    """
    parts, home = _parts(href), urlsplit(api)
    if parts is not None and parts.hostname and not parts.username:
        same = (parts.scheme, parts.hostname, parts.port) == (home.scheme, home.hostname, home.port)
        if same or (parts.scheme == "https" and _public(parts.hostname)):
            return href
    raise UnsafeAddressError(
        f"the archive leads to '{href[:200]}', which is not followed",
        hint="use an archive whose files lie at https addresses of public hosts",
    )


def check_file(href: str, *, api: str) -> str:
    """Return an address of a raster; as :func:`check_href`, and named like one.

    Raises:
        UnsafeAddressError: It is not.
    """
    parts = _parts(check_href(href, api=api))
    if parts is None or not parts.path.lower().endswith(_SUFFIXES):
        raise UnsafeAddressError(
            f"the archive leads to '{href[:200]}', which is named like no GeoTIFF or JPEG 2000",
            hint="use an archive of such files",
        )
    return href


def _parts(address: str) -> SplitResult | None:
    if any(not letter.isprintable() or letter.isspace() for letter in address):
        return None
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _public(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, 443, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return not _is_number(host)  # who cannot be found cannot be harmed either
    return all(ipaddress.ip_address(one[4][0]).is_global for one in found)


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
