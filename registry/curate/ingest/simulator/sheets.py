"""Pictures of chips for people: true colour, and sheets of many with their truth laid over."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import shapely

from registry.curate.ingest.simulator.chips import SimulatedChip
from registry.curate.ingest.simulator.simulation import simulate
from registry.curate.ingest.simulator.tasks import TASKS, UNKNOWN, Task, task_named
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

__all__ = ["contact_sheet", "true_colour"]

_BRIGHT: Final = 0.29  # reflectance that is shown white
_GAMMA: Final = 1.45
_CAPTION: Final = 15
_GAP: Final = 4
_PAPER: Final = (250, 250, 248)
_COLOURS: Final = np.array([
    (60, 110, 200), (30, 110, 50), (225, 190, 70), (150, 200, 90), (210, 60, 60), (170, 130, 90),
    (240, 240, 250), (60, 170, 200), (160, 80, 180), (240, 130, 40), (120, 120, 60), (90, 60, 40),
], np.float32)  # fmt: skip
_ALARM: Final = np.repeat(np.array([[230, 40, 40]], np.float32), len(_COLOURS), axis=0)
_HEAT: Final = np.array([(250, 245, 200), (150, 200, 110), (40, 130, 70), (0, 50, 30)], np.float32)


def true_colour(counts: npt.NDArray[Any], bands: Sequence[str]) -> npt.NDArray[np.uint8]:
    """Return a chip as the eye would see it.

    Args:
        counts: Reflectance times 10000, shape ``(band, y, x)``.
        bands: Names of its bands, ``RED``, ``GREEN`` and ``BLUE`` among them.

    Returns:
        Red, green and blue, stretched alike on all chips; shape ``(y, x, 3)``.

    Raises:
        InvalidInputError: A colour is missing.
    """
    names = list(bands)
    missing = [name for name in ("RED", "GREEN", "BLUE") if name not in names]
    if missing:
        raise InvalidInputError(
            f"no band is called {missing[0]}, only {', '.join(names)}",
            hint="name the bands, or choose three to show",
        )
    picked = counts[[names.index(name) for name in ("RED", "GREEN", "BLUE")]]
    bright = np.clip(np.nan_to_num(picked.astype(np.float32)) / (_BRIGHT * 10_000), 0, 1)
    return np.asarray(255 * bright ** (1 / _GAMMA), np.uint8).transpose(1, 2, 0)


def contact_sheet(
    path: Path,
    *,
    seed: int = 0,
    tasks: Sequence[str] = (),
    columns: int = 8,
    size: int = 128,
) -> Path:
    """Draw chips of several tasks, each with its truth below, as one PNG.

    Args:
        path: Where to write it.
        seed: What chance starts from.
        tasks: Keys of ``TASKS``; empty for all.
        columns: Chips a task.
        size: Pixels along the edge of a chip.

    Returns:
        The path.

    Raises:
        NotFoundError: There is no such task.
    """
    from PIL import Image, ImageDraw

    chosen = [task_named(name) for name in (tasks or tuple(TASKS))]
    shown = 192
    high = 2 * shown + _CAPTION + _GAP
    sheet = Image.new(
        "RGB", (columns * (shown + _GAP) + _GAP, len(chosen) * (high + _CAPTION) + _GAP), _PAPER
    )
    pen = ImageDraw.Draw(sheet)
    for row, task in enumerate(chosen):
        top = row * (high + _CAPTION) + _GAP
        pen.text((_GAP, top), _heading(task), fill=(20, 20, 20))
        for column, chip in enumerate(_spread(task, seed, columns, size)):
            left = column * (shown + _GAP) + _GAP
            _paste(sheet, pen, chip, task, left=left, top=top + _CAPTION, shown=shown)
    sheet.save(path, format="PNG")
    return path


def _heading(task: Task) -> str:
    return f"{task.name}  ({task.kind})  {', '.join(task.classes)}"


def _spread(task: Task, seed: int, columns: int, size: int) -> list[SimulatedChip]:
    """Return chips of as many places as there is room for, those with more truth first."""
    many = max(3 * len(task.places), 4 * columns)
    chips = sorted(
        simulate(task.name, samples=many, seed=seed, size=size), key=_worth, reverse=True
    )
    picked: list[SimulatedChip] = []
    while len(picked) < min(columns, len(chips)):
        seen: set[str] = set()
        for chip in chips:
            place = chip.group.rpartition("-")[0]
            if place not in seen and not any(chip is other for other in picked):
                seen.add(place)
                picked.append(chip)
    return picked[:columns]


def _worth(chip: SimulatedChip) -> float:
    clear = 100 - chip.properties["eo:cloud_cover"]
    mask = chip.assets.get("mask")
    classes = 0 if mask is None else len(np.unique(mask.array))
    return (clear / 100) ** 2 * (1 + classes + len(chip.annotations))


def _paste(
    sheet: "Image.Image", pen: "ImageDraw.ImageDraw", chip: SimulatedChip, task: Task, *,
    left: int, top: int, shown: int,
) -> None:  # fmt: skip
    from PIL import Image

    asset = next(iter(chip.assets.values()))
    counts = asset.array[asset.array.shape[0] // 2] if asset.times else asset.array
    picture = true_colour(counts, asset.bands)
    for step, image in enumerate((picture, _with_truth(picture, chip, task))):
        tile = Image.fromarray(image).resize((shown, shown), Image.Resampling.NEAREST)
        sheet.paste(tile, (left, top + step * (shown + 2)))
    _outline(pen, chip, left=left, top=top + shown + 2, scale=shown / chip.grid.width)
    words = [chip.group, f"{chip.moment:%Y-%m-%d}", *chip.labels]
    if chip.target is not None:
        words.append(f"{chip.target:.0f} Mg/ha")
    pen.text((left, top + 2 * shown + 3), " ".join(words)[:34], fill=(60, 60, 60))


def _with_truth(
    picture: npt.NDArray[np.uint8], chip: SimulatedChip, task: Task
) -> npt.NDArray[np.uint8]:
    truth = chip.assets.get(task.truth_asset)
    if truth is None:
        return picture
    plane = truth.array[0]
    if plane.dtype == np.uint8:
        colour = (_ALARM if task.yes_or_no else _COLOURS)[plane % len(_COLOURS)]
        hidden = plane == UNKNOWN
        plain = (plane == 0) & (task.yes_or_no or task.steps > 1)
    else:
        level = np.clip(plane / 300, 0, 1) * (len(_HEAT) - 1)
        low = np.minimum(level.astype(int), len(_HEAT) - 2)
        part = (level - low)[..., None]
        colour = _HEAT[low] * (1 - part) + _HEAT[low + 1] * part
        hidden, plain = plane < 0, np.zeros(plane.shape, np.bool_)
    mixed = 0.35 * picture + 0.65 * np.where(hidden[..., None], 128, colour)
    return np.where(plain[..., None], picture, mixed).astype(np.uint8)


def _outline(
    pen: "ImageDraw.ImageDraw", chip: SimulatedChip, *, left: int, top: int, scale: float
) -> None:
    a, _, c, _, e, f = chip.grid.transform
    for thing in chip.annotations:
        points = shapely.get_coordinates(thing.geometry)
        corners = [(left + (x - c) / a * scale, top + (y - f) / e * scale) for x, y in points]
        pen.line(corners, fill=(255, 230, 0), width=2)
