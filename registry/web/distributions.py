"""How the values of features are spread: a small histogram each, as one picture."""

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from PIL import Image, ImageDraw

from registry.web.pictures import png

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["histograms_png"]

_BINS: Final = 24
_PANE: Final = (200, 96)
_COLUMNS: Final = 4
_EDGES: Final = (
    1,
    99,
)  # percentiles between which is drawn: a lone value must not flatten the rest
_PAPER: Final = (247, 248, 250)
_INK: Final = (60, 68, 80)
_MARK: Final = (0, 90, 156)


def histograms_png(version: "Version", name: str, *, most: int = 12) -> bytes | None:
    """Return the first numeric features of a set as histograms.

    Args:
        version: What they were computed on.
        name: The set's table, such as ``features/spectral``.
        most: How many at most.

    Returns:
        A PNG; None where there is no number to draw.
    """
    table = version.table(name)
    numeric = [field.name for field in table.schema if pa.types.is_floating(field.type)]
    columns = {one: _values(table[one]) for one in numeric}
    drawn = [(one, values) for one, values in columns.items() if len(values) > 1][:most]
    if not drawn:
        return None
    width, height = _PANE
    rows = -(-len(drawn) // _COLUMNS)
    whole = Image.new("RGB", (width * min(_COLUMNS, len(drawn)), height * rows), _PAPER)
    for place, (one, values) in enumerate(drawn):
        row, column = divmod(place, _COLUMNS)
        whole.paste(_pane(one, values), (column * width, row * height))
    return png(whole)


def _values(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    values = column.to_numpy().astype(np.float64)
    return np.asarray(values[np.isfinite(values)])


def _pane(name: str, values: npt.NDArray[np.float64]) -> Image.Image:
    width, height = _PANE
    low, high = np.percentile(values, _EDGES)
    counts, _ = np.histogram(values, bins=_BINS, range=(low, high if high > low else low + 1))
    pane = Image.new("RGB", _PANE, _PAPER)
    pen = ImageDraw.Draw(pane)
    floor, top = height - 18, 20
    step = (width - 12) / _BINS
    for place, count in enumerate(counts):
        tall = (floor - top) * count / max(1, counts.max())
        left = 6 + place * step
        pen.rectangle([left, floor - tall, left + step - 1, floor], fill=_MARK)
    pen.text((6, 4), name[:30], fill=_INK)
    pen.text((6, floor + 3), f"{low:.3g}", fill=_INK)
    pen.text((width - 6, floor + 3), f"{high:.3g}", fill=_INK, anchor="ra")
    return pane
