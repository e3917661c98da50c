"""Annotations that a labelling tool gave back without their ids, found again by their outlines."""

from collections import defaultdict

import numpy as np
import shapely

from registry.curate.exchange.cells import GEOMETRY
from registry.curate.exchange.exporting import Leaving
from registry.curate.exchange.placing import same_shapes, tolerance_of
from registry.curate.exchange.reading import FileRows

__all__ = ["by_outline"]

Key = tuple[object, ...]


def by_outline(file: FileRows, given: Leaving, keys: list[Key | None]) -> list[Key | None]:
    """Return keys, with those of annotations that lie where one was given out without a key.

    Args:
        file: The rows that came back.
        given: The rows as they were given out, in the file's system.
        keys: One a row of the file.
    """
    if given.shapes is None or None not in keys:
        return keys
    used = {key for key in keys if key is not None}
    waiting: dict[str, list[int]] = defaultdict(list)
    ids = given.rows.column("id").to_pylist()
    for number, (one, sample) in enumerate(
        zip(ids, given.rows.column("sample").to_pylist(), strict=True)
    ):
        if (one,) not in used:
            waiting[sample].append(number)
    shapes = shapely.from_wkb(file.rows.column(GEOMETRY).to_numpy(zero_copy_only=False))
    samples = file.rows.column("sample").to_pylist()
    tolerance = tolerance_of(given.placing.crs)
    found = list(keys)
    for number, key in enumerate(keys):
        here = waiting[samples[number]]
        if key is not None or not here:
            continue
        asked = np.full(len(here), shapes[number], dtype=object)
        same, _ = same_shapes(given.shapes[here], asked, tolerance)
        if same.any():
            place = here.pop(int(np.flatnonzero(same)[0]))
            found[number] = (ids[place],)
    return found
