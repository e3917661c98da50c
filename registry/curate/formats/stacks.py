"""One layer of a file of arrays becomes one asset: ``(band, y, x)`` or ``(time, band, y, x)``.

Runs in the limited child alone (:mod:`registry.curate.formats.child`).
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.curate.formats import cf
from registry.curate.formats.containers import Container, Variable
from registry.curate.formats.decoded import LARGE, Decoded, Header, UnreadableError, check_declared
from registry.curate.formats.layers import ABSENT, Layer
from registry.tables.pixels import DTYPES

__all__ = ["read_stack"]

_SHAPES: Final = {
    (): None,
    ("time",): "time",
    ("y", "x"): "plane",
    ("time", "y", "x"): "series",
    ("band", "y", "x"): "bands",
    ("time", "band", "y", "x"): "whole",
}
_UNNAMED: Final = {2: ("y", "x"), 3: ("band", "y", "x"), 4: ("time", "band", "y", "x")}
_LONGEST_SAID: Final = 32 << 10
_SHOWN: Final = 5
_READ_HERE: Final = frozenset({
    "_FillValue", "missing_value", "scale_factor", "add_offset", "units", "_Unsigned",
    "grid_mapping", "coordinates", "crs_wkt", "spatial_ref",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chosen:
    """Variables of one kind, which become the bands of one array."""

    variables: tuple[Variable, ...]
    roles: tuple[str, ...]
    axes: tuple[cf.Axis, ...]
    packings: tuple[cf.Packing, ...]
    others: tuple[str, ...]


def read_stack(
    container: Container, layer: Layer, *, size: int, wait_for_turn: Callable[[], None]
) -> Decoded:
    """Return one layer of a file.

    Args:
        container: The file.
        layer: What of it.
        size: Bytes the file has, which what it declares is held against.
        wait_for_turn: Called before an array is made that is large.

    Raises:
        UnreadableError: The layer is absent, too large, or of no shape or type that is read.
    """
    chosen = _choose(container, layer)
    first, packing = chosen.variables[0], chosen.packings[0]
    declared = math.prod(first.shape) * packing.dtype.itemsize * len(chosen.variables)
    check_declared(declared, size)
    if declared > LARGE:
        wait_for_turn()
    array = _planes(_stacked(chosen), layer)
    times, odd = _times(chosen)
    transform, crooked = _transform(container, chosen)
    crs = cf.crs_of(container, first) if len(first.shape) > 1 else None
    nodata, mixed = _nodata(chosen)
    left = [*chosen.others, *container.left_out[:_SHOWN]]
    odd += [f"variables: leaves out {', '.join(left)}"] if left else []
    header = Header(
        shape=array.shape,
        dtype=packing.dtype.name,
        crs=crs,
        nodata=nodata,
        said=_said(container, chosen),
        times=times,
        warnings=(*odd, *crooked, *mixed),
    )
    return Decoded(header=header, transform=transform, array=array)


# -------------------------------------------------------------------- choosing
def _choose(container: Container, layer: Layer) -> _Chosen:
    meant = [each for each in _candidates(container) if layer.has(each.name)]
    for each in meant:
        if each.dtype is None and layer.names(each.name):
            raise UnreadableError(
                "dtype", f"has {each.name!r}, which holds no plain numbers", "convert it to numbers"
            )
    described = [
        (each, roles, axes)
        for each in meant
        if each.dtype is not None
        for roles, axes in (_roles(container, each),)
        if _SHAPES.get(roles)
    ]
    if not described:
        raise _absent(container, layer, meant)
    kinds = [(each.shape, roles, _packing(each).dtype) for each, roles, _ in described]
    usual = Counter(kinds).most_common(1)[0][0]
    taken = [one for one, kind in zip(described, kinds, strict=True) if kind == usual]
    variables = tuple(each for each, _, _ in taken)
    names = {each.name for each in variables}
    return _Chosen(
        variables=variables,
        roles=taken[0][1],
        axes=taken[0][2],
        packings=tuple(_packing(each) for each in variables),
        others=tuple(each.name for each in meant if each.name not in names)[:_SHOWN],
    )


def _candidates(container: Container) -> list[Variable]:
    """Return the variables that are no coordinates and no CRS."""
    everything = container.variables.values()
    coordinates = {axis for each in everything for axis in each.axes if axis}
    coordinates |= {str(each.attributes.get("grid_mapping", "")) for each in everything}
    return [
        each
        for name, each in container.variables.items()
        if name not in coordinates and each.shape and min(each.shape) > 0
    ]


def _absent(container: Container, layer: Layer, meant: Sequence[Variable]) -> UnreadableError:
    wanted = ",".join(layer.wanted)
    if meant:
        shown = ", ".join(f"{each.name} {each.shape}" for each in meant[:_SHOWN])
        return UnreadableError(
            "axes",
            f"has no array {wanted} over rows and columns: {shown}",
            "write arrays as (time, band, y, x)",
        )
    shown = ", ".join(list(container.variables)[:_SHOWN]) or "no arrays"
    return UnreadableError(ABSENT, f"has no array {wanted}; it has {shown}", "check the source")


def _roles(container: Container, variable: Variable) -> tuple[tuple[str, ...], tuple[cf.Axis, ...]]:
    if not any(variable.axes):
        roles = _UNNAMED.get(len(variable.shape), ("?",))
        return roles, ()
    axes = tuple(cf.axis_of(container, name) for name in variable.axes)
    roles = tuple(axis.role or "band" for axis in axes)
    return roles, axes


def _packing(variable: Variable) -> cf.Packing:
    native = None if variable.dtype is None else variable.dtype.newbyteorder("=")
    if native is None or native.name not in DTYPES:
        raise UnreadableError(
            "dtype", f"has {variable.name!r} of a type that is not read", "convert it"
        )
    return cf.packing_of(variable, native)


# --------------------------------------------------------------------- reading
def _stacked(chosen: _Chosen) -> npt.NDArray[Any]:
    first, kind = chosen.variables[0], _SHAPES[chosen.roles]
    count, shape, dtype = len(chosen.variables), first.shape, chosen.packings[0].dtype
    if kind in {"bands", "whole"}:
        if count > 1:
            raise UnreadableError(
                "axes",
                f"has {count} arrays that have bands of their own, such as {first.name!r}",
                "split the file into one array each",
            )
        return _taken_for(first, dtype)
    if kind == "plane":
        array = np.empty((count, *shape), dtype)
        for number, each in enumerate(chosen.variables):
            array[number] = _taken_for(each, dtype)
        return array
    steps, *sides = shape
    array = np.empty((steps, count, *(sides or (1, 1))), dtype)
    for number, each in enumerate(chosen.variables):
        array[:, number] = _taken_for(each, dtype).reshape(steps, *(sides or (1, 1)))
    return array


def _taken_for(variable: Variable, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    values = variable.read()
    native = values.astype(values.dtype.newbyteorder("="), copy=False)
    return native if native.dtype == dtype else native.view(dtype)


def _planes(array: npt.NDArray[Any], layer: Layer) -> npt.NDArray[Any]:
    if layer.planes is None:
        return array
    picked = array[..., layer.planes, :, :]
    if not picked.shape[-3]:
        raise UnreadableError(ABSENT, f"has {array.shape[-3]} planes, not so many", "check it")
    return np.ascontiguousarray(picked)


# ------------------------------------------------------------------ describing
def _times(chosen: _Chosen) -> tuple[tuple[datetime, ...], list[str]]:
    axis = chosen.axes[0] if chosen.axes and chosen.roles[0] == "time" else None
    if axis is None or axis.variable is None:
        return (), []
    try:
        moments = cf.moments_of(axis.variable)
    except UnreadableError as error:
        return (), [f"{error.check}: {error.message}"]
    if len(moments) != chosen.variables[0].shape[0]:
        return (), [f"times: has {len(moments)} times for {chosen.variables[0].shape[0]} steps"]
    return moments, []


def _transform(container: Container, chosen: _Chosen) -> tuple[tuple[float, ...] | None, list[str]]:
    if len(chosen.axes) < 2 or chosen.roles[-2:] != ("y", "x"):  # noqa: PLR2004 — rows and columns
        return None, []
    y, x = chosen.axes[-2].variable, chosen.axes[-1].variable
    said = chosen.variables[0].attributes.get("resolution", container.attributes.get("resolution"))
    sides = tuple((0 if one is None else one.shape[0]) for one in (y, x))
    fits = sides == chosen.variables[0].shape[-2:]
    transform = cf.transform_of(y, x, resolution=said) if fits else None
    if transform is None and y is not None and x is not None:
        return None, ["grid: has coordinates that are no even grid, so it has no place"]
    return transform, []


def _nodata(chosen: _Chosen) -> tuple[float | None, list[str]]:
    values = {repr(packing.nodata): packing.nodata for packing in chosen.packings}
    if len(values) == 1:
        return next(iter(values.values())), []
    return None, [f"nodata: has different fill values, {', '.join(sorted(values))}: none is kept"]


def _said(container: Container, chosen: _Chosen) -> str:
    said: dict[str, Any] = {"driver": container.driver}
    if chosen.axes:
        said["bands"] = _bands(chosen)
    packings = chosen.packings
    if any(each.scale != 1 for each in packings):
        said["scales"] = [each.scale for each in packings]
    if any(each.offset for each in packings):
        said["offsets"] = [each.offset for each in packings]
    if any(each.unit for each in packings):
        said["units"] = [each.unit for each in packings]
    tags = _kept(container.attributes)
    own = [_kept(each.attributes) for each in chosen.variables]
    if not chosen.axes:
        tags |= own[0]
    elif said["bands"]:
        own = [
            {name: value for name, value in each.items() if tags.get(name) != value} for each in own
        ]
        said["band_tags"] = {str(number): each for number, each in enumerate(own, 1) if each}
    said |= {"tags": tags} if tags else {}
    lost = [
        name for name in ("tags", "band_tags") if len(json.dumps(said.get(name))) > _LONGEST_SAID
    ]
    said = {name: value for name, value in said.items() if value and name not in lost}
    return json.dumps(said | ({"lost": lost} if lost else {}), sort_keys=True, ensure_ascii=False)


def _bands(chosen: _Chosen) -> list[str]:
    if _SHAPES[chosen.roles] in {"bands", "whole"}:
        return []
    return [each.name for each in chosen.variables]


def _kept(attributes: Mapping[str, object]) -> dict[str, str]:
    return {name: _shown(value) for name, value in attributes.items() if name not in _READ_HERE}


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
