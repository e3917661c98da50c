"""Texture: how grey levels stand beside each other, local binary patterns, edges.

Pixels that were not observed never enter a pair, a pattern or a gradient. Of a time series each
value is the mean over the time steps in which it could be had.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.curate.features.definition import Feature, FeatureSet, Needs
from registry.curate.features.scene import Floats, MissingInputError, Scene
from registry.curate.features.sets.grey import grey
from registry.errors import InvalidInputError

__all__ = [
    "TEXTURE",
    "binary_patterns",
    "cooccurrence",
    "edges",
    "haralick",
    "parameterised",
    "quantised",
]

_ANGLES: Final = (0.0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)
_NEIGHBOURS: Final = 8
_PATTERNS: Final = _NEIGHBOURS + 2
_MOST_LEVELS: Final = 254
_FAINT: Final = 0.1
_HARALICK: Final = "Haralick, Shanmugam, Dinstein (1973), doi:10.1109/TSMC.1973.4309314"
_OJALA: Final = "Ojala, Pietikäinen, Mäenpää (2002), doi:10.1109/TPAMI.2002.1017623"
_SOBEL: Final = "Sobel in Duda, Hart (1973), Pattern Classification and Scene Analysis, 271-272"
_MEASURES: Final = {
    "contrast": ("squared difference of two neighbours' levels", "sum p(i,j) (i-j)^2"),
    "dissimilarity": ("difference of two neighbours' levels", "sum p(i,j) |i-j|"),
    "homogeneity": ("how alike neighbours are, 1 if equal", "sum p(i,j) / (1 + (i-j)^2)"),
    "energy": ("how few pairs of levels there are", "sqrt(sum p(i,j)^2)"),
    "correlation": ("how neighbours vary together; 1 if flat", "cov(i,j) / (sd(i) sd(j))"),
    "entropy": ("how many pairs of levels there are, in nats", "-sum p(i,j) ln p(i,j)"),
}


def quantised(
    band: Floats, levels: int, limits: tuple[float, float] | None = None
) -> npt.NDArray[np.uint8]:
    """Return grey levels 1 to ``levels``, and 0 where nothing was observed.

    Args:
        band: Physical values in any unit (digital number, reflectance, dB), shape
            ``(time, y, x)``; NaN where nothing was observed.
        levels: How many, 2 to 254.
        limits: Values of the darkest and the brightest level's outer edges, in the band's unit;
            the band's own 2nd and 98th percentile over all time steps if None, so that a few
            odd pixels do not squeeze the rest into one level.

    Returns:
        Shape as ``band``. A flat band has level 1 throughout.

    Examples:
        >>> quantised(np.array([[[0, 1, np.nan]]], np.float32), 4, (0, 1)).tolist()
        [[[1, 4, 0]]]
    """
    seen = np.isfinite(band)
    out = np.zeros(band.shape, np.uint8)
    if not seen.any():
        return out
    low, high = limits or np.percentile(band[seen].astype(np.float64), [2, 98])
    if high <= low:
        out[seen] = 1
        return out
    share = (band[seen].astype(np.float64) - low) / (high - low)
    out[seen] = 1 + np.clip(share * levels, 0, levels - 1).astype(np.uint8)
    return out


def cooccurrence(
    grey_levels: npt.NDArray[np.uint8], distance: int, levels: int
) -> npt.NDArray[np.float64]:
    """Return how often two levels stand at a distance from each other, for four directions.

    Args:
        grey_levels: Levels from 1, unitless, 0 where nothing was observed; shape ``(y, x)``.
        distance: In pixels.
        levels: How many there are.

    Returns:
        Shares that are symmetric and sum to 1, shape ``(levels, levels, 4)`` for 0°, 45°, 90°
        and 135°; all 0 in a direction without a pair of observed pixels.

    References:
        Haralick, Shanmugam, Dinstein (1973), IEEE Trans. SMC 3(6), 610-621.
    """
    from skimage.feature import graycomatrix

    counted = graycomatrix(  # type: ignore[no-untyped-call]  # published without types
        grey_levels, [distance], _ANGLES, levels=levels + 1
    )[1:, 1:, 0, :]
    both = counted.astype(np.float64) + counted.transpose(1, 0, 2)
    total = both.sum(axis=(0, 1))
    return np.asarray(np.divide(both, total, out=np.zeros_like(both), where=total > 0))


def haralick(shares: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """Return the measures of matrices of co-occurrence.

    Args:
        shares: Unitless, shape ``(level, level, direction)``; each direction sums to 1, or to 0
            where there was no pair.

    Returns:
        Six measures by name, each of shape ``(direction,)``; NaN where there was no pair. Of a
        flat image the correlation is 1, as it is in scikit-image.

    References:
        Haralick, Shanmugam, Dinstein (1973), IEEE Trans. SMC 3(6), 610-621; names and
        normalisation as in scikit-image's ``graycoprops``.

    Examples:
        >>> checks = np.array([[0.0, 0.5], [0.5, 0.0]])[:, :, None]
        >>> {name: round(value.item(), 3) for name, value in haralick(checks).items()}
        {'contrast': 1.0, 'dissimilarity': 1.0, 'homogeneity': 0.5, 'energy': 0.707,
         'correlation': -1.0, 'entropy': 0.693}
    """
    level = np.arange(shares.shape[0], dtype=np.float64)
    apart = np.abs(level[:, None] - level[None, :])[:, :, None]
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    rows = shares.sum(axis=1)  # symmetric, so columns have the same mean and variance
    mean = (level[:, None] * rows).sum(axis=0)
    off = level[:, None] - mean
    variance = (off**2 * rows).sum(axis=0)
    together = (off[:, None, :] * off[None, :, :] * shares).sum(axis=(0, 1))
    flat = variance < 1e-15  # noqa: PLR2004 — what is left of zero
    found = {
        "contrast": (shares * apart**2).sum(axis=(0, 1)),
        "dissimilarity": (shares * apart).sum(axis=(0, 1)),
        "homogeneity": (shares / (1 + apart**2)).sum(axis=(0, 1)),
        "energy": np.sqrt((shares**2).sum(axis=(0, 1))),
        "correlation": np.where(flat, 1.0, together / np.where(flat, 1.0, variance)),
        "entropy": -(shares * logs).sum(axis=(0, 1)),
    }
    empty = shares.sum(axis=(0, 1)) == 0
    return {name: np.where(empty, np.nan, value) for name, value in found.items()}


def binary_patterns(band: Floats) -> npt.NDArray[np.float64] | None:
    """Return how often each uniform local binary pattern of 8 neighbours at 1 pixel occurs.

    Args:
        band: Physical values in any unit (digital number, reflectance, dB), shape ``(y, x)``;
            NaN where nothing was observed.

    Returns:
        Shares of patterns with 0 to 8 neighbours at least as bright as the centre in one run,
        and of all others, shape ``(10,)``; sum 1. None without a pixel whose 8 neighbours were
        observed.

    References:
        Ojala, Pietikäinen, Mäenpää (2002), IEEE Trans. PAMI 24(7), 971-987, section 2.
    """
    whole = _whole(np.isfinite(band))
    if not whole.any():
        return None
    from skimage.feature import local_binary_pattern

    seen = band[np.isfinite(band)].astype(np.float64)
    low, high = seen.min(), seen.max()
    # Patterns do not change under scaling; equal neighbours stay equal as whole numbers.
    filled = np.where(np.isfinite(band), band, low).astype(np.float64)
    steps = np.rint((filled - low) / (high - low or 1.0) * 65_535).astype(np.int32)
    codes = local_binary_pattern(  # type: ignore[no-untyped-call]  # published without types
        steps, _NEIGHBOURS, 1, method="uniform"
    )
    counts = np.bincount(codes[1:-1, 1:-1][whole].astype(np.int64), minlength=_PATTERNS)
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def edges(band: Floats) -> dict[str, float] | None:
    """Return statistics of a band's gradient by Sobel's operator.

    Args:
        band: Physical values in any unit (digital number, reflectance, dB), shape ``(y, x)``;
            NaN where nothing was observed.

    Returns:
        ``gradient_mean``, ``gradient_std``, ``gradient_p95`` in the band's unit per pixel;
        ``edge_density``, the share of pixels across which a tenth of the band's range (2nd to
        98th percentile) is passed; ``edge_coherence``, 0 where gradients point everywhere, 1
        where along one line. None without a pixel whose 8 neighbours were observed.

    References:
        Sobel's operator: Duda, Hart (1973), 271-272; coherence of the structure tensor: Jähne
        (2005), Digital Image Processing, 6th ed., 13.3.
    """
    whole = _whole(np.isfinite(band))
    if not whole.any():
        return None
    b = band.astype(np.float64)
    right = (b[:-2, 2:] + 2 * b[1:-1, 2:] + b[2:, 2:])[whole]
    left = (b[:-2, :-2] + 2 * b[1:-1, :-2] + b[2:, :-2])[whole]
    below = (b[2:, :-2] + 2 * b[2:, 1:-1] + b[2:, 2:])[whole]
    above = (b[:-2, :-2] + 2 * b[:-2, 1:-1] + b[:-2, 2:])[whole]
    dx, dy = (right - left) / 8, (below - above) / 8
    steepness = np.hypot(dx, dy)
    low, high = np.percentile(b[np.isfinite(b)], [2, 98])
    xx, yy, xy = float((dx * dx).sum()), float((dy * dy).sum()), float((dx * dy).sum())
    coherence = float(np.hypot(xx - yy, 2 * xy)) / (xx + yy) if xx + yy > 0 else 0.0
    return {
        "gradient_mean": float(steepness.mean()),
        "gradient_std": float(steepness.std()),
        "gradient_p95": float(np.percentile(steepness, 95)),
        "edge_density": float((steepness > _FAINT * (high - low)).mean()) if high > low else 0.0,
        "edge_coherence": coherence,
    }


def _whole(seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which inner pixels were observed with their 8 neighbours."""
    height, width = seen.shape
    if height < 3 or width < 3:  # noqa: PLR2004 — a neighbourhood
        return np.zeros((max(0, height - 2), max(0, width - 2)), np.bool_)
    inner = np.ones((height - 2, width - 2), np.bool_)
    for dy in range(3):
        for dx in range(3):
            inner &= seen[dy : dy + height - 2, dx : dx + width - 2]
    return inner


def _values(
    levels: int, distances: Sequence[int], limits: tuple[float, float] | None
) -> Callable[[Scene], Mapping[str, object]]:
    def texture(scene: Scene) -> Mapping[str, object]:
        name, band = grey(scene)
        seen = np.isfinite(band)
        if not seen.any():
            raise MissingInputError(
                f"no pixel of {name} was observed", hint="see its nodata value in the card"
            )
        found = [
            {**_of_levels(steps, levels, distances), **_of_patterns(one), **(edges(one) or {})}
            for steps, one in zip(quantised(band, levels, limits), band, strict=True)
            if np.isfinite(one).any()
        ]
        return {"grey": name, "observed_share": float(seen.mean()), **_mean(found)}

    return texture


def _of_levels(
    steps: npt.NDArray[np.uint8], levels: int, distances: Sequence[int]
) -> dict[str, float]:
    found = {}
    for distance in distances:
        if distance >= max(steps.shape):
            continue
        for name, each in haralick(cooccurrence(steps, distance, levels)).items():
            there = each[np.isfinite(each)]
            if there.size:
                found[f"{name}_{distance}"] = float(there.mean())
                found[f"{name}_{distance}_range"] = float(there.max() - there.min())
    return found


def _of_patterns(band: Floats) -> dict[str, float]:
    shares = binary_patterns(band)
    if shares is None:
        return {}
    there = shares[shares > 0]
    return {
        **{f"lbp_{number}": float(share) for number, share in enumerate(shares)},
        "lbp_uniform": float(shares[:-1].sum()),
        "lbp_entropy": float(-(there * np.log(there)).sum()),
    }


def _mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    names = dict.fromkeys(name for one in found for name in one)
    return {name: float(np.mean([one[name] for one in found if name in one])) for name in names}


def _features(levels: int, distances: Sequence[int]) -> tuple[Feature, ...]:
    paired = [
        Feature(
            name=f"{name}_{distance}{suffix}",
            meaning=f"{what}; {aspect} over four directions at {distance} px",
            formula=f"{formula}; p: symmetric shares of {levels} levels, {aspect} over directions",
            source=_HARALICK,
            unit="nat" if name == "entropy" else "1",
        )
        for distance in distances
        for name, (what, formula) in _MEASURES.items()
        for suffix, aspect in (("", "mean"), ("_range", "largest less smallest"))
    ]
    patterns = [
        Feature(
            name=f"lbp_{number}",
            meaning=(
                f"share of pixels with one run of {number} neighbours at least as bright"
                if number <= _NEIGHBOURS
                else "share of pixels whose brighter neighbours are in several runs"
            ),
            formula=f"share of LBP_8,1^riu2 = {number}",
            source=_OJALA,
        )
        for number in range(_PATTERNS)
    ]
    return (
        Feature(
            name="grey",
            meaning="band that was looked at",
            formula="N, else N2, pan, mean of B G R, the first band",
            source="this lab",
            type=pa.string(),
        ),
        Feature(
            name="observed_share",
            meaning="share of pixels that were observed",
            formula="observed / all, over time and place",
            source="this lab",
        ),
        *paired,
        *patterns,
        Feature(
            name="lbp_uniform",
            meaning="share of pixels with a uniform pattern: edges, corners, spots, plain areas",
            formula="1 - lbp_9",
            source=_OJALA,
        ),
        Feature(
            name="lbp_entropy",
            meaning="how many kinds of patterns there are",
            formula="-sum lbp_k ln lbp_k",
            source=_OJALA,
            unit="nat",
        ),
        *_of_edges(),
    )


def _of_edges() -> tuple[Feature, ...]:
    steep = "|g| = hypot(Sobel_x, Sobel_y) / 8"
    tensor = "hypot(Jxx - Jyy, 2 Jxy) / (Jxx + Jyy), J: sums of products of Sobel's gradients"
    coherence = "how far edges run in one direction, 0 to 1"
    said = (
        ("gradient_mean", "mean steepness", f"mean {steep}", "band unit/px", _SOBEL),
        ("gradient_std", "spread of steepness", f"std {steep}", "band unit/px", _SOBEL),
        ("gradient_p95", "95th percentile of steepness", f"p95 {steep}", "band unit/px", _SOBEL),
        (
            "edge_density",
            "share of edge pixels",
            f"share of {steep} > (p98 - p2) / 10",
            "1",
            _SOBEL,
        ),
        ("edge_coherence", coherence, tensor, "1", "Jähne (2005), Digital Image Processing, 13.3"),
    )
    return tuple(
        Feature(name=name, meaning=meaning, formula=formula, unit=unit, source=source)
        for name, meaning, formula, unit, source in said
    )


def parameterised(
    *,
    levels: int = 32,
    distances: Sequence[int] = (1, 3),
    limits: Sequence[float] | None = None,
) -> FeatureSet:
    """Return the set with other grey levels or distances.

    Args:
        levels: How many grey levels, 2 to 254.
        distances: Between the pixels of a pair, in pixels, each 1 to 64.
        limits: Values of the darkest and the brightest level's outer edges, in the band's unit;
            each sample's own 2nd and 98th percentile if None.

    Raises:
        InvalidInputError: They are out of range.
    """
    distances = tuple(distances)
    in_range = 2 <= levels <= _MOST_LEVELS and all(1 <= one <= 64 for one in distances)  # noqa: PLR2004 — as documented
    if not in_range or not distances or len(set(distances)) < len(distances):
        raise InvalidInputError(
            f"{levels} levels at distances {list(distances)} cannot be counted",
            hint="take 2 to 254 levels and distances of 1 to 64 pixels, each once",
        )
    if limits is not None and (len(limits) != 2 or not limits[0] < limits[1]):  # noqa: PLR2004 — a pair
        raise InvalidInputError(
            f"{list(limits)} are no limits", hint="give the lower and the upper, as in 0, 1"
        )
    pair = (float(limits[0]), float(limits[1])) if limits is not None else None
    return FeatureSet(
        name="texture",
        version=1,
        title="Texture: grey-level co-occurrence, local binary patterns, edges",
        features=_features(levels, distances),
        needs=Needs(arrays=True),
        by_scene=_values(levels, distances, pair),
        variant=parameterised,
        parameters={"levels": levels, "distances": list(distances), "limits": pair},
        made_of=(
            "registry.curate.features.clear",
            "registry.curate.features.sets.grey",
            f"numpy=={version('numpy')}",
            f"scikit-image=={version('scikit-image')}",
        ),
    )


TEXTURE: Final = parameterised()
