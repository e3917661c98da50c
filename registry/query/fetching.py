"""The pixels of a slice, fetched where a clone has left them at its origin."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog.registry import Registry
from registry.lake import lazy
from registry.query.slices import Slice, version_of_slice
from registry.tables import store
from registry.tables.chips import entries_of
from registry.tables.log import snapshot

__all__ = ["fetch_slice"]


def fetch_slice(registry: Registry, found: Slice) -> int:
    """Fetch the data files that hold a slice's pixels, as far as they are not here yet.

    Args:
        registry: A registry that has the slice and its version.
        found: The slice.

    Returns:
        How many files there are; 0 if its samples have no pixels in the dataset.

    Raises:
        NotFoundError: This lake has no version of that content.
    """
    version = version_of_slice(registry, found)
    if not store.exists(version.root, "assets") or not store.exists(version.root, "pixels"):
        return 0
    rows = version.table("assets", columns=["sample", "pixels"])
    inside = pc.is_in(rows.column("sample"), value_set=pa.array(found.ids, pa.string()))
    digests = pc.unique(rows.filter(inside).column("pixels").drop_null()).to_pylist()
    wanted = np.sort(np.array(digests, dtype="S32"))
    pixels = snapshot(version.root, "pixels")
    files = [
        pixels.folder / one.path
        for one in pixels.files
        if np.isin(entries_of(pixels.folder, one)["sha256"], wanted).any()
    ]
    lazy.ensure(*files)
    return len(files)
