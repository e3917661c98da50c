"""Which addresses are followed: what an archive's items say is anybody's word.

References:
    RFC 6890 (2013), special-purpose addresses. RFC 6052 (2010), IPv4 within IPv6. RFC 4291 (2006),
    2.5.4, global addresses. RFC 6943 (2013), 3.1.1, numbers in other forms.
"""

import ipaddress
import re
import socket
from typing import Final
from urllib.parse import SplitResult, urlsplit

from registry.errors import InvalidInputError, RejectedError

__all__ = [
    "PUBLIC_ALONE", "UnsafeAddressError", "addresses", "check_api", "check_file", "check_href",
    "is_own",
]  # fmt: skip

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_SUFFIXES: Final = (".tif", ".tiff", ".jp2")
_PORTS: Final = {"http": 80, "https": 443}
_TRANSLATED: Final = ipaddress.ip_network("64:ff9b::/96")
_OF_IPV4: Final = 0xFFFFFFFF
_GIVEN_OUT: Final = ipaddress.ip_network("2000::/3")  # of IPv6; others are of one site, or nobody's
_ENDS_IN_A_NUMBER: Final = re.compile(r"(?:.*\.)?(?:\d+|0x[0-9a-f]*)\.?", re.ASCII | re.IGNORECASE)

PUBLIC_ALONE: Final = "use an archive whose files lie at https addresses of public hosts"
"""What to do about an address that is not followed."""


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

    It says early what will not do; where a connection goes is up to
    :func:`registry.learn.inference.door.door`.

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
    parts = _parts(href)
    if parts is None or not parts.hostname or parts.username:
        raise UnsafeAddressError(_leads(href), hint=PUBLIC_ALONE)
    if not is_own(parts.scheme, parts.hostname, parts.port, api=api):
        if parts.scheme != "https":
            raise UnsafeAddressError(_leads(href), hint=PUBLIC_ALONE)
        addresses(parts.hostname, parts.port or 443)
    return href


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


def is_own(scheme: str, host: str, port: int | None, *, api: str) -> bool:
    """Return whether a server is the API's own, which somebody named on purpose.

    Examples:
        >>> is_own("https", "earth.example", 443, api="https://earth.example/v1")
        True
        >>> is_own("http", "localhost", 22, api="http://localhost:8080")
        False
    """
    home = urlsplit(api)
    named = home.scheme, home.hostname, home.port or _PORTS.get(home.scheme)
    return (scheme, host.lower(), port or _PORTS.get(scheme)) == named


def addresses(host: str, port: int, *, own: bool = False) -> tuple[str, ...]:
    """Return the addresses that a name has, once all of them are known to be public.

    Args:
        host: A name, or an address.
        port: Of the server.
        own: Whether it is the API's own, whose addresses may be anywhere.

    Returns:
        Addresses to connect to as they are, without asking for the name again; none for a name
        that nobody knows.

    Raises:
        UnsafeAddressError: One of them is not public, or a number is written so that not all
            programs read the same in it, such as ``010.0.0.1``.
    """
    if not own and _ENDS_IN_A_NUMBER.fullmatch(host) and not _is_number(host):
        raise UnsafeAddressError(_leads(f"{host}:{port}"), hint=PUBLIC_ALONE)
    try:
        found = socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        if not own and _is_number(host):
            raise UnsafeAddressError(_leads(host), hint=PUBLIC_ALONE) from error
        return ()
    known = tuple(str(one[4][0]) for one in found)
    if not own and not all(_is_public(one) for one in known):
        raise UnsafeAddressError(_leads(f"{host}:{port}"), hint=PUBLIC_ALONE)
    return known


def _leads(address: str) -> str:
    return f"the archive leads to '{address[:200]}', which is not followed"


def _parts(address: str) -> SplitResult | None:
    if any(not letter.isprintable() or letter.isspace() for letter in address):
        return None
    try:
        parts = urlsplit(address)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _is_public(number: str) -> bool:
    """Return whether anybody's machine could have an address, whatever lies within it.

    Examples:
        >>> [_is_public(one) for one in ("8.8.8.8", "169.254.169.254", "64:ff9b::a9fe:a9fe")]
        [True, False, False]
    """
    address = ipaddress.ip_address(number)
    within: ipaddress.IPv4Address | None = None
    if isinstance(address, ipaddress.IPv6Address):
        within = address.ipv4_mapped or address.sixtofour
        if address in _TRANSLATED:
            within = ipaddress.IPv4Address(int(address) & _OF_IPV4)
        if within is None and (address not in _GIVEN_OUT or address.teredo is not None):
            return False
    reached = within or address
    return reached.is_global and not reached.is_multicast


def _is_number(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
