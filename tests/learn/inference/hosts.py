"""Hosts on this machine that serve files by ranges, send visitors elsewhere, or count them."""

import re
import threading
import time
from http.server import BaseHTTPRequestHandler
from socketserver import BaseRequestHandler, ThreadingTCPServer


class _Local(ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, handler):
        super().__init__(("127.0.0.1", 0), handler)
        self.port = self.server_address[1]
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        self._thread.join()


class Canary(_Local):
    """Nobody should ever come here."""

    def __init__(self):
        super().__init__(_Sung)
        self.heard = []


class _Sung(BaseRequestHandler):
    def handle(self):
        self.request.settimeout(10)
        self.server.heard.append(self.request.recv(1000))


class Host(_Local):
    """Serves ``files`` by ranges; who asks for a path of ``elsewhere`` is sent there."""

    def __init__(self):
        super().__init__(_Serving)
        self.address = f"http://127.0.0.1:{self.port}"
        self.files = {}
        self.elsewhere = {}
        self.asked = []
        self.sent = 0


class Trickling(_Local):
    """Answers whoever asks, a byte at a time, and is not through with it for some time."""

    def __init__(self):
        super().__init__(_Dripping)
        self.address = f"http://127.0.0.1:{self.port}"
        self.asked = 0


class _Dripping(BaseRequestHandler):
    def handle(self):
        self.server.asked += 1
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
        try:
            for byte in head + b" " * 300:
                self.request.sendall(bytes([byte]))
                time.sleep(0.01)
        except OSError:
            pass  # who asked has gone


class _Serving(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10

    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.asked.append((self.command, self.path, self.headers.get("Range")))
        if self.path in server.elsewhere:
            self._head(302, 0, Location=server.elsewhere[self.path])
            return
        data = server.files.get(self.path)
        if data is None:
            self._head(404, 0)
            return
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        if found is None:
            self._head(200, len(data), **{"Accept-Ranges": "bytes"})
            part = data
        else:
            first, last = int(found[1]), min(int(found[2]), len(data) - 1)
            part = data[first : last + 1]
            self._head(206, len(part), **{"Content-Range": f"bytes {first}-{last}/{len(data)}"})
        if self.command == "GET":
            self.wfile.write(part)
            server.sent += len(part)

    do_HEAD = do_GET  # noqa: N815 — a name of the standard library

    def _head(self, status, length, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": str(length), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
