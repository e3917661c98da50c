"""Chips broken on purpose, so that checks can be held against what is known to be wrong."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

import numpy as np

from registry.curate.ingest.simulator.chips import SimulatedAsset, SimulatedChip
from registry.errors import NotFoundError
from registry.geo import Grid

__all__ = ["DEFECTS", "break_some", "check_defects"]

DEFECTS: Final = MappingProxyType({
    "duplicate": "its pixels are those of the chip before it",
    "constant": "every pixel of its image has one value",
    "nan": "its image is float32 and a corner of it is not a number",
    "wrong-crs": "its coordinates are pixels, declared as degrees",
    "missing-pair": "its mask or labels were not written",
    "lfs-pointer": "in place of its image lies a Git-LFS pointer",
})
"""What can be broken, and how; the last two only where files are written."""


def check_defects(defects: Sequence[str]) -> tuple[str, ...]:
    """Return the defects if all are known.

    Raises:
        NotFoundError: One is not.
    """
    for defect in defects:
        if defect not in DEFECTS:
            raise NotFoundError(
                f"there is no defect {defect!r}", hint=f"choose of {', '.join(DEFECTS)}"
            )
    return tuple(defects)


def break_some(
    chips: Iterator[SimulatedChip], *, samples: int, defects: Sequence[str]
) -> Iterator[SimulatedChip]:
    """Pass chips on, breaking one for each defect, spread evenly over the simulation.

    Args:
        chips: What to pass on.
        samples: How many there will be.
        defects: Keys of ``DEFECTS``.

    Yields:
        The chips; a broken one says so in ``defects``.
    """
    wanted = check_defects(defects)
    turns = {
        1 + int((n + 0.5) * (samples - 1) / len(wanted)): name for n, name in enumerate(wanted)
    }
    before: SimulatedChip | None = None
    for number, chip in enumerate(chips):
        broken = _broken(chip, turns[number], before) if number in turns else chip
        yield broken
        before = chip


def _broken(chip: SimulatedChip, defect: str, before: SimulatedChip | None) -> SimulatedChip:
    marked = replace(chip, defects=(*chip.defects, defect))
    name, image = next(iter(chip.assets.items()))
    if defect == "duplicate" and before is not None:
        return replace(marked, assets=before.assets, labels=before.labels, target=before.target)
    if defect == "constant":
        return _with_image(marked, name, replace(image, array=np.full_like(image.array, 1234)))
    if defect == "nan":
        pixels = image.array.astype(np.float32)
        pixels[..., :4, :4] = np.nan
        return _with_image(marked, name, replace(image, array=pixels))
    if defect == "wrong-crs":
        size = chip.grid.height
        pixel = Grid(crs="EPSG:4326", transform=(1, 0, 0, 0, -1, size), height=size, width=size)
        return replace(marked, grid=pixel, annotations=())
    return marked


def _with_image(chip: SimulatedChip, name: str, image: SimulatedAsset) -> SimulatedChip:
    return replace(chip, assets=MappingProxyType({**chip.assets, name: image}))
