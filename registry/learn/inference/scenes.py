"""Files as the inputs of a model, on one grid."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.inference.meaning import Reading, input_of
from registry.learn.inference.rasters import Placement, RasterFile
from registry.learn.inference.windows import Arrays, Mask, Region
from registry.learn.loading.contract import Contract, Input
from registry.learn.loading.conversion import ContractMismatchError, conversion
from registry.learn.loading.plausible import check, typical
from registry.learn.loading.units import unit_of

__all__ = ["FileScene", "open_files"]

_PROBE: Final = 512
_PHYSICAL: Final = (
    "say what the file's numbers mean, such as --scale {scale} --offset 0, or give a scene of the "
    "same processing level"
)
_AS_STORED: Final = (
    "nobody said a unit: say what makes the model's numbers of the file's, such as --scale "
    "{scale}; or --scale 1 if they are right as they are"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layer:
    """Bands of one file that a model reads."""

    file: RasterFile
    numbers: tuple[int, ...]


class FileScene:
    """Files on one grid, as windows are cut from; a context manager."""

    def __init__(
        self,
        *,
        placement: Placement,
        contract: Contract,
        layers: Mapping[str, Sequence[_Layer]],
        said: Sequence[str] = (),
    ) -> None:
        """Take open files; :func:`open_files` does it."""
        self.placement = placement
        self.contract = contract
        self.said = tuple(said)
        self._layers = layers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End the processes that read."""
        for layers in self._layers.values():
            for layer in layers:
                layer.file.close()

    @property
    def height(self) -> int:
        """Rows."""
        return self.placement.height

    @property
    def width(self) -> int:
        """Columns."""
        return self.placement.width

    def read(self, region: Region) -> tuple[Arrays, Mask]:
        """Return stored values; observed is a pixel of which every band of every input is.

        Args:
            region: Which part.

        Returns:
            As :meth:`registry.learn.inference.windows.Scene.read` does.
        """
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        observed = np.ones((region.height, region.width), np.bool_)
        for one in self.contract.inputs:
            parts = []
            for layer in self._layers[one.asset]:
                array, mask = layer.file.read(layer.numbers, region)
                observed &= _observed(array, one.nodata)
                if mask is not None:
                    observed &= mask
                parts.append(array)
            arrays[one.asset] = parts[0] if one.frames is None else np.stack(parts)
        return arrays, observed


def _observed(array: npt.NDArray[np.generic], nodata: float | None) -> Mask:
    found = np.ones(array.shape[-2:], np.bool_)
    for band in array:
        if band.dtype.kind == "f":
            found &= np.isfinite(band)
        if nodata is not None and nodata == nodata:  # noqa: PLR0124 — NaN is seen above
            found &= band != band.dtype.type(nodata)
    return found


def open_files(
    wanted: Contract, files: Mapping[str, Sequence[Path]], *, reading: Reading | None = None
) -> FileScene:
    """Open files as the inputs of a model.

    Args:
        wanted: What the model reads.
        files: By input; several for one that reads time steps, in their order. The first file
            gives the grid, the others are warped onto it.
        reading: What is said about them.

    Returns:
        The scene; close it.

    Raises:
        WrongBandsError: Nobody says which a file's bands are.
        ContractMismatchError: A file does not give what the model reads.
        InvalidInputError: An input has no file, too few, or one without a place.
        ImplausibleValuesError: Values are of another order than those that the model learned from.
    """
    reading = reading or Reading()
    _check_inputs(wanted, files)
    said: list[str] = []
    layers: dict[str, list[_Layer]] = {}
    inputs: list[Input] = []
    placement: Placement | None = None
    with ExitStack() as opened:
        for one in wanted.inputs:
            layers[one.asset] = []
            steps: list[Input] = []
            for path in files[one.asset]:
                file = opened.enter_context(RasterFile(path))
                given, numbers = input_of(one, file.header, path.name, reading=reading, said=said)
                if placement is None:
                    placement = file.header.placement
                    said.extend(_unplaced(placement, path.name))
                else:
                    file.align(placement, resampling=reading.resampling, nodata=given.nodata)
                    if given.nodata is None:  # beyond its edges nothing was observed
                        given = replace(given, nodata=file.header.nodata)
                layer = _Layer(file=file, numbers=numbers)
                layers[one.asset].append(layer)
                _check_values(one, given, layer, reading)
                steps.append(given)
            inputs.append(_alike(steps, files[one.asset]))
        opened.pop_all()
    if placement is None:
        raise InvalidInputError("the model reads no input", hint="see eolab models show")
    contract = Contract(inputs=tuple(inputs))
    return FileScene(placement=placement, contract=contract, layers=layers, said=said)


def _alike(steps: Sequence[Input], files: Sequence[Path]) -> Input:
    """Return what the files of an input's time steps give, which has to be one and the same.

    Raises:
        ContractMismatchError: Numbers of one mean something else than those of another.
    """
    stated = next((one.nodata for one in steps if one.nodata is not None), None)
    first, *others = (replace(one, nodata=stated) if one.nodata is None else one for one in steps)
    for one, path in zip(others, files[1:], strict=True):
        meaning = [(band.unit, band.scale, band.offset) for band in one.bands]
        expected = [(band.unit, band.scale, band.offset) for band in first.bands]
        if meaning != expected or not _same(one.nodata, first.nodata):
            raise ContractMismatchError(
                f"the numbers of {path.name} do not mean what those of {files[0].name} mean: unit, "
                "scale, offset or nodata differ",
                hint="bring the files to one scale first, such as by gdal_translate -unscale",
            )
    return first


def _same(one: float | None, other: float | None) -> bool:
    return one == other or repr(one) == repr(other)  # NaN stands for nothing as NaN does


def _check_inputs(wanted: Contract, files: Mapping[str, Sequence[Path]]) -> None:
    """Refuse files that are not one for each that the model reads.

    Raises:
        InvalidInputError: Some lack, or are too many.
    """
    names = [one.asset for one in wanted.inputs]
    if other := sorted({*files} - {*names}):
        raise InvalidInputError(
            f"the model reads no '{other[0]}'", hint=f"it reads {', '.join(names)}"
        )
    for one in wanted.inputs:
        steps = one.frames or 1
        if len(files.get(one.asset, ())) != steps:
            what = f"{steps} files of '{one.asset}', in order of time" if steps > 1 else "one file"
            raise InvalidInputError(
                f"{len(files.get(one.asset, ()))} files are given for '{one.asset}', which the "
                f"model reads {steps} of",
                hint=f"give {what}: {' '.join(f'{name}=FILE.tif' for name in names)}",
            )


def _unplaced(placement: Placement, name: str) -> list[str]:
    if placement.transform is None:
        return [f"{name} has no place: the map keeps its pixels, row 0 above"]
    if placement.crs is None:
        return [f"{name} has no CRS: the map keeps its coordinates, whatever system they are in"]
    return []


def _check_values(wanted: Input, given: Input, layer: _Layer, reading: Reading) -> None:
    """Refuse numbers that cannot be what the model learned from.

    Raises:
        ImplausibleValuesError: The middle of the scene is.
    """
    unsaid = all(unit_of(band.unit).kind is None for band in given.bands)
    if unsaid and reading.scale == 1 and not reading.offset:
        return  # somebody says that they are right as they are
    grid = layer.file.header.placement
    height, width = min(grid.height, _PROBE), min(grid.width, _PROBE)
    region = Region(
        top=(grid.height - height) // 2, left=(grid.width - width) // 2, height=height, width=width
    )
    array, mask = layer.file.read(layer.numbers, region)
    seen = _observed(array, given.nodata) & (True if mask is None else mask)
    found = conversion(Contract(inputs=(wanted,)), Contract(inputs=(given,)), allow=("scale",))
    check(
        wanted, given, found.steps[wanted.asset], [typical(values[seen]) for values in array],
        name=layer.file.path.name, remedy=_AS_STORED if unsaid else _PHYSICAL,
    )  # fmt: skip
