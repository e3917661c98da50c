"""What a mask says: how much of each class there is, and how it is laid out."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.scene import Layer, MissingInputError
from registry.curate.features.sets.labels.placing import pixel_size

__all__ = ["mask_values"]

_MOST_CLASSES: Final = 4096
_HECTARE: Final = 10_000.0


def mask_values(layer: Layer) -> dict[str, object]:
    """Return how much of each class a mask has, and how its classes are laid out.

    Only its first band is looked at. Of several time steps, shares are over all of them, counts
    and densities the mean. Pixels without a label are left out.

    Args:
        layer: Of role ``labels``; a value without a name in the card is a class by its number.

    Returns:
        ``classes`` and their ``shares`` side by side, the largest share first, equal ones by
        name; ``dominant`` and ``dominant_share``; ``entropy`` (Shannon diversity) and
        ``evenness``; ``class_count``; ``labelled_pixels``; ``patches``, ``patch_pixels`` their mean
        size; ``edge_share``, of neighbours (above, below, beside) the share in another class; and
        ``edge_density`` in m/ha where the size of a pixel is known.

    Raises:
        MissingInputError: No pixel has a label, or the values are no classes.

    References:
        Shannon (1948), Bell Syst. Tech. J. 27, 379-423; McGarigal, Marks (1995), FRAGSTATS,
        USDA PNW-GTR-351: patches of 8 neighbours, edge density.
    """
    labels, seen = layer.raw[:, 0], layer.observed[:, 0]
    values, codes, counts = _coded(layer.asset, labels, seen)
    tally: dict[str, int] = {}
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        name = _name(layer.values, value)
        tally[name] = tally.get(name, 0) + count
    total = sum(tally.values())
    ranked = sorted(tally.items(), key=lambda one: (-one[1], one[0]))
    shares = np.array([count / total for _, count in ranked])
    entropy = float(-(shares * np.log(shares)).sum()) + 0.0  # no -0.0
    return {
        "mask": layer.asset,
        "classes": [name for name, _ in ranked],
        "shares": shares.tolist(),
        "dominant": ranked[0][0],
        "dominant_share": float(shares[0]),
        "entropy": entropy,
        "evenness": entropy / float(np.log(len(ranked))) if len(ranked) > 1 else None,
        "class_count": len(ranked),
        "labelled_pixels": total,
        **_layout(_merged(layer, values, codes), pixel_size(layer)),
    }


def _coded(
    asset: str, labels: npt.NDArray[np.generic], seen: npt.NDArray[np.bool_]
) -> tuple[npt.NDArray[np.generic], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    # the values that occur, each pixel's place among them from 1 (0: none), and their counts
    found = labels[seen]
    if not found.size:
        raise MissingInputError(
            f"no pixel of mask '{asset}' has a label", hint="see its nodata value in the card"
        )
    if np.issubdtype(found.dtype, np.inexact) and not (found == np.rint(found)).all():
        raise MissingInputError(
            f"mask '{asset}' has values between whole numbers, so they are no classes",
            hint="give it the role 'data' in the card",
        )
    values, inverse, counts = np.unique(found, return_inverse=True, return_counts=True)
    if len(values) > _MOST_CLASSES:
        raise MissingInputError(
            f"mask '{asset}' has {len(values):,} values, so they are no classes",
            hint="numbers of objects belong in annotations",
        )
    codes = np.zeros(labels.shape, np.int64)
    codes[seen] = inverse.reshape(-1) + 1
    return values, codes, counts.astype(np.int64)


def _name(names: Mapping[int, str], value: float) -> str:
    whole = int(value)
    return names.get(whole, str(whole))


def _merged(
    layer: Layer, values: npt.NDArray[np.generic], codes: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    # Values of one class get one code, so that no edge runs inside a class.
    names = [_name(layer.values, value) for value in values.tolist()]
    first = {name: number for number, name in reversed(list(enumerate(names, start=1)))}
    return np.array([0, *(first[name] for name in names)], dtype=np.int64)[codes]


def _layout(codes: npt.NDArray[np.int64], size: float | None) -> dict[str, float]:
    from skimage.measure import label

    steps = len(codes)
    patches = [int(label(step, background=0, connectivity=2).max()) for step in codes]  # type: ignore[no-untyped-call]  # published without types
    edges, pairs = 0, 0
    for one, other in ((codes[:, 1:], codes[:, :-1]), (codes[:, :, 1:], codes[:, :, :-1])):
        both = (one > 0) & (other > 0)
        pairs += int(both.sum())
        edges += int((both & (one != other)).sum())
    labelled = int((codes > 0).sum())
    found = {"patches": sum(patches) / steps, "patch_pixels": labelled / sum(patches)}
    if pairs:
        found["edge_share"] = edges / pairs
    if size is not None:
        found["edge_density"] = edges * size / (labelled * size * size / _HECTARE)
    return found
