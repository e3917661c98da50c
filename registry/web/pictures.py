"""Arrays as pictures: stretched for the eye, masks in colour, many chips on one sheet."""

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from registry.web.colours import class_colour

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = [
    "Ends",
    "chips_png",
    "data_uri",
    "ends_of",
    "has_true_colour",
    "map_png",
    "mask_picture",
    "png",
    "sized",
    "true_colour",
]

_LOW, _HIGH = 2, 98  # percentiles that become black and white
_SMALLEST, _LARGEST = 192, 320  # pixels a picture is wide
_LEAST = 0.25  # of the brightest, the least that is stretched from black to white
_ALPHA: Final = 115
_TRUE_COLOUR: Final = (
    ("red", "green", "blue"),
    ("b04", "b03", "b02"),
    ("r", "g", "b"),
    ("tci_r", "tci_g", "tci_b"),
    ("b4", "b3", "b2"),
)
_SENTINEL_2: Final = (12, 13)  # bands of its products, B01 first, where nobody names them


Ends = tuple[tuple[float, float], ...]
"""Values of each colour that are drawn black and white."""


def true_colour(
    array: npt.NDArray[np.generic],
    *,
    bands: Sequence[str],
    nodata: float | None,
    ends: Ends | None = None,
) -> Image.Image:
    """Return a picture of an array as the eye would see the land, as nearly as its bands allow.

    Args:
        array: Stored values, shape ``(band, y, x)`` or ``(time, band, y, x)``; of a series the
            middle step is shown.
        bands: Names of the bands, in order; empty if unknown.
        nodata: Value that is left transparent, as NaN and infinity are; None if there is none.
        ends: What is drawn black and white, as :func:`ends_of` found it in another array that
            this one is held against; found in this one if None.

    Returns:
        An RGBA picture, 192 to 320 pixels along its longer edge where that can be had by whole
        factors.
    """
    chosen, known = _shown(array, bands, nodata)
    alpha = np.where(known, 255, 0).astype(np.uint8)
    if _photograph(array):
        colours = list(chosen.astype(np.uint8))
    else:
        limits = ends or _ends(chosen, known, alike=_named(_bands(array), bands) is not None)
        colours = [_stretched(band, *pair) for band, pair in zip(chosen, limits, strict=True)]
    return sized(Image.fromarray(np.dstack([*colours, alpha]), "RGBA"))


def ends_of(
    array: npt.NDArray[np.generic], *, bands: Sequence[str], nodata: float | None
) -> Ends | None:
    """Return which values of an array are drawn black and white; None of a photograph.

    Args:
        array: As for :func:`true_colour`; stored values, unitless, shape ``(band, y, x)``.
        bands: Names of the bands, in order; empty if unknown.
        nodata: Value that means nothing; None if there is none.
    """
    if _photograph(array):
        return None
    chosen, known = _shown(array, bands, nodata)
    return _ends(chosen, known, alike=_named(_bands(array), bands) is not None)


def _shown(
    array: npt.NDArray[np.generic], bands: Sequence[str], nodata: float | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Return the three bands that are seen, and where they hold something."""
    image = array[len(array) // 2] if array.ndim == 4 else array  # noqa: PLR2004 — a time series
    chosen = np.stack([image[at] for at in _visible(image.shape[0], bands)]).astype(np.float64)
    known = np.asarray(np.isfinite(chosen).all(axis=0))
    if nodata is not None:
        known &= (chosen != nodata).any(axis=0)
    return chosen, known


def _bands(array: npt.NDArray[np.generic]) -> int:
    return int(array.shape[-3])


def _photograph(array: npt.NDArray[np.generic]) -> bool:
    return array.dtype == np.uint8 and _bands(array) >= 3  # noqa: PLR2004 — colours


def has_true_colour(bands: Sequence[str]) -> bool:
    """Return whether bands of these names can be shown as the eye would see the land."""
    return _named(len(bands), bands) is not None


def _named(count: int, bands: Sequence[str]) -> tuple[int, int, int] | None:
    names = [name.strip().lower() for name in bands]
    for wanted in _TRUE_COLOUR:
        if set(wanted) <= set(names) and len(names) == count:
            red, green, blue = (names.index(name) for name in wanted)
            return red, green, blue
    return None


def _visible(count: int, bands: Sequence[str]) -> tuple[int, int, int]:
    named = _named(count, bands)
    if named is not None:
        return named
    if count in _SENTINEL_2 and not any(bands):
        return 3, 2, 1
    if count >= 3:  # noqa: PLR2004 — red, green, blue
        return 0, 1, 2
    return 0, min(1, count - 1), 0


def _ends(bands: npt.NDArray[np.float64], known: npt.NDArray[np.bool_], *, alike: bool) -> Ends:
    """Return percentiles of bands, but wide enough that noise over even ground is not blown up."""
    ends = [
        np.percentile(band[known], (_LOW, _HIGH)) if known.any() else np.array([0.0, 1.0])
        for band in bands
    ]
    if alike:  # one stretch for all three, so that grey stays grey
        ends = [np.array([min(e[0] for e in ends), max(e[1] for e in ends)])] * len(ends)
    least = _LEAST * max(float(np.abs(end).max()) for end in ends)
    found = []
    for low, high in ends:
        span = max(high - low, least) or 1.0
        start = (low + high - span) / 2 if high - low < least else low
        found.append((float(start), float(start + span)))
    return tuple(found)


def _stretched(band: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.uint8]:
    scaled = np.clip(np.nan_to_num((band - low) / (high - low)), 0, 1)
    return np.asarray(255 * scaled**0.9).astype(np.uint8)


def mask_picture(
    mask: npt.NDArray[np.generic],
    *,
    values: Mapping[int, str],
    classes: Sequence[str] = (),
    nodata: float | None = None,
) -> tuple[Image.Image, dict[int, int]]:
    """Return a mask as a transparent layer of colours, and which colour each value has.

    Args:
        mask: Class values, shape ``(band, y, x)`` or ``(y, x)``; the first band is shown.
        values: Which class each value is, if the card says so.
        classes: The dataset's classes, whose order gives the colours.
        nodata: Value that is no class; None if there is none.

    Returns:
        An RGBA picture of the size that :func:`true_colour` gives; value to the number of its
        colour. Zero stays transparent unless it is a class that is no background.
    """
    plane = mask.reshape(-1, *mask.shape[-2:])[0]
    whole = np.nan_to_num(plane.astype(np.float64)).astype(np.int64)
    found = [int(value) for value in np.unique(whole)[:64]]
    listed = [value for value in sorted({*values, *found}) if not _background(value, values)]
    listed = [value for value in listed if value != nodata]
    behind = {name for value, name in values.items() if _background(value, values)}
    order = {name: at for at, name in enumerate(name for name in classes if name not in behind)}
    numbers = {
        value: order.get(values.get(value, ""), at)
        for at, value in enumerate(listed)
        if value in found
    }
    layer = np.zeros((*whole.shape, 4), np.uint8)
    for value, number in numbers.items():
        layer[whole == value] = (*class_colour(number), _ALPHA)
    return sized(Image.fromarray(layer, "RGBA")), numbers


def _background(value: int, values: Mapping[int, str]) -> bool:
    name = values.get(value)
    if name is None:
        return value <= 0
    # Where there are two classes, 0 is the one that the other stands out from: not burnt, dry.
    if value == 0 and set(values) == {0, 1}:
        return True
    return name.strip().lower() in {"background", "none", "nodata", "no data", "unlabelled"}


def sized(image: Image.Image) -> Image.Image:
    """Return a picture 192 to 320 pixels along its longer edge, where whole factors reach that."""
    longer = max(image.size)
    if longer < _SMALLEST:
        factor = -(-_SMALLEST // longer)
        size = (image.width * factor, image.height * factor)
        return image.resize(size, Image.Resampling.NEAREST)
    if longer > _LARGEST:
        factor = -(-longer // _LARGEST)
        size = (max(1, image.width // factor), max(1, image.height // factor))
        return image.resize(size, Image.Resampling.NEAREST)
    return image


def png(image: Image.Image) -> bytes:
    """Return a picture as the bytes of a PNG file."""
    buffer = BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def data_uri(picture: bytes) -> str:
    """Return the bytes of a PNG file as an address that holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def chips_png(version: "Version", *, columns: int = 4, rows: int = 2) -> bytes:
    """Return a sheet of a version's chips, with their labels drawn on them, as PNG.

    Args:
        version: What is shown.
        columns: Chips side by side, at least 1.
        rows: Chips one below the other, at least 1.
    """
    from registry.web.chips import chosen_chips

    edge, gap = 160, 6
    chips = chosen_chips(version, columns * rows)
    used = max(1, -(-len(chips) // columns))
    size = (columns * (edge + gap) + gap, used * (edge + gap) + gap)
    sheet = Image.new("RGBA", size, (255, 255, 255, 255))
    for number, chip in enumerate(chips):
        drawn = chip.drawn().resize((edge, edge), Image.Resampling.NEAREST)
        place = (
            gap + (number % columns) * (edge + gap),
            gap + (number // columns) * (edge + gap),
        )
        sheet.paste(drawn, place, drawn)
    return png(sheet.convert("RGB"))


def map_png(version: "Version", *, width: int = 640) -> bytes:
    """Return where a version's samples lie, on a graticule, as PNG.

    Args:
        version: What is shown.
        width: Pixels.
    """
    from registry.web.maps import map_of

    return png(map_of(version).picture(width))
