"""Whether classes lie together on the globe, and how far one place tells of the next."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.bias.cells import cell_bounds, great_circle_km
from registry.curate.bias.evidence import Evidence
from registry.curate.bias.measure import Measure, corrected
from registry.curate.bias.words import percent, plain
from registry.geo import centres_of

__all__ = ["Moran", "clustering", "coverage", "joins", "moran", "neighbours", "range_km"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NEAREST: Final = 8
"""How many nearest occupied cells are a cell's neighbours: as many as touch one on a full grid."""

_LEAST_CELLS: Final = 12
_MOST_CLASSES: Final = 20
_SHUFFLES: Final = 999
_SHUFFLED_CELLS: Final = 2000  # beyond them the normal approximation is exact enough
_MATTERS: Final = 0.1
_FAR_CELLS: Final = 1500  # whose pairs are all looked at for the correlogram
_FEWEST_PAIRS: Final = 30
_WIDER: Final = 1.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Moran:
    """Moran's I of something over cells."""

    value: float
    """Positive where like lies with like, negative where unlike does, near ``expected`` else."""

    expected: float
    """Without any clustering: -1 / (n - 1)."""

    p: float
    """How probable chance makes one so far off, to either side."""


def clustering(evidence: Evidence, *, cell_km: float) -> list[Measure]:
    """Measure how classes cluster.

    Returns:
        For each of the 20 most frequent classes: ``clustering`` (Moran's I of its share in cells,
        standardised for cells of few samples), ``join-count`` (neighbouring cells that both mostly
        have it), ``range`` (km at which the correlation of shares ends) where it clusters.
    """
    numbers, sizes = evidence.cells()
    if len(numbers) < _LEAST_CELLS:
        return []
    points = _unit_vectors(numbers, cell_km)
    near = neighbours(points)
    moments: list[Measure] = []
    standard: dict[str, Floats] = {}
    for name in list(evidence.classes)[:_MOST_CLASSES]:
        having = np.zeros(len(numbers))
        where, counts = evidence.cells(name)
        having[np.searchsorted(numbers, where)] = counts
        z = standardised(having, sizes)
        if z is None:
            continue
        found = moran(z, near)
        moments += [
            _clustering(name, found, len(numbers), cell_km),
            *_join_count(name, having, sizes, near),
        ]
        standard[name] = z
    moments = corrected(moments)
    for one in [one for one in moments if one.measure == "clustering"]:
        if one.flagged and one.of_class is not None and one.value > one.expected:
            moments += _range(one.of_class, standard[one.of_class], points, cell_km)
    return moments


def coverage(evidence: Evidence, *, cell_km: float) -> Iterator[Measure]:
    """Yield how many cells have samples, and how few hold half of them."""
    numbers, sizes = evidence.cells()
    if not len(numbers):
        return
    ordered = np.sort(sizes)[::-1].cumsum()
    half = int(np.searchsorted(ordered, ordered[-1] / 2)) + 1
    yield Measure(
        measure="coverage",
        dimension="cell",
        value=float(len(numbers)),
        count=int(sizes.sum()),
        share=half / len(numbers),
        reference=f"equal-area cells of {cell_km:g} km",
        unit="cells",
        note=(
            f"samples lie in {len(numbers):,} cells of {cell_km:g} km; half of them in {half:,} "
            f"({percent(half / len(numbers))})"
        ),
    )


def standardised(having: Floats, sizes: Floats) -> Floats | None:
    """Return how far each cell's share is from the overall one, in its standard deviations.

    Args:
        having: How many samples of each cell have the class.
        sizes: How many samples each cell has, 1 or more.

    Returns:
        Shape of the arguments; None where the class is everywhere or nowhere.

    References:
        Assunção and Reis (1999), Statistics in Medicine 18, 2147-2162, with the variance of a
        binomial share.
    """
    share = having.sum() / sizes.sum()
    if not 0 < share < 1:
        return None
    shares = having / sizes
    noise = share * (1 - share)
    between = float((sizes * (shares - share) ** 2).sum() / sizes.sum() - noise / sizes.mean())
    return np.asarray((shares - share) / np.sqrt(max(between, 0.0) + noise / sizes))


def neighbours(points: Floats) -> Ints:
    """Return the nearest others of each point.

    Args:
        points: Unit vectors, shape ``(n, 3)``, n > 1.

    Returns:
        Their places, shape ``(n, min(8, n - 1))``; each point's own left out.
    """
    from scipy.spatial import cKDTree

    many = min(NEAREST + 1, len(points))
    _, near = cKDTree(points).query(points, many)
    return np.asarray(near[:, 1:], np.int64)


def moran(z: Floats, near: Ints, *, seed: int = 0) -> Moran:
    """Return Moran's I with row-standardised nearest neighbours.

    Args:
        z: One value a cell, shape ``(n,)``.
        near: From :func:`neighbours`.
        seed: Of the shuffles.

    Returns:
        I and its p-value: from 999 shuffles of values among up to 2,000 cells, else normal under
        randomisation.

    References:
        Moran (1950), Biometrika 37, 17-23; Cliff and Ord (1981), Spatial Processes, §1.5.
    """
    z = z - z.mean()
    scale = float((z**2).mean())
    expected = -1 / (len(z) - 1)
    if scale <= 0:
        return Moran(value=expected, expected=expected, p=1.0)
    value = float((z * z[near].mean(1)).mean() / scale)
    if len(z) > _SHUFFLED_CELLS:
        return Moran(value=value, expected=expected, p=_normal_p(value, expected, z, near))
    generator = np.random.default_rng(seed)
    beyond = 0
    for _ in range(_SHUFFLES):
        shuffled = generator.permutation(z)
        other = float((shuffled * shuffled[near].mean(1)).mean() / scale)
        beyond += abs(other - expected) >= abs(value - expected) - 1e-12
    return Moran(value=value, expected=expected, p=(beyond + 1) / (_SHUFFLES + 1))


def _normal_p(value: float, expected: float, z: Floats, near: Ints) -> float:
    from statistics import NormalDist

    n, k = near.shape
    s0 = float(n)
    # Sums over the matrix of weights 1/k: pairs that are each other's neighbour count twice.
    forward = np.repeat(np.arange(n), k) * n + near.ravel()
    mutual = np.isin(near.ravel() * n + np.repeat(np.arange(n), k), forward).sum()
    s1 = (n * k + mutual) / k**2
    incoming = np.bincount(near.ravel(), minlength=n) / k
    s2 = float(((1 + incoming) ** 2).sum())
    kurtosis = float((z**4).mean() / (z**2).mean() ** 2)
    first = n * ((n**2 - 3 * n + 3) * s1 - n * s2 + 3 * s0**2)
    second = kurtosis * ((n**2 - n) * s1 - 2 * n * s2 + 6 * s0**2)
    variance = (first - second) / ((n - 1) * (n - 2) * (n - 3) * s0**2) - expected**2
    return float(2 * NormalDist().cdf(-abs(value - expected) / np.sqrt(variance)))


def joins(black: npt.NDArray[np.bool_], near: Ints, *, seed: int = 0) -> tuple[int, float, float]:
    """Count neighbouring cells that both have something.

    Args:
        black: Whether each cell has it.
        near: From :func:`neighbours`; a pair counts once, whichever names the other.
        seed: Of the shuffles.

    Returns:
        Black joins, how many chance makes, and the p-value of so many or so few.

    References:
        Cliff and Ord (1981), Spatial Processes, §1.4.
    """
    one = np.repeat(np.arange(len(near)), near.shape[1])
    pairs = np.unique(np.sort(np.stack([one, near.ravel()], 1), axis=1), axis=0)
    seen = int((black[pairs[:, 0]] & black[pairs[:, 1]]).sum())
    generator = np.random.default_rng(seed)
    many = _SHUFFLES if len(black) <= _SHUFFLED_CELLS else 199
    counts = np.empty(many)
    for turn in range(many):
        other = generator.permutation(black)
        counts[turn] = (other[pairs[:, 0]] & other[pairs[:, 1]]).sum()
    above, below = (counts >= seen).sum() + 1, (counts <= seen).sum() + 1
    return seen, float(counts.mean()), float(min(1.0, 2 * min(above, below) / (many + 1)))


def range_km(z: Floats, points: Floats, *, first_km: float) -> tuple[float | None, float]:
    """Return the distance at which values stop resembling each other.

    Args:
        z: One value a cell.
        points: Unit vectors of the cells.
        first_km: Upper end of the first class of distance; each next is 1.35 times as far.

    Returns:
        Kilometres at which the correlogram crosses zero, interpolated; None where it does not
        within half of the greatest distance. Then that distance.

    References:
        Legendre and Fortin (1989), Vegetatio 80, 107-138 (correlograms).
    """
    if len(z) > _FAR_CELLS:
        kept = np.random.default_rng(0).choice(len(z), _FAR_CELLS, replace=False)
        z, points = z[kept], points[kept]
    z = z - z.mean()
    upper = np.triu_indices(len(z), 1)
    distances = great_circle_km(points, points)[upper]
    products = np.outer(z, z)[upper] / max(float((z**2).mean()), 1e-300)
    farthest = float(distances.max()) / 2
    edges = [0.0, first_km]
    while edges[-1] < farthest:
        edges.append(edges[-1] * _WIDER)
    before: tuple[float, float] | None = None
    for low, high in pairwise(edges):
        inside = (distances > low) & (distances <= high)
        if inside.sum() < _FEWEST_PAIRS:
            continue
        middle, likeness = float(distances[inside].mean()), float(products[inside].mean())
        if likeness <= 0:
            return _crossing(before, (middle, likeness)), farthest
        before = (middle, likeness)
    return None, farthest


def _crossing(before: tuple[float, float] | None, after: tuple[float, float]) -> float:
    if before is None:
        return after[0]
    (near, high), (far, low) = before, after
    return near + (far - near) * high / (high - low)


def _unit_vectors(cells: Ints, cell_km: float) -> Floats:
    lon, lat = (np.radians(one) for one in centres_of(cell_bounds(cells, block_km=cell_km)))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def _clustering(name: str, found: Moran, cells: int, cell_km: float) -> Measure:
    how = "lies together" if found.value > found.expected else "is spread out"
    return Measure(
        measure="clustering",
        dimension="cell",
        of_class=name,
        value=found.value,
        count=cells,
        expected=found.expected,
        p=found.p,
        matters=abs(found.value - found.expected) >= _MATTERS,
        importance=min(1.0, abs(found.value)) / 2,
        reference=f"cells of {cell_km:g} km in any order",
        unit="I",
        note=(
            f"{plain(name)} {how}: Moran's I {found.value:.2f} over {cells:,} cells of "
            f"{cell_km:g} km ({found.expected:.2g} by chance)"
        ),
    )


def _join_count(name: str, having: Floats, sizes: Floats, near: Ints) -> Iterator[Measure]:
    black = having * 2 >= sizes
    if not black.any() or black.all():
        return
    seen, expected, p = joins(black, near)
    ratio = seen / expected if expected else float("nan")
    yield Measure(
        measure="join-count",
        dimension="cell",
        of_class=name,
        value=float(seen),
        count=int(black.sum()),
        expected=expected,
        p=p,
        matters=bool(ratio >= 1.25 or ratio <= 0.8),  # noqa: PLR2004 — the tolerance of ratios
        importance=0.1,
        reference="cells in any order",
        unit="joins",
        note=(
            f"{plain(name)}: {seen:,} pairs of neighbouring cells mostly have it, {expected:,.0f} "
            "by chance"
        ),
    )


def _range(name: str, z: Floats, points: Floats, cell_km: float) -> Iterator[Measure]:
    distance, farthest = range_km(z, points, first_km=1.5 * cell_km)
    told = (
        f"resembles itself up to {_km(distance)}"
        if distance
        else f"resembles itself at all distances up to {_km(farthest)}"
    )
    yield Measure(
        measure="range",
        dimension="cell",
        of_class=name,
        value=float("nan") if distance is None else distance,
        high=farthest if distance is None else float("nan"),
        importance=0.2,
        reference=f"cells of {cell_km:g} km",
        unit="km",
        note=f"{plain(name)} {told}: keep splits farther apart than that",
    )


def _km(distance: float) -> str:
    return f"{distance:,.0f} km" if distance >= 100 else f"{distance:.2g} km"  # noqa: PLR2004 — two digits
