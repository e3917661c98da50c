"""What a STAC API says it has; imported late, because its client is slow to load.

References:
    STAC API 1.0.0 (2023), item search. OGC 17-069r4, features.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from pystac import STACError
from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from requests import RequestException

from registry.errors import NotFoundError, RegistryError, UnavailableError
from registry.learn.inference.door import door
from registry.learn.inference.web import check_href

__all__ = ["items"]

_MOST: Final = 500
_SECONDS: Final = 60
_NONSENSE: Final = (OSError, ValueError, KeyError, TypeError, AttributeError)


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
        UnavailableError: It does not answer, or nonsense.
        UnsafeAddressError: It leads to addresses that are not followed.
    """
    with door(api) as proxy, _translated(api):
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
        certificates = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        if certificates:
            self.session.verify = certificates

    def request(self, href: str, *args: Any, **more: Any) -> str:  # noqa: ANN401 — as the client has them
        """Ask, once the address will do.

        Returns:
            The answer.
        """
        return super().request(check_href(href, api=self._api), *args, **more)

    def read_text(self, source: Any, *args: Any, **more: Any) -> str:  # noqa: ANN401 — as above
        """Ask, once the address will do; a link's answer as well as an address's.

        Returns:
            The answer.
        """
        check_href(getattr(source, "href", None) or str(source), api=self._api)
        return super().read_text(source, *args, **more)


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
    except (APIError, RequestException, STACError, *_NONSENSE) as error:
        raise UnavailableError(
            f"the archive at {api} does not answer as a STAC API: "
            f"{' '.join(str(error).split())[:200]}",
            hint="see whether it is there: curl " + api,
        ) from error
