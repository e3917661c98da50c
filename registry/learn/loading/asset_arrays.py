"""What the arrays of an asset have in common, as its rows say."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow.compute as pc

from registry.catalog.version import Version
from registry.errors import InvalidInputError

__all__ = ["Arrays", "arrays_of"]

_COLUMNS: Final = ("asset", "shape", "dtype", "nodata", "crs", "transform")
_SERIES: Final = 4  # sides of an array with a time axis


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrays:
    """What the rows of one asset say of its arrays."""

    dtypes: frozenset[str]
    """NumPy's names of their types."""

    nodata: frozenset[float]
    """Values that mean nodata; NaN is left out, because it always does."""

    bands: int
    """Of the first array."""

    frames: int | None
    """Time steps of the longest series; None where no array has a time axis."""

    gsd: float | None
    """Width of a pixel of the first array in metres; None where its CRS does not count in them."""


def arrays_of(version: Version, names: Sequence[str]) -> Mapping[str, Arrays]:
    """Return what the table of assets says of some assets' arrays, by name.

    Args:
        version: A version, or a draft.
        names: Of assets that have pixels.

    Raises:
        InvalidInputError: Some arrays of one are whole numbers and some are not, or have another
            nodata value.
    """
    table = version.table("assets", columns=[*_COLUMNS, "pixels"])
    table = table.filter(pc.is_valid(table.column("pixels"))).drop_columns(["pixels"])
    found = {}
    for name in names:
        rows = table.filter(pc.equal(table.column("asset"), name))
        shapes = rows.column("shape")
        sides = pc.list_value_length(shapes)
        first = rows.slice(0, 1).to_pylist()[0]
        series = rows.filter(pc.equal(sides, _SERIES)).column("shape")
        steps = pc.list_element(series, 0) if len(series) else None
        found[name] = Arrays(
            dtypes=frozenset(pc.unique(rows.column("dtype")).to_pylist()),
            nodata=frozenset(
                one
                for one in pc.unique(rows.column("nodata")).to_pylist()
                if one is not None and not math.isnan(one)
            ),
            bands=first["shape"][-3] if len(first["shape"]) > len("yx") else 1,
            frames=None if steps is None else int(pc.max(steps).as_py()),
            gsd=_gsd(first["crs"], first["transform"]),
        )
        _refuse_mixed(version, name, found[name])
    return found


def _gsd(crs: str | None, transform: Sequence[float] | None) -> float | None:
    """Return the width of a pixel in metres; None where the CRS does not count in metres."""
    if crs is None or transform is None:
        return None
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    try:
        axes = CRS.from_user_input(crs).axis_info
    except CRSError:
        return None
    metres = bool(axes) and all(axis.unit_name == "metre" for axis in axes)
    return float(math.hypot(transform[0], transform[3])) if metres else None


def _refuse_mixed(version: Version, asset: str, seen: Arrays) -> None:
    """Refuse an asset whose arrays cannot all be what the card says of it.

    Raises:
        InvalidInputError: Some are whole numbers and some are not, or nodata is not one value.
    """
    whole = {one for one in seen.dtypes if one.startswith(("int", "uint"))}
    if whole and whole != seen.dtypes:
        raise InvalidInputError(
            f"asset '{asset}' of {version.ref} holds {' and '.join(sorted(seen.dtypes))}: whole "
            "numbers and fractions, which one scale cannot be right for",
            hint="leave those samples out of a further version, or name the assets to read: "
            "assets=[…], in a recipe data.assets",
        )
    if len(seen.nodata) > 1:
        shown = ", ".join(f"{one:g}" for one in sorted(seen.nodata))
        raise InvalidInputError(
            f"asset '{asset}' of {version.ref} has several nodata values: {shown}",
            hint="give all its arrays one, in a further version: eolab edit",
        )
