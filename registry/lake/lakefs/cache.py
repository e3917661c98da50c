"""Keeping a mirror's objects below a size, and out of the way of whoever reads them."""

import os
import shutil
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from registry.errors import InvalidInputError
from registry.lake import lazy
from registry.lake.local import locks, views
from registry.lake.local.layout import Layout

__all__ = ["limit", "shrink"]

GIB = 1 << 30
DEFAULT_GIB = 50.0

REST = 3600.0
"""Seconds that an object or view stays after its last use, however large the cache is."""


class _Object(NamedTuple):
    used: float
    size: int
    file: Path


def limit() -> int:
    """Return how many bytes the objects of one repository may take: ``EOLAB_CACHE_GIB``.

    Raises:
        InvalidInputError: It says something else than a number above 0.
    """
    said = os.environ.get("EOLAB_CACHE_GIB") or str(DEFAULT_GIB)
    try:
        gib = float(said)
    except ValueError:
        gib = -1.0
    if not 0 < gib < 1e9:  # noqa: PLR2004 — an exabyte
        raise InvalidInputError(
            f"EOLAB_CACHE_GIB is {said!r}", hint="say how many GiB a cache may take, such as 50"
        )
    return int(gib * GIB)


def shrink(layout: Layout, most: int, *, rest: float = REST) -> int:
    """Drop what was not used for longest from a cache that is too large; the server has it all.

    Views that nobody reads go first, since they hold objects by links of their own.

    Args:
        layout: The mirror's.
        most: Bytes that its objects may take.
        rest: Seconds that everything stays after its last use.

    Returns:
        Bytes that were dropped.
    """
    found = _objects(layout)
    size = sum(one.size for one in found)
    if size <= most:
        return 0
    with locks.try_exclusive(layout.gate) as had:  # whoever lays a view shares it
        if not had:
            return 0
        rested = time.time() - rest
        _drop_views(layout, rested)
        dropped = 0
        for one in sorted(found):
            if size - dropped <= most or one.used > rested:
                break
            with suppress(FileNotFoundError):
                one.file.unlink()
                dropped += one.size
        return dropped


def _objects(layout: Layout) -> list[_Object]:
    found = []
    for folder, _, names in os.walk(layout.objects):
        for name in names:
            file = Path(folder, name)
            with suppress(FileNotFoundError):
                facts = file.stat()
                found.append(_Object(max(facts.st_mtime, facts.st_atime), facts.st_size, file))
    return found


def _drop_views(layout: Layout, rested: float) -> None:
    leased = views.leased(layout)
    for view in layout.views.iterdir():
        with suppress(FileNotFoundError):
            if view.suffix or view.name in leased or view.stat().st_mtime > rested:
                continue
            gone = layout.temporary / f"{view.name}.{uuid.uuid4().hex}"
            view.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)
            shutil.rmtree(lazy.companion(view), ignore_errors=True)
