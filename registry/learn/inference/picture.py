"""A quick look: the scene beside its map, with names of the colours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.learn.inference.anonymous import Unnamed
from registry.learn.inference.boxes import Found
from registry.learn.inference.mapping import Placed
from registry.learn.inference.windows import Region
from registry.learn.models.colours import colours

__all__ = ["picture", "picture_of_objects"]

_LONGEST: Final = 640
_SHORTEST: Final = 320
_GAP: Final = 12
_LINE: Final = 20
_LETTERS: Final = ("R", "G", "B")
_RED: Final = ("S2", "N", "G")


def picture(scene: Placed, map_file: Path, classes: tuple[str, ...], out: Path) -> Path:
    """Write a PNG of a scene beside its map.

    Args:
        scene: The scene, open.
        map_file: Its map, as the lab wrote it.
        classes: What its values mean; empty for a quantity, which is shown in grey.
        out: Where the picture will be.

    Returns:
        Its path.
    """
    from PIL import Image, ImageDraw

    step = max(1, -(-max(scene.height, scene.width) // _LONGEST))
    left = _seen(scene, step)
    right = _shown(map_file, classes, left.shape[:2])
    larger = max(1, _SHORTEST // max(left.shape))
    left, right = (one.repeat(larger, 0).repeat(larger, 1) for one in (left, right))
    height, width = left.shape[:2]
    names = classes[:_LINE]
    whole = Image.new("RGB", (2 * width + _GAP, height + _LINE * (1 + len(names))), "white")
    whole.paste(Image.fromarray(left), (0, 0))
    whole.paste(Image.fromarray(right), (width + _GAP, 0))
    draw = ImageDraw.Draw(whole)
    draw.text((2, height + 3), "scene", "black")
    draw.text((width + _GAP, height + 3), "map", "black")
    _name_colours(draw, names, width + _GAP, height + _LINE)
    return _kept(whole, out)


def picture_of_objects(
    scene: Placed, found: Sequence[Found], classes: tuple[str, ...], out: Path
) -> Path:
    """Write a PNG of a scene with a box around each object.

    Args:
        scene: The scene, open.
        found: Objects of it.
        classes: What they may be.
        out: Where the picture will be.

    Returns:
        Its path.
    """
    from PIL import Image, ImageDraw

    step = max(1, -(-max(scene.height, scene.width) // _LONGEST))
    seen = _seen(scene, step)
    larger = max(1, _SHORTEST // max(seen.shape))
    seen = seen.repeat(larger, 0).repeat(larger, 1)
    height, width = seen.shape[:2]
    names = classes[:_LINE]
    whole = Image.new("RGB", (width, height + _LINE * len(names)), "white")
    whole.paste(Image.fromarray(seen), (0, 0))
    draw = ImageDraw.Draw(whole)
    shown = dict(zip(classes, colours(len(classes)), strict=True))
    for one in reversed(found):  # the surest above the others
        left, upper, right, lower = (at * larger / step for at in one.corners)
        inside = (left, upper, min(right, width - 1), min(lower, height - 1))
        draw.rectangle(inside, outline=shown[one.category], width=2)
    _name_colours(draw, names, 0, height)
    return _kept(whole, out)


def _name_colours(draw: Any, names: Sequence[str], left: int, top: int) -> None:  # noqa: ANN401 — Pillow is not loaded here
    for n, (name, colour) in enumerate(zip(names, colours(len(names)), strict=True)):
        at = top + _LINE * n
        draw.rectangle((left, at + 3, left + 14, at + 15), colour, "black")
        draw.text((left + 20, at + 3), name, "black")


def _kept(whole: Any, out: Path) -> Path:  # noqa: ANN401 — as above
    with Unnamed(out.absolute().parent) as file:
        whole.save(file.path, format="PNG")
        file.name(out.absolute())
    return out


def _seen(scene: Placed, step: int) -> npt.NDArray[np.uint8]:
    one = scene.contract.inputs[0]
    letters = [band.common for band in one.bands]
    chosen = next(
        (
            [letters.index(letter) for letter in wanted]
            for wanted in (_LETTERS, _RED)
            if all(letter in letters for letter in wanted)
        ),
        list(range(len(letters)))[:3],
    )
    chosen = (chosen * 3)[:3] if len(chosen) < len(_LETTERS) else chosen
    rows = []
    for top in range(0, scene.height, step):  # row by row: a scene may be larger than memory
        arrays, observed = scene.read(Region(top=top, left=0, height=1, width=scene.width))
        values = arrays[one.asset][..., chosen, 0, ::step].astype(np.float32)
        values = values[-1] if values.ndim == len(_LETTERS) else values
        values[:, ~observed[0, ::step]] = np.nan
        rows.append(values)
    return _stretched(np.stack(rows, 1))


def _stretched(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    picture = np.full((*values.shape[1:], len(values)), 255, np.uint8)
    for n, band in enumerate(values):
        good = np.isfinite(band)
        if good.any():
            low, high = np.percentile(band[good], [2, 98])
            scaled = (band[good] - low) / max(float(high - low), 1e-9)
            picture[good, n] = (np.clip(scaled, 0, 1) * 255).astype(np.uint8)
    return picture


def _shown(path: Path, classes: tuple[str, ...], shape: tuple[int, int]) -> npt.NDArray[np.uint8]:
    import rasterio
    from rasterio.enums import Resampling

    from registry.curate.formats.unplaced import unplaced_allowed

    with unplaced_allowed(), rasterio.open(path, driver="GTiff") as file:
        values: Any = file.read(1, out_shape=shape, resampling=Resampling.nearest)
        nodata = file.nodata
    if not classes:
        return _stretched(np.repeat(values[None].astype(np.float32), 3, 0))
    shown = np.full((*shape, 3), 255, np.uint8)
    for n, colour in enumerate(colours(len(classes))):
        shown[(values == n) & (values != nodata)] = colour
    return shown
