"""The only way to an archive: a proxy on this machine that checks where each connection goes.

Libraries follow redirects by themselves, and ask for a name again after it was checked. Behind
this door neither leads anywhere: for every connection a name is looked up once, its addresses are
checked, and the connection goes to one of these very addresses.

References:
    RFC 9110 (2022), 9.3.6 CONNECT. RFC 9112 (2022), 3.2.2 absolute form.
"""

import base64
import hmac
import secrets
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Final
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from registry.errors import InvalidInputError, RegistryError, UnavailableError
from registry.learn.inference.web import PUBLIC_ALONE, UnsafeAddressError, addresses, is_own

__all__ = ["door"]

_CONNECTING: Final = 20.0  # seconds
_IDLE: Final = 120.0
_CHUNK: Final = 1 << 18
_LONGEST: Final = 16 << 20  # bytes of a question
_LONGEST_HEAD: Final = 1 << 14
_OF_THE_HOP: Final = frozenset({
    "connection", "expect", "keep-alive", "proxy-authorization", "proxy-connection", "te",
    "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip


@contextmanager
def door(api: str, *, seconds: float | None = None) -> Iterator[str]:
    """Open a way to an archive and to public hosts, and nowhere else.

    Where this machine reaches hosts by a proxy of its network alone (``HTTPS_PROXY``,
    ``NO_PROXY``), connections go by that one, which looks names up itself.

    Args:
        api: Address of the archive's API; its own host is found once, and may be private.
        seconds: After how long it closes, whatever comes through it; None to stay open.

    Yields:
        Address of an HTTP proxy, with the password that only its user knows.

    Raises:
        UnsafeAddressError: What was done failed after an address was refused.
        RegistryError: As it was raised inside.
        UnavailableError: The system lets nobody listen, or what was done failed after it closed.
        InvalidInputError: The network's own proxy is of a kind that is not known.
    """
    secret = secrets.token_urlsafe(24)
    try:
        server = _Server(api, secret, _network_proxy())
    except OSError as error:
        raise UnavailableError(
            f"nothing can listen on 127.0.0.1: {error.strerror}",
            hint="allow more open files: ulimit -n",
        ) from error
    thread = threading.Thread(
        target=server.serve_forever, args=(0.05,), name="eolab-door", daemon=True
    )
    thread.start()
    end = threading.Timer(seconds or 0, server.close_ways)
    end.daemon = True
    if seconds is not None:
        end.start()
    try:
        yield f"http://eolab:{secret}@127.0.0.1:{server.server_address[1]}"
    except RegistryError as error:
        if server.refused and not isinstance(error, UnsafeAddressError):
            raise UnsafeAddressError(
                f"the archive leads to '{server.refused[0][:200]}', which is not followed",
                hint=PUBLIC_ALONE,
            ) from error
        if server.closed:
            raise UnavailableError(
                f"the archive at {api} takes longer than {seconds:g} s to answer",
                hint="narrow --aoi or --time, or name another archive by --from",
            ) from error
        raise
    finally:
        end.cancel()
        server.shutdown()
        server.server_close()
        thread.join()


def _network_proxy() -> SplitResult | None:
    """Return the proxy that this network wants.

    Raises:
        InvalidInputError: It is asked by anything but plain HTTP, or has no address.
    """
    found = getproxies_environment()
    said = found.get("https") or found.get("all")
    if not said:
        return None
    try:
        parts = urlsplit(said if "://" in said else f"http://{said}")
        _ = parts.port
    except ValueError as error:
        raise InvalidInputError(
            "HTTPS_PROXY names no host and port", hint="name both: http://proxy.example:3128"
        ) from error
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidInputError(
            f"HTTPS_PROXY names a proxy of the kind '{parts.scheme}'",
            hint="name one that is asked by http://, or unset HTTPS_PROXY",
        )
    return parts


class _Server(ThreadingTCPServer):
    """Listens on this machine, to who knows the password."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, api: str, secret: str, beyond: SplitResult | None) -> None:
        super().__init__(("127.0.0.1", 0), _Visitor)
        self.pass_word = "Basic " + base64.b64encode(f"eolab:{secret}".encode()).decode()
        self.refused: list[str] = []
        self.closed = False
        self._ways: set[socket.socket] = set()
        self._changing = threading.Lock()
        self._api = api
        self._beyond = beyond
        self._home: tuple[str, ...] = ()

    def handle_error(self, *_: Any) -> None:  # noqa: ANN401 — whatever it was, the visitor left
        """Say nothing: a connection that breaks is seen at both of its ends."""

    def close_ways(self) -> None:
        """End all connections, and make no more."""
        self.closed = True
        with self._changing:
            for way in self._ways:
                with suppress(OSError):  # the other side ended it
                    way.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def ended_with(self, way: socket.socket) -> Iterator[None]:
        """Have a connection end when the door closes.

        Yields:
            Nothing.
        """
        with self._changing:
            self._ways.add(way)
        if self.closed:
            self.close_ways()
        try:
            yield
        finally:
            with self._changing:
                self._ways.discard(way)

    def reached(self, scheme: str, host: str, port: int) -> socket.socket:
        """Return a connection.

        Raises:
            UnsafeAddressError: There shall be none.
            OSError: There is none.
        """
        if self.closed:
            raise OSError("it took too long")
        try:
            known = self._known(scheme, host, port)
        except UnsafeAddressError:
            self.refused.append(f"{scheme}://{host}:{port}")
            raise
        if self._beyond is not None and scheme == "https" and not proxy_bypass(host):
            return _through(self._beyond, host, port)
        for at, number in enumerate(known):
            try:
                return socket.create_connection((number, port), _CONNECTING)
            except OSError:
                if at == len(known) - 1:
                    raise
        raise OSError(f"nobody knows {host}")

    def _known(self, scheme: str, host: str, port: int) -> tuple[str, ...]:
        """Return the addresses of a server.

        Raises:
            UnsafeAddressError: It is none that is gone to.
        """
        if not is_own(scheme, host, port, api=self._api):
            if scheme != "https":
                raise UnsafeAddressError(f"'{host}' is not asked by https", hint=PUBLIC_ALONE)
            return addresses(host, port)
        if not self._home:  # its name must not come to mean another machine
            self._home = addresses(host, port, own=True)
        return self._home


def _through(proxy: SplitResult, host: str, port: int) -> socket.socket:
    """Return a connection that the network's own proxy makes.

    Raises:
        OSError: It makes none.
    """
    far = socket.create_connection((proxy.hostname or "", proxy.port or 80), _CONNECTING)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.username:
        pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
        lines.append(f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    try:
        far.sendall("\r\n".join([*lines, "", ""]).encode())
        head = _head(far)
    except OSError:
        far.close()
        raise
    if head.split(b" ", 2)[1:2] != [b"200"]:
        far.close()
        raise OSError(f"the network's proxy does not connect to {host}")
    return far


def _head(far: socket.socket) -> bytes:
    """Return the head of an answer, and leave what follows it to who asked."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _LONGEST_HEAD:
        byte = far.recv(1)
        if not byte:
            break
        head += byte
    return head


class _Visitor(BaseHTTPRequestHandler):
    """One connection of who asks."""

    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = _IDLE

    def log_message(self, *_: Any) -> None:  # noqa: ANN401 — nobody reads it
        """Say nothing."""

    def do_CONNECT(self) -> None:
        """Connect, and pass on both ways what is said."""
        parts = urlsplit(f"//{self.path}")
        with suppress(ValueError), self._connected("https", parts) as far:
            self.send_response_only(200)
            self.end_headers()
            _relay(self.connection, far)

    def do_GET(self) -> None:
        """Ask the archive's own server on this machine, and pass on its answer."""
        parts = urlsplit(self.path)
        with suppress(ValueError), self._connected(parts.scheme, parts) as far:
            body = self._body()
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            lines = [f"{self.command} {target} HTTP/1.1", "Connection: close"]
            lines += [
                f"{name}: {value}"
                for name, value in self.headers.items()
                if name.lower() not in _OF_THE_HOP
            ]
            far.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
            while data := far.recv(_CHUNK):
                self.connection.sendall(data)

    do_HEAD = do_POST = do_GET  # noqa: N815 — names of the standard library

    def _body(self) -> bytes:
        """Return what comes with a question.

        Raises:
            ValueError: It is too long, and that has been said.
        """
        said = self.headers.get("Content-Length", "0")
        if not said.isdecimal() or int(said) > _LONGEST:
            self.send_error(413)
            raise ValueError(said)
        return self.rfile.read(int(said))

    @contextmanager
    def _connected(self, scheme: str, parts: SplitResult) -> Iterator[socket.socket]:
        """Connect, or say why not.

        Yields:
            The connection.

        Raises:
            ValueError: There is none, and that has been said.
        """
        self.close_connection = True
        said = self.headers.get("Proxy-Authorization", "")
        if not hmac.compare_digest(said.encode(), self.server.pass_word.encode()):
            self.send_error(407)
            raise ValueError(said)
        try:
            port = parts.port or (443 if scheme == "https" else 80)
            far = self.server.reached(scheme, parts.hostname or "", port)
        except (UnsafeAddressError, ValueError) as error:
            self.send_error(403)
            raise ValueError(scheme) from error
        except OSError as error:
            self.send_error(502)
            raise ValueError(scheme) from error
        with far, self.server.ended_with(far):
            far.settimeout(_IDLE)
            yield far


def _relay(near: socket.socket, far: socket.socket) -> None:
    """Pass on both ways what is said, until one of them ends it, or neither says anything."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(near, selectors.EVENT_READ, (near, far))
        waiting.register(far, selectors.EVENT_READ, (far, near))
        while ready := waiting.select(_IDLE):
            for key, _ in ready:
                one, other = key.data
                data = one.recv(_CHUNK)
                if not data:
                    return
                other.sendall(data)
