"""Building blocks of landscapes: fractal surfaces, parcels, rivers and soft edges."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

__all__ = ["blend", "blur", "fractal", "moved", "parcels", "ranks", "rotated", "smoothstep"]

_NARROWEST = 6  # pixels; a field narrower than this is not seen as one

Field = npt.NDArray[np.float32]


def fractal(
    size: int, rng: np.random.Generator, *, roughness: float, coarsest: float = 1.0
) -> Field:
    """Return a rough surface, as terrain, soil and clouds have it.

    Args:
        size: Pixels along each edge.
        rng: Where its chance comes from.
        roughness: Exponent of the amplitude spectrum: 1 is rough, 2.2 is smooth as hills are.
        coarsest: Largest features, as a share of the edge.

    Returns:
        Mean 0 and standard deviation 1; shape ``(y, x)``; both edges match their opposites.

    References:
        Saupe (1988), in The Science of Fractal Images, §2.4 (spectral synthesis).
    """
    amplitude = _amplitude(size, round(roughness, 3), round(coarsest, 3))
    noise = np.fft.rfft2(rng.standard_normal((size, size), np.float32))
    surface: Field = np.fft.irfft2(noise * amplitude, s=(size, size)).astype(np.float32)
    surface -= surface.mean()
    spread = float(surface.std())
    return surface / np.float32(spread) if spread else surface


@lru_cache(maxsize=32)
def _amplitude(size: int, roughness: float, coarsest: float) -> Field:
    up, across = np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :]
    cycles = np.hypot(up, across) * size
    knee = 1 / coarsest
    amplitude = np.maximum(cycles, knee) ** -roughness * np.minimum(cycles / knee, 1)
    return np.asarray(amplitude, np.float32)


def moved(surface: Field, rng: np.random.Generator) -> Field:
    """Return a periodic surface rolled somewhere else: another one, at a tenth of the cost."""
    down, right = rng.integers(surface.shape[0] // 4, 3 * surface.shape[0] // 4, 2)
    return np.roll(surface, (int(down), int(right)), axis=(0, 1))


def ranks(surface: Field) -> Field:
    """Return how much of a surface lies below each of its points, in [0, 1], to 1/4096."""
    low, high = float(surface.min()), float(surface.max())
    level = ((surface - low) * (4095 / max(high - low, 1e-6))).astype(np.intp)
    below = np.cumsum(np.bincount(level.ravel(), minlength=4096)) / surface.size
    return below.astype(np.float32)[level]


def rotated(size: int, degrees: float) -> tuple[Field, Field]:
    """Return the coordinates of each pixel in axes turned about the middle, in pixels."""
    along = np.arange(size, dtype=np.float32) - size / 2
    cos, sin = np.float32(np.cos(np.radians(degrees))), np.float32(np.sin(np.radians(degrees)))
    u = along[None, :] * cos + along[:, None] * sin
    v = along[:, None] * cos - along[None, :] * sin
    return u, v


def parcels(
    size: int, rng: np.random.Generator, *, edge: float, degrees: float
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """Return fields as farmers cut land: halved and halved again, along and across one direction.

    Args:
        size: Pixels along each edge.
        rng: Where its chance comes from.
        edge: Mean edge of a field, in pixels.
        degrees: Direction of the fields.

    Returns:
        The number of each pixel's field, counted from 0, and whether the pixel is a track or hedge
        between fields.
    """
    wide = int(size * 1.5) + 8
    boxes = _cut_land(wide, rng, edge)
    canvas = np.empty((wide, wide), np.int32)
    for number, (top, left, bottom, right) in enumerate(boxes):
        canvas[top:bottom, left:right] = number
    borders = np.zeros(canvas.shape, np.bool_)
    borders[1:] = canvas[1:] != canvas[:-1]
    borders[:, 1:] |= canvas[:, 1:] != canvas[:, :-1]
    u, v = rotated(size, degrees)
    at = (v + np.float32(wide / 2)).astype(np.intp) * wide
    at += (u + np.float32(wide / 2)).astype(np.intp)
    return canvas.ravel()[at], borders.ravel()[at]


def _cut_land(wide: int, rng: np.random.Generator, edge: float) -> list[tuple[int, int, int, int]]:
    """Return boxes (top, left, bottom, right) that fill a square, halved until small enough."""
    chance = rng.random(4096).tolist()  # drawn one by one, numbers would cost more than the cuts
    boxes: list[tuple[int, int, int, int]] = []
    waiting = [(0, 0, wide, wide)]
    turn = 0
    while waiting:
        top, left, bottom, right = waiting.pop()
        height, width = bottom - top, right - left
        turn += 3
        enough = edge * (0.9 + chance[turn & 4095])
        if (height <= enough and width <= enough) or max(height, width) < _NARROWEST:
            boxes.append((top, left, bottom, right))
            continue
        share = 0.36 + 0.28 * chance[(turn + 1) & 4095]
        if height * (0.75 + 0.58 * chance[(turn + 2) & 4095]) > width:
            middle = top + int(height * share)
            waiting += [(top, left, middle, right), (middle, left, bottom, right)]
        else:
            middle = left + int(width * share)
            waiting += [(top, left, bottom, middle), (top, middle, bottom, right)]
    return boxes


def smoothstep(values: Field, *, low: float, high: float) -> Field:
    """Return 0 below ``low``, 1 above ``high``, and a smooth way up between."""
    t = np.clip((values - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def blur(image: Field, *, side: float) -> None:
    """Spread light to neighbouring pixels, in place, as a point spread function does.

    Args:
        image: Shape ``(…, y, x)``.
        side: Share that goes to each neighbour along an axis, in [0, 0.25].
    """
    keep = np.float32(1 - 2 * side)
    for plane in image.reshape(-1, *image.shape[-2:]):
        for inner, before, after in (
            (plane[1:-1], plane[:-2], plane[2:]),
            (plane[:, 1:-1], plane[:, :-2], plane[:, 2:]),
        ):
            gained = before + after
            gained *= np.float32(side)
            np.multiply(inner, keep, out=inner)
            np.add(inner, gained, out=inner)


def blend(image: Field, share: Field, colour: Field) -> None:
    """Cover an image with a colour, in place, where and as much as a share says.

    Args:
        image: Reflectance, shape ``(band, y, x)``.
        share: How much of each pixel is covered, in [0, 1]; shape ``(y, x)``.
        colour: Reflectance of the cover, shape ``(band,)``.
    """
    places = np.flatnonzero(share)
    if not places.size:
        return
    if places.size * 3 > share.size:
        for plane, value in zip(image, colour, strict=True):
            np.add(plane, share * (value - plane), out=plane)
        return
    amount = share.ravel()[places]
    for plane, value in zip(image, colour, strict=True):
        flat = plane.reshape(-1)
        under = flat[places]
        flat[places] = under + amount * (value - under)
