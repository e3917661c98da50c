"""The fake as an HTTP server on this machine, to start, stop, break and start again."""

import contextlib
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.sax.saxutils import escape

from tests.lakefs.server.api import Api
from tests.lakefs.server.faults import Dropped, Faults
from tests.lakefs.server.gateway import Gateway
from tests.lakefs.server.messages import Answer, Request, Slice
from tests.lakefs.server.refusals import Refusal
from tests.lakefs.server.state import State

__all__ = ["FakeLakeFS", "running_server"]

KEY = "AKIAFAKELAKEFSEXAMPLE"
SECRET = "fake/lakefs+secret=for+tests"  # noqa: S105 — it opens nothing but this


class FakeLakeFS:
    """A server with its state; the state outlives a stop.

    Args:
        port: 0 takes a free one; a restart takes the same again.
        key: Access key id.
        secret: Secret access key.
        protection_delay: Seconds until a new branch protection rule is obeyed.
    """

    def __init__(self, *, port=0, key=KEY, secret=SECRET, protection_delay=0.05):
        self.key = key
        self.secret = secret
        self.faults = Faults()
        self.mistakes = []
        self.state = State(protection_delay=protection_delay)
        self.state.setup("admin", key, secret)
        self._port = port
        self._server = None
        self._thread = None

    @property
    def endpoint(self):
        """Its address, with neither ``/api/v1`` nor a slash at the end."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def environment(self):
        """The variables by which clients find it."""
        return {
            "LAKECTL_SERVER_ENDPOINT_URL": self.endpoint,
            "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": self.key,
            "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": self.secret,
        }

    def start(self):
        self.faults.stopping.clear()
        self._server = _Server(("127.0.0.1", self._port), self)
        self._port = self._server.server_port
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    def stop(self):
        """Cut every connection at once, as a kill does."""
        if self._server is None:
            return
        self.faults.stopping.set()
        self._server.shutdown()
        self._server.cut()
        self._server.server_close()
        self._thread.join()
        self._server = None

    def restart(self):
        self.stop()
        self.start()

    def close(self):
        self.stop()
        self.state.close()


@contextlib.contextmanager
def running_server(**options):
    """Give a fake that runs, and goes with all it holds.

    >>> with running_server() as server:
    ...     server.endpoint.startswith("http://127.0.0.1:")
    True
    """
    server = FakeLakeFS(**options)
    server.start()
    try:
        yield server
        if server.mistakes:
            raise ExceptionGroup("the fake itself failed", server.mistakes)
    finally:
        server.close()


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = False

    def __init__(self, address, fake):
        self.fake = fake
        self.api = Api(fake.state)
        self.gateway = Gateway(fake.state)
        self._live = set()
        self._live_lock = threading.Lock()
        super().__init__(address, _Handler)

    def process_request(self, request, client_address):
        with self._live_lock:
            self._live.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._live_lock:
            self._live.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request, client_address):
        """Keep what is the fake's own mistake; broken connections are what some tests are about."""
        error = sys.exception()
        if not isinstance(error, ConnectionError):
            self.fake.mistakes.append(error)

    def cut(self):
        with self._live_lock:
            live = list(self._live)
        for connection in live:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    disable_nagle_algorithm = True

    def _serve(self):
        fault = None
        request = Request(self.command, self.path, self.headers, self.rfile)
        faults = self.server.fake.faults
        try:
            fault = faults.hitting(request)
            answer = self._answer(request, fault)
            request.body.drain()
            self._send(answer, fault)
        except (Dropped, ConnectionError):
            self.close_connection = True
            with contextlib.suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    # http.server finds a method's handler by these names.
    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_PATCH = _serve  # noqa: N815

    def _answer(self, request, fault):
        if fault is None:
            return self._dispatched(request)
        self.server.fake.faults.wait(fault)
        if fault.meanwhile is not None:
            fault.meanwhile()
        if fault.upload_bytes is not None:
            request.body.read(fault.upload_bytes)
            raise Dropped
        if fault.applied:
            self._dispatched(request)
        if fault.drop:
            raise Dropped
        if fault.status is not None:
            return _refused(request, Refusal(fault.status, fault.message, code="InternalError"))
        answer = self._dispatched(request)
        if fault.rewrite is not None:
            answer.document = fault.rewrite(answer.document)
        return answer

    def _dispatched(self, request):
        is_api = request.path.startswith("/api/v1/")
        part = self.server.api if is_api else self.server.gateway
        try:
            return part.answer(request)
        except Refusal as refusal:
            return _refused(request, refusal)

    def _send(self, answer, fault):
        headers, body = answer.encoded()
        self.send_response(answer.status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD" or answer.status == 204:
            self.wfile.flush()
            return
        limit = None if fault is None else fault.download_bytes
        for block in _blocks(body):
            self.wfile.write(block if limit is None else block[:limit])
            if limit is not None:
                limit -= len(block)
                if limit <= 0:
                    self.wfile.flush()
                    raise Dropped
        self.wfile.flush()

    def log_message(self, format, *args):  # noqa: A002 — the library's name
        """Say nothing."""


def _blocks(body):
    if not isinstance(body, Slice):
        yield body
        return
    with body.file.open("rb") as stream:
        stream.seek(body.start)
        left = body.stop - body.start
        while left and (block := stream.read(min(left, 1 << 20))):
            left -= len(block)
            yield block


def _refused(request, refusal):
    if request.path.startswith("/api/v1/"):
        body = {"message": refusal.message} if refusal.body is None else refusal.body
        return Answer(refusal.status, document=body, headers=refusal.headers)
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(refusal.code or 'InvalidRequest')}</Code>"
        f"<Message>{escape(refusal.message)}</Message>"
        f"<Resource>{escape(request.path)}</Resource><RequestId>fake</RequestId></Error>"
    )
    headers = {"Content-Type": "application/xml", **refusal.headers}
    return Answer(refusal.status, body=text.encode(), headers=headers)
