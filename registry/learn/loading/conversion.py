"""What a model expects against what the data give: converted and said, or refused.

A value is stored, then physical (times the band's scale, plus its offset), then normalised (less
the mean, by the deviation). All three are one subtraction and one multiplication a band, so that
is what runs.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Contract
from registry.learn.loading.matching import ContractMismatchError, Step, steps_of
from registry.learn.loading.plausible import check_known

__all__ = ["ALLOWED", "ContractMismatchError", "Conversion", "conversion"]

ALLOWED: Final = ("level", "gsd", "asset", "scale")
"""What may differ if it is allowed: processing level, pixel size, an asset that is not there, the
scale of numbers whose unit nobody said."""

_BANDS_AT: Final = -3  # (…, band, y, x)
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """How stored arrays become what a model reads."""

    wanted: Contract
    """What the model reads."""

    given: Contract
    """What the data give."""

    sources: Mapping[str, str]
    """By the model's asset, the data's: those that are not there are left out."""

    said: tuple[str, ...] = ()
    """What is converted or assumed, in words; empty where both mean the same."""

    steps: Mapping[str, tuple[Step, ...]] = field(repr=False)
    """By the model's asset, how each of its bands is made, in their order."""

    def apply(
        self,
        asset: str,
        stored: npt.NDArray[np.generic],
        *,
        out: Floats | None = None,
    ) -> Floats:
        """Return an asset's array as the model reads it.

        Args:
            asset: The model's name of it.
            stored: Stored values in the data's order of bands, shape ``(…, band, y, x)``.
            out: Array to fill, of the result's shape.

        Returns:
            Shape ``(…, band, y, x)`` with the model's bands; unitless: 0 is the mean, 1 a standard
            deviation from it. 0 too where nothing was observed. A band that the model knows no
            mean of stays physical.

        Raises:
            InvalidInputError: The model has no such asset, or the shapes do not fit.
            ContractMismatchError: Whole numbers are said to be reflectance without a scale.
        """
        steps = self._steps_of(asset, stored)
        shape = (*stored.shape[:_BANDS_AT], len(steps), *stored.shape[_BANDS_AT + 1 :])
        if out is None:
            out = np.empty(shape, np.float32)
        elif out.shape != shape or out.dtype != np.float32:
            raise InvalidInputError(
                f"the array to fill is {out.dtype} {out.shape}",
                hint=f"give one of float32 {shape}",
            )
        nodata = self._nodata(asset, stored.dtype)
        for number, step in enumerate(steps):
            into = _planes(out, number)
            for plane, target in zip(_planes(stored, step.source), into, strict=True):
                _fused(plane, step, target, nodata)
        return out

    def observed(self, asset: str, stored: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
        """Return where an asset's values were observed: finite and not nodata.

        Args:
            asset: The model's name of it.
            stored: As for :meth:`apply`.

        Returns:
            Like what :meth:`apply` returns, one truth value a band and pixel.
        """
        steps = self._steps_of(asset, stored)
        chosen = np.take(stored, [step.source for step in steps], axis=_BANDS_AT)
        there: npt.NDArray[np.bool_] = (
            np.isfinite(chosen)
            if np.issubdtype(chosen.dtype, np.inexact)
            else np.ones(chosen.shape, np.bool_)
        )
        nodata = self._nodata(asset, stored.dtype)
        if nodata is not None:
            there &= chosen != nodata
        return there

    def seen(self, asset: str, stored: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
        """Return where all bands of an asset that a model reads were observed.

        Args:
            asset: The model's name of it.
            stored: As for :meth:`apply`.

        Returns:
            Shape ``(…, y, x)``.
        """
        steps = self._steps_of(asset, stored)
        nodata = self._nodata(asset, stored.dtype)
        inexact = np.issubdtype(stored.dtype, np.inexact)
        found = np.ones((*stored.shape[:_BANDS_AT], *stored.shape[_BANDS_AT + 1 :]), np.bool_)
        if nodata is None and not inexact:
            return found
        there = np.empty(stored.shape[_BANDS_AT + 1 :], np.bool_)
        for at in np.ndindex(stored.shape[:_BANDS_AT]):
            for step in steps:
                plane = stored[at][step.source]
                if inexact:
                    np.isfinite(plane, out=there)
                    found[at] &= there
                if nodata is not None:
                    np.not_equal(plane, nodata, out=there)
                    found[at] &= there
        return found

    def steps_for(self, asset: str, *, shape: tuple[int, ...], whole: bool) -> tuple[Step, ...]:
        """Return how each band of an array is made, in the model's order.

        Args:
            asset: The model's name of it.
            shape: Of the stored array, ``(…, band, y, x)``.
            whole: Whether it holds whole numbers.

        Raises:
            InvalidInputError: The model has no such asset, or the shape does not fit.
            ContractMismatchError: Whole numbers are said to be reflectance without a scale.
        """
        if asset not in self.steps:
            self.wanted.of(asset)
            raise ContractMismatchError(
                f"the data have nothing that the model reads as '{asset}'",
                hint=f"they give {', '.join(one.asset for one in self.given.inputs)}",
            )
        steps = self.steps[asset]
        source = self.given.of(self.sources[asset])
        if len(shape) < -_BANDS_AT or shape[_BANDS_AT] != len(source.bands):
            raise InvalidInputError(
                f"an array of '{source.asset}' has shape {shape}",
                hint=f"its contract has {len(source.bands)} bands: give (…, band, y, x)",
            )
        if whole and any(step.fraction for step in steps):
            raise ContractMismatchError(
                f"'{source.asset}' holds whole numbers that are said to be reflectance without a "
                "scale",
                hint=f"say the scale in the card: --set 'assets.{source.asset}={{scale: 0.0001}}'",
            )
        return steps

    def _steps_of(self, asset: str, stored: npt.NDArray[Any]) -> tuple[Step, ...]:
        whole = np.issubdtype(stored.dtype, np.integer)
        return self.steps_for(asset, shape=stored.shape, whole=whole)

    def _nodata(self, asset: str, dtype: np.dtype[Any]) -> Any:  # noqa: ANN401 — a scalar of it
        """Return the nodata value as a scalar of the array's type; None if it holds no such."""
        nodata = self.given.of(self.sources[asset]).nodata
        if nodata is None:
            return None
        if np.issubdtype(dtype, np.integer):
            limits = np.iinfo(dtype)
            if nodata != int(nodata) or not limits.min <= nodata <= limits.max:
                return None
        return dtype.type(nodata)


def conversion(
    wanted: Contract,
    given: Contract,
    *,
    allow: Collection[str] = (),
    dataset: str | None = None,
) -> Conversion:
    """Return how the arrays of some data become what a model reads.

    Bands are found by name, else by their common letter, whatever their order. Units of one kind
    are converted; numbers whose unit nobody said are never taken for reflectance. Pixel sizes that
    differ by more than half and other processing levels are refused unless they are allowed. Where
    the data's own statistics are known, values of another order than the model's are refused too.

    Args:
        wanted: The model's contract.
        given: The data's.
        allow: Of :data:`ALLOWED`.
        dataset: Name of the one that the data are of, for what helps; None if of none.

    Returns:
        The conversion; :attr:`Conversion.said` tells what it does and assumes.

    Raises:
        ContractMismatchError: The data do not give what the model reads; the hint says what helps.
        ImplausibleValuesError: Their values cannot mean what the model learned from.
        InvalidInputError: Something is allowed that there is no rule of.

    Examples:
        >>> from registry.learn.loading.contract import Band, Input
        >>> def reads(*bands, unit, scale):
        ...     named = {"unit": unit, "scale": scale, "mean": 0.0, "std": 1.0}
        ...     made = tuple(Band(name=name, **named) for name in bands)
        ...     return Contract(inputs=(Input(asset="s2", bands=made),))
        >>> model = reads("B04", "B08", unit="reflectance", scale=1.0)
        >>> data = reads("B08", "B04", unit="%", scale=1.0)
        >>> found = conversion(model, data)
        >>> (100 * found.apply("s2", np.array([[[30.0]], [[5.0]]])).ravel()).round().tolist()
        [5.0, 30.0]
        >>> print(*found.said, sep="; ")
        s2: bands are put in the order B04, B08; s2: % becomes reflectance
    """
    if unknown := sorted(set(allow) - set(ALLOWED)):
        raise InvalidInputError(
            f"there is no rule '{unknown[0]}' to allow", hint=f"there are {', '.join(ALLOWED)}"
        )
    steps, sources, said = steps_of(wanted, given, allow=allow, dataset=dataset)
    found = Conversion(wanted=wanted, given=given, sources=sources, said=tuple(said), steps=steps)
    check_known(found, dataset=dataset)
    return found


def _planes(array: npt.NDArray[Any], band: int) -> Sequence[npt.NDArray[Any]]:
    """Return one band of every image as planes ``(y, x)`` that share the array's memory."""
    of_band = array[..., band, :, :]
    if of_band.ndim == 2:  # noqa: PLR2004 — a plane has two sides
        return [of_band]
    return [of_band[at] for at in np.ndindex(of_band.shape[:-2])]


def _is_wide(dtype: np.dtype[Any]) -> bool:
    """Return whether a type has values that 32-bit floats cannot hold exactly."""
    size = np.dtype(np.float32).itemsize
    return dtype.itemsize > size or (dtype.itemsize == size and dtype.kind in "iu")


def _fused(plane: npt.NDArray[Any], step: Step, out: Floats, nodata: Any) -> None:  # noqa: ANN401 — a scalar
    """Normalise a plane into another while it lies in the processor's cache."""
    with np.errstate(over="ignore", invalid="ignore"):
        if _is_wide(plane.dtype):
            np.multiply(np.subtract(plane, step.centre), step.gain, out=out, casting="same_kind")
        else:
            np.copyto(out, plane, casting="unsafe")  # faster alone than in pieces while subtracting
            np.subtract(out, np.float32(step.centre), out=out)
            np.multiply(out, np.float32(step.gain), out=out)
    if np.issubdtype(plane.dtype, np.inexact):
        np.copyto(out, np.float32(0), where=~np.isfinite(plane))
    if nodata is not None:
        np.copyto(out, np.float32(0), where=plane == nodata)
