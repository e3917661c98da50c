"""What became what between two maps of one place."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.formats.unplaced import unplaced_allowed
from registry.errors import InvalidInputError
from registry.learn.inference.rasters import Placement
from registry.learn.inference.writing import MapWriter, class_layout

__all__ = ["change", "check_countable", "transitions"]

_ROWS: Final = 512
_MOST_CLASSES: Final = 256  # each became each: 65,281 values, and one for none, in two bytes


def transitions(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return what the values of a map of change mean; 0 is that nothing became something else.

    Examples:
        >>> transitions(("land", "water"))
        ('no change', 'land to water', 'water to land')
    """
    pairs = (f"{one} to {other}" for one in classes for other in classes if one != other)
    return ("no change", *pairs)


def check_countable(classes: Sequence[str]) -> None:
    """Refuse more classes than a map of change can tell apart.

    Raises:
        InvalidInputError: They are more than 256.
    """
    if len(classes) > _MOST_CLASSES:
        raise InvalidInputError(
            f"a map of change tells {_MOST_CLASSES} classes apart, and these are {len(classes)}",
            hint="map each day by itself: --dates best, with --time of that day",
        )


def change(before: Path, after: Path, out: Path) -> Mapping[str, int]:
    """Write which class became which.

    Args:
        before: A class map that the lab wrote.
        after: A later one of the same grid and classes.
        out: Where the map of change will be; nothing is known where one of the maps knows nothing.

    Returns:
        Pixels by transition, ``no change`` among them.

    Raises:
        InvalidInputError: They are no class maps, or of other classes or another grid.
    """
    import rasterio

    with ExitStack() as opened:
        opened.enter_context(unplaced_allowed())
        first, last = (
            opened.enter_context(rasterio.open(path, driver="GTiff")) for path in (before, after)
        )
        classes = _classes(first)
        if not classes or _classes(last) != classes:
            raise InvalidInputError(
                f"'{before.name}' and '{after.name}' are no maps of the same classes",
                hint="compare two maps of one model",
            )
        check_countable(classes)
        grids = [(one.shape, one.transform, one.crs) for one in (first, last)]
        if grids[0] != grids[1]:
            raise InvalidInputError(
                f"'{before.name}' and '{after.name}' have different grids",
                hint="predict both on one grid, such as by --from with the same --aoi",
            )
        placement = Placement(
            height=first.height, width=first.width, crs=first.crs.to_wkt() if first.crs else None,
            transform=tuple(first.transform)[:6] if not first.transform.is_identity else None,
        )  # fmt: skip
        layout = class_layout(transitions(classes), {"eolab_before": before.name,
                                                     "eolab_after": after.name})  # fmt: skip
        counts = np.zeros(len(layout.classes), np.int64)
        with MapWriter(out, placement, layout) as writer:
            for top, one, other in _rows(first, last):
                known = (one != first.nodata) & (other != last.nodata)
                values = _paired(one, other, len(classes)).astype(layout.dtype)
                counts += np.bincount(values[known].astype(np.int64), minlength=len(counts))
                values[~known] = layout.nodata
                writer.write(top, values[None])
            writer.finish()
    return {name: int(n) for name, n in zip(layout.classes, counts, strict=True)}


def _classes(file: Any) -> tuple[str, ...]:  # noqa: ANN401 — rasterio has no types
    try:
        return tuple(str(one) for one in json.loads(file.tags().get("eolab_classes", "[]")))
    except (ValueError, TypeError):
        return ()


def _rows(first: Any, last: Any) -> Iterator[tuple[int, npt.NDArray[Any], npt.NDArray[Any]]]:  # noqa: ANN401 — as above
    from rasterio.windows import Window

    for top in range(0, first.height, _ROWS):
        window = Window(0, top, first.width, min(_ROWS, first.height - top))
        yield top, first.read(1, window=window), last.read(1, window=window)


def _paired(one: npt.NDArray[Any], other: npt.NDArray[Any], count: int) -> npt.NDArray[np.int64]:
    """Return the place of each pair in :func:`transitions`."""
    a, b = one.astype(np.int64), other.astype(np.int64)
    return np.where(a == b, 0, 1 + a * (count - 1) + b - (b > a))
