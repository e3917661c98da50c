"""Speaking with a lakeFS server: its own client for commands, plain HTTP for what is many or large.

The client's models cost six times the listing itself, and its uploads hold the whole object in
memory; so objects and their listings go by urllib3.
"""

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from registry.errors import CorruptError, InvalidInputError, RegistryError
from registry.lake.lakefs.answers import TakenError, UnsureError, refusal, unsure
from registry.lake.lakefs.place import Place

if TYPE_CHECKING:
    import urllib3
    from lakefs_sdk.client import LakeFSClient

__all__ = ["Server", "patiently"]

CONNECT, READ = 10.0, 300.0
"""Seconds until a connection, and until an answer, is given up."""

ATTEMPTS = 7
FIRST_PAUSE = 0.05
"""Seconds; doubled from one attempt to the next, 3 seconds in all."""

CONNECTIONS = 16

_T = TypeVar("_T")


def patiently(
    do: Callable[[], _T], *, look: Callable[[], _T | None] | None = None, attempts: int = ATTEMPTS
) -> _T:
    """Do something that a server may have done although it did not say so.

    Args:
        do: What is to be done.
        look: Returns the outcome if it has been done, else None; without it, repeating is
            harmless.
        attempts: How often at most.

    Returns:
        The outcome.

    Raises:
        UnsureError: It never answered.
        TakenError: Somebody else has done it.
    """  # noqa: DOC501 — there is always a first attempt
    for attempt in range(attempts):
        try:
            return do()
        except TakenError:  # by ourselves, if an earlier attempt took effect late
            done = look() if attempt and look is not None else None
            if done is None:
                raise
            return done
        except UnsureError:
            if attempt == attempts - 1:
                raise
            time.sleep(FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 — jitter
            if look is not None:
                done = None
                with suppress(UnsureError):
                    done = look()
                if done is not None:
                    return done
    raise InvalidInputError("nothing was attempted", hint="attempt once at least")


class Server:
    """One server; threads share it, and each process has connections of its own."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._opened: tuple[int, LakeFSClient] | None = None
        self._pooled: tuple[int, urllib3.PoolManager] | None = None

    @property
    def client(self) -> "LakeFSClient":
        """The server's own client, with no memory of another process."""
        if self._opened is None or self._opened[0] != os.getpid():
            self._opened = (os.getpid(), self._open())
        return self._opened[1]

    def _open(self) -> "LakeFSClient":
        from lakefs_sdk.client import LakeFSClient
        from lakefs_sdk.configuration import Configuration

        configuration = Configuration(
            host=f"{self.place.endpoint}/api/v1",
            username=self.place.key,
            password=self.place.secret,
        )
        configuration.retries = _no_retries()  # type: ignore[assignment]  # None by default
        configuration.connection_pool_maxsize = CONNECTIONS
        return LakeFSClient(configuration)  # type: ignore[no-untyped-call]

    @staticmethod
    def model(name: str, /, **said: Any) -> Any:  # noqa: ANN401 — models of the client
        """Return what an operation of the client is given, by the name of its model."""
        import lakefs_sdk

        return getattr(lakefs_sdk, name)(**said)

    @property
    def pool(self) -> "urllib3.PoolManager":
        """Connections for plain HTTP."""
        if self._pooled is None or self._pooled[0] != os.getpid():
            import urllib3

            made = urllib3.PoolManager(
                maxsize=CONNECTIONS,
                block=False,
                retries=_no_retries(),
                headers=urllib3.make_headers(
                    basic_auth=f"{self.place.key}:{self.place.secret}", user_agent="eolab"
                ),
            )
            self._pooled = (os.getpid(), made)
        return self._pooled[1]

    def call(self, doing: str, operation: Callable[..., _T], *given: object, **named: object) -> _T:
        """Call an operation of the client once.

        Args:
            doing: What it does, in the infinitive, for messages.
            operation: Of one of the client's groups.
            given: Its arguments.
            named: Its arguments by name.

        Returns:
            What it returns.

        Raises:
            RegistryError: The server refuses, does not answer, or answers something else.
        """  # noqa: DOC501 — what tells them apart is in answers
        import pydantic.v1
        from lakefs_sdk import exceptions
        from urllib3.exceptions import HTTPError

        try:
            return operation(*given, **named, _request_timeout=(CONNECT, READ))
        except exceptions.ApiException as error:
            raise refusal(int(error.status or 0), error.body, doing) from None
        except (HTTPError, OSError) as error:
            raise unsure(doing, self.place.endpoint) from error
        except (pydantic.v1.ValidationError, ValueError, TypeError, KeyError) as error:
            raise _no_answer(doing, self.place.endpoint) from error

    def ask(
        self, doing: str, method: str, path: str, *, fields: Mapping[str, str | int] | None = None
    ) -> Any:  # noqa: ANN401 — JSON
        """Return the JSON that the API answers; only for what may be asked again."""

        def once() -> Any:  # noqa: ANN401 — JSON
            with self.request(doing, method, path, fields=fields) as answer:
                try:
                    return json.loads(answer.data)
                except ValueError as error:
                    raise _no_answer(doing, self.place.endpoint) from error

        return patiently(once)

    @contextmanager
    def request(
        self,
        doing: str,
        method: str,
        path: str,
        *,
        fields: Mapping[str, str | int] | None = None,
        body: "bytes | BinaryIO | None" = None,
        headers: Mapping[str, str] | None = None,
    ) -> Iterator["urllib3.BaseHTTPResponse"]:
        """Ask the API something by plain HTTP, once.

        Args:
            doing: What is asked for, in the infinitive, for messages.
            method: Of HTTP.
            path: Below ``/api/v1``, quoted.
            fields: The query.
            body: What is sent.
            headers: Further ones.

        Yields:
            The answer, its body unread, of a status below 300.

        Raises:
            RegistryError: The server refuses, or does not answer.
        """  # noqa: DOC501 — as above
        from urllib.parse import urlencode

        import urllib3

        url = f"{self.place.endpoint}/api/v1{path}"
        if fields:
            url = f"{url}?{urlencode(fields)}"
        answer: urllib3.BaseHTTPResponse | None = None
        try:
            answer = self.pool.request(
                method, url, body=body, headers={**self.pool.headers, **(headers or {})},
                preload_content=False, redirect=False,
                timeout=urllib3.Timeout(connect=CONNECT, read=READ),
            )  # fmt: skip
            if answer.status >= 300:  # noqa: PLR2004 — no success
                raise refusal(answer.status, answer.read(1 << 16), doing)
            yield answer
        except RegistryError:
            raise
        except (urllib3.exceptions.HTTPError, ConnectionError, TimeoutError) as error:
            raise unsure(doing, self.place.endpoint) from error
        finally:
            if answer is not None:
                answer.drain_conn() if answer.length_remaining in {0, None} else answer.close()
                answer.release_conn()


def _no_retries() -> "urllib3.Retry":
    import urllib3

    return urllib3.Retry(0, redirect=False, raise_on_redirect=False)


def _no_answer(doing: str, endpoint: str) -> CorruptError:
    return CorruptError(
        f"cannot {doing}: {endpoint} answers what no lakeFS server would",
        hint="see that the address is that of a lakeFS server",
    )
