"""Row 14: statistics of pixels under 2,000 outlines of fields, beside rasterstats.

Both have the image in memory and give count, mean, standard deviation, least and greatest of every
band. rasterstats takes the bands one after the other, for that is what it offers, and counts a
pixel whose centre lies inside as whole; ours weighs each by the share of it that is covered. So
the two must agree to the last digit on outlines that follow pixels' edges, which is checked first.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

from bench.ground import scaled
from bench.pairs import Comparison, Contestant, Figure, compare

if TYPE_CHECKING:
    from registry.curate.features.scene import Layer, Shape

_OUTLINES: Final = 2_000
_EDGE: Final = 1_000
_TARGET: Final = 30.0
_STATISTICS: Final = ("count", "mean", "std", "min", "max")


def run() -> tuple[list[Comparison], list[Figure]]:
    rng = np.random.default_rng(14)
    image = rng.integers(1, 9_000, (10, _EDGE, _EDGE), dtype=np.uint16)
    _agree(image, _boxes(rng, 50))
    fields = _fields(rng, scaled(_OUTLINES, least=20))
    compared: list[Comparison] = []
    for bands in (10, 1):
        part = image[:bands]
        layer, shapes = _ours(part, fields)
        compared += compare(
            f"14 · zonal statistics, {len(fields):,} outlines, {bands} bands",
            Contestant(name="ours", work=partial(_zonal, layer, shapes)),
            [
                Contestant(
                    name="rasterstats", work=partial(_rasterstats, part, fields), target=_TARGET
                )
            ],
        )
    return compared, []


def _fields(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return turned rectangles of 0.25 to 16 ha, were a pixel 10 m wide."""
    corners = np.array([[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]])
    size, turn = rng.uniform(5, 40, (count, 1, 2)), rng.uniform(0, np.pi, count)
    spin = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = rng.uniform(30, _EDGE - 30, (count, 1, 2))
    return shapely.polygons(np.einsum("ncd,den->nce", corners * size, spin) + centre)


def _boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    low = rng.integers(0, _EDGE - 50, (count, 2))
    high = low + rng.integers(1, 50, (count, 2))
    return shapely.box(*low.T, *high.T)


def _ours(image: np.ndarray, outlines: np.ndarray) -> "tuple[Layer, list[Shape]]":
    from registry.curate.features.scene import Layer, Shape

    layer = Layer(asset="image", raw=image[None], nodata=0.0)
    shapes = [
        Shape(id=str(number), category=None, geometry=wkb, frame="pixel")
        for number, wkb in enumerate(shapely.to_wkb(outlines))
    ]
    return layer, shapes


def _zonal(layer: "Layer", shapes: "list[Shape]") -> Any:  # noqa: ANN401 — a table
    from registry.curate.features.sets.labels import zonal

    return zonal(layer, shapes)


def _rasterstats(image: np.ndarray, outlines: np.ndarray) -> list[list[dict[str, float]]]:
    from affine import Affine
    from rasterstats import zonal_stats

    upright = shapely.transform(outlines, lambda xy: [0.0, _EDGE] + xy * [1.0, -1.0]).tolist()
    placed = Affine(1, 0, 0, 0, -1, _EDGE)
    return [
        zonal_stats(upright, band, affine=placed, stats=_STATISTICS, nodata=0) for band in image
    ]


def _agree(image: np.ndarray, outlines: np.ndarray) -> None:
    """Compare all statistics on outlines that follow the pixels' edges.

    Raises:
        RuntimeError: They differ.
    """
    found = _zonal(*_ours(image[:2], outlines))
    theirs = _rasterstats(image[:2], outlines)
    for name in _STATISTICS:
        mine = found.column(name).to_numpy().reshape(-1, 2).T
        other = [[one[name] for one in band] for band in theirs]
        if not np.allclose(mine, other, rtol=1e-6):
            raise RuntimeError(f"{name}: ours and rasterstats differ")
