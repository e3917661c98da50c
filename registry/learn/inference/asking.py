"""What a STAC API says it has; imported late, because its client is slow to load.

References:
    STAC API 1.0.0 (2023), item search. OGC 17-069r4, features.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Final

from pystac import RequiredPropertyMissing, STACError, STACTypeError
from pystac_client import Client
from pystac_client.errors import ClientTypeError
from pystac_client.exceptions import APIError, ParametersError
from pystac_client.stac_api_io import StacApiIO
from pystac_client.warnings import PystacClientWarning
from requests import RequestException, Response
from requests.adapters import HTTPAdapter

from registry.errors import NotFoundError, RegistryError, UnavailableError
from registry.learn.inference.door import door
from registry.learn.inference.web import check_href

__all__ = ["items"]

_MOST: Final = 500
_SECONDS: Final = 60  # without a byte
_LONGEST: Final = 300.0  # seconds, of a whole search
_QUESTIONS: Final = 1000  # of one search; an API may have a next page for ever
_LARGEST: Final = 64 << 20  # bytes of an answer, unpacked; a page of items has a few million
_CHUNK: Final = 1 << 16
_TRIES: Final = 5
_CERTIFICATES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")
_NONSENSE: Final = (
    OSError, ValueError, KeyError, TypeError, AttributeError, RequestException, STACError,
    STACTypeError, RequiredPropertyMissing, APIError, ParametersError, ClientTypeError,
    PystacClientWarning,
)  # fmt: skip


def items(
    api: str, collections: Sequence[str], *, bbox: tuple[float, float, float, float], interval: str
) -> list[dict[str, Any]]:
    """Return items of an API, none of another collection.

    Args:
        api: Its address.
        collections: Any of them, as many as it has.
        bbox: West, south, east, north in degrees.
        interval: As STAC writes it.

    Returns:
        Items as JSON's types, at most 500.

    Raises:
        NotFoundError: The API has no such collection.
        UnavailableError: It does not answer, nonsense, or too slowly.
        UnsafeAddressError: It leads to addresses that are not followed.
    """
    with door(api, seconds=_LONGEST) as proxy, _translated(api):
        careful = _Careful(api, proxy)
        with careful.session:
            client = Client.open(api, stac_io=careful, timeout=_SECONDS)
            there = {one.id for one in client.get_collections()}
            names = [name for name in collections if name in there]
            if not names:
                raise NotFoundError(
                    f"{api} has no {collections[0]}",
                    hint="name another archive by --from, or its address by --api",
                )
            found = client.search(
                collections=names, bbox=bbox, datetime=interval, max_items=_MOST
            )  # fmt: skip
            return [one for one in found.items_as_dicts() if one.get("collection") in names]


class _Careful(StacApiIO):
    """Asks by the door alone, and opens no file of this machine that an answer names."""

    def __init__(self, api: str, proxy: str) -> None:
        super().__init__(timeout=_SECONDS)
        self._api = api
        self.session.trust_env = False  # the variables name other proxies, and come first
        self.session.proxies = {"http": proxy, "https": proxy}
        self._asked = 0
        for scheme in ("http://", "https://"):
            self.session.mount(scheme, _Bounded())

    def request(self, href: str, *args: Any, **more: Any) -> str:  # noqa: ANN401 — as the client has them
        """Ask, once the address will do.

        Returns:
            The answer.

        Raises:
            UnavailableError: There is no end to the answers.
        """
        self._asked += 1
        if self._asked > _QUESTIONS:
            raise UnavailableError(
                f"the archive at {self._api} has more than {_QUESTIONS:,} pages",
                hint="narrow --aoi or --time, or name another archive by --from",
            )
        return super().request(check_href(href, api=self._api), *args, **more)

    def read_text(self, source: Any, *args: Any, **more: Any) -> str:  # noqa: ANN401 — as above
        """Ask, once the address will do; a link's answer as well as an address's.

        Returns:
            The answer.
        """
        check_href(getattr(source, "href", None) or str(source), api=self._api)
        return super().read_text(source, *args, **more)


class _Bounded(HTTPAdapter):
    """Takes in no endless answer, and believes the certificates that somebody names.

    The client asks its session to believe the usual ones, whatever was set there.
    """

    def __init__(self) -> None:
        super().__init__(max_retries=_TRIES)
        named = (os.environ.get(name) for name in _CERTIFICATES)
        self._certificates: str | bool = next(filter(None, named), True)

    def send(self, *args: Any, **more: Any) -> Response:  # noqa: ANN401 — as requests has them
        """Send, and take in the answer.

        Returns:
            The answer.

        Raises:
            OSError: It is too large, or there is none.
        """
        answer = super().send(*args, **more | {"verify": self._certificates, "stream": True})
        whole = BytesIO()
        for piece in answer.raw.stream(_CHUNK, decode_content=True):
            whole.write(piece)
            if whole.tell() > _LARGEST:
                answer.close()
                raise OSError(f"an answer is larger than {_LARGEST:,} bytes")
        whole.seek(0)
        answer.raw = whole
        return answer


@contextmanager
def _translated(api: str) -> Iterator[None]:
    """Say in our words what goes wrong with an API.

    Yields:
        Nothing.

    Raises:
        RegistryError: As it was raised inside.
        UnavailableError: It does not answer, or nonsense.
    """
    try:
        yield
    except RegistryError:
        raise
    except _NONSENSE as error:
        raise UnavailableError(
            f"the archive at {api} does not answer as a STAC API: "
            f"{' '.join(str(error).split())[:200]}",
            hint="see whether it is there: curl " + api,
        ) from error
