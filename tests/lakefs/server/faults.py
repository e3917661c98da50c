"""What may go wrong on purpose, request by request."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Dropped", "Fault", "Faults"]


class Dropped(Exception):  # noqa: N818 — the connection ends here
    """The connection is to be cut without an answer."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """Something that happens to some of the requests that match."""

    match: str
    """Regular expression searched in ``METHOD target``."""

    nth: int = 1
    """The first of the matching requests that is hit."""

    times: int | None = 1
    """How many in a row are hit; None: all from then on."""

    status: int | None = None
    """What is answered instead."""

    message: str = "a fault on purpose"
    applied: bool = False
    """Whether the operation takes effect before the answer is replaced or lost."""

    drop: bool = False
    """The connection is cut: before the operation, or after it where ``applied``."""

    upload_bytes: int | None = None
    """The connection is cut after so many bytes of the request's body."""

    download_bytes: int | None = None
    """The connection is cut after so many bytes of the answer's body."""

    wait: float = 0.0
    """Seconds to pass before anything else; a stop of the server ends them."""

    meanwhile: Callable[[], None] | None = None
    """Run before the operation: what another client does at the worst moment."""

    rewrite: Callable[[object], object] | None = None
    """Makes another document of the one that is answered: a server that lies."""

    seen: int = field(default=0, init=False)
    """How many requests have matched."""


class Faults:
    """The faults in force; the first that hits a request has it."""

    def __init__(self):
        self._lock = threading.Lock()
        self._faults = []
        self.stopping = threading.Event()

    def add(self, match, **options):
        """Put a fault in force, e.g. ``add("POST .*/merge/", status=429, applied=True)``."""
        fault = Fault(match=match, **options)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self):
        with self._lock:
            self._faults.clear()

    def hitting(self, request):
        """Return the fault that hits a request, or None."""
        hit = None
        with self._lock:
            for fault in self._faults:
                if not re.search(fault.match, f"{request.method} {request.target}"):
                    continue
                fault.seen += 1
                over = fault.times is not None and fault.seen >= fault.nth + fault.times
                if hit is None and fault.seen >= fault.nth and not over:
                    hit = fault
        return hit

    def wait(self, fault):
        if fault.wait and self.stopping.wait(fault.wait):
            raise Dropped
