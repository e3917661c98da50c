"""Rasters without a place are nothing to warn of here; said so that threads do not unsay it."""

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

__all__ = ["unplaced_allowed"]

_LOCK: Final = threading.Lock()
_FILTERS: Final = ExitStack()
_inside = 0


@contextmanager
def unplaced_allowed() -> Iterator[None]:
    """Silence rasterio's warning of rasters that have no place while anybody is inside.

    Filters belong to the whole process: were each thread to set and restore them by itself, the
    first to leave would bring the warning back for the others.

    Yields:
        Nothing.
    """
    global _inside  # noqa: PLW0603 — the filters that it counts are the process's too
    with _LOCK:
        if _inside == 0:
            from rasterio.errors import NotGeoreferencedWarning

            _FILTERS.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
        _inside += 1
    try:
        yield
    finally:
        with _LOCK:
            _inside -= 1
            if _inside == 0:
                _FILTERS.close()
