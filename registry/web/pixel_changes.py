"""Where pixels of a chip differ between two versions, as a picture."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from registry.errors import RegistryError
from registry.web.pictures import sized

if TYPE_CHECKING:
    from registry.catalog.version import Version

__all__ = ["PixelChange", "difference_picture", "pixel_change"]

_HEAT: Final = np.array([
    (0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21),
    (250, 193, 39), (252, 255, 164),
])  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelChange:
    """How the pixels of one asset of one sample changed."""

    asset: str
    """Which asset."""

    picture: Image.Image | None
    """The brighter, the more a pixel changed; None if the two cannot be laid over each other."""

    said: str
    """How many pixels changed, or why there is no picture."""


def difference_picture(
    before: npt.NDArray[np.generic], after: npt.NDArray[np.generic]
) -> tuple[Image.Image, int]:
    """Return a picture of where two arrays differ, and in how many pixels they do.

    Args:
        before: Stored values, unitless, shape ``(band, y, x)`` or ``(time, band, y, x)``.
        after: As ``before``, of the same shape.

    Returns:
        The largest difference of any band and time step, dark where there is none; pixels that
        are NaN on both sides are equal.
    """
    was, now = (np.asarray(side).reshape(-1, *side.shape[-2:]) for side in (before, after))
    apart = was != now
    if was.dtype.kind in "fc":
        apart &= ~(np.isnan(was) & np.isnan(now))
    changed = apart.any(axis=0)
    kind = np.complex128 if was.dtype.kind == "c" else np.float64
    with np.errstate(invalid="ignore", over="ignore"):
        much = np.abs(now.astype(kind) - was.astype(kind))
    much = np.where(apart, np.nan_to_num(much, nan=np.inf, posinf=np.inf), 0).max(axis=0)
    limit = much[np.isfinite(much)].max(initial=0.0)
    share = np.minimum(much / limit, 1.0) if limit > 0 else changed.astype(float)
    share = np.where(changed, 0.35 + 0.65 * np.nan_to_num(share, posinf=1.0), 0.0)
    steps = share * (len(_HEAT) - 1)
    low = np.floor(steps).astype(int)
    high = np.minimum(low + 1, len(_HEAT) - 1)
    rest = (steps - low)[..., None]
    colours = (_HEAT[low] * (1 - rest) + _HEAT[high] * rest).astype(np.uint8)
    return sized(Image.fromarray(colours, "RGB")), int(changed.sum())


def pixel_change(
    before: "Version", after: "Version", was: dict[str, Any], now: dict[str, Any]
) -> PixelChange:
    """Return how the pixels of an asset changed.

    Args:
        before: The earlier version.
        after: The later version.
        was: The asset's row there.
        now: The asset's row here.
    """
    asset = str(now["asset"])
    try:
        arrays = before.chip(was["sample"], asset), after.chip(now["sample"], asset)
    except RegistryError as error:
        return PixelChange(asset=asset, picture=None, said=error.problem)
    if arrays[0].shape != arrays[1].shape:
        shapes = " → ".join(" × ".join(map(str, one.shape)) for one in arrays)  # noqa: RUF001 — times
        return PixelChange(asset=asset, picture=None, said=f"another shape: {shapes}")
    picture, count = difference_picture(*arrays)
    total = arrays[0].shape[-1] * arrays[0].shape[-2]
    said = f"{count:,} of {total:,} pixels differ ({100 * count / total:.2g} %)"
    return PixelChange(asset=asset, picture=picture, said=said)
