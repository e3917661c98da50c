"""Rows of ``assets`` as grids on the globe, as far as they are any."""

from collections.abc import Mapping
from typing import Any, Final

from registry.errors import InvalidInputError
from registry.geo import Grid
from registry.geo.systems import system

__all__ = ["grid_of"]

_AFFINE: Final = 6
_PLANES: Final = 3


def grid_of(asset: Mapping[str, Any]) -> Grid | None:
    """Return where an asset's pixels lie; None where its row does not say or cannot mean it.

    Args:
        asset: A row with ``crs transform shape``.

    Examples:
        >>> row = {"crs": "EPSG:4326", "transform": [0.1, 0, 7, 0, -0.1, 46], "shape": [3, 4, 5]}
        >>> grid_of(row).width, grid_of(row | {"crs": None})
        (5, None)
    """
    crs, transform, shape = asset["crs"], asset["transform"] or [], asset["shape"] or []
    if crs is None or len(transform) != _AFFINE or len(shape) < _PLANES:
        return None
    a, b, c, d, e, f = transform
    try:
        system(crs)
        return Grid(crs=crs, transform=(a, b, c, d, e, f), height=shape[-2], width=shape[-1])
    except InvalidInputError:
        return None
