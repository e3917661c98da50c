"""One sample into a batch's buffers: read, unpacked outside the interpreter lock, cut, padded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import CorruptError, InvalidInputError
from registry.learn.loading.cropping import Scene, begin_of
from registry.learn.loading.fitting import Crop, Fit, frames_of
from registry.learn.loading.places import NOWHERE, Places
from registry.learn.loading.reading import Reader, Scratch
from registry.tables.errors import UnsafeArrayError
from registry.tables.pixels import CODECS, JPEG, decode, pixel_digest

__all__ = ["CorruptChipError", "Desk", "Filler"]

_CODECS: Final = (JPEG, *CODECS)  # as the index of pixels writes their places down

Array = npt.NDArray[Any]


class CorruptChipError(CorruptError):
    """A chip that a batch needs cannot be read."""

    code = "corrupt-chip"


class Desk:
    """What one thread works with; nothing on it outlives the next sample."""

    __slots__ = ("arrays", "read", "scratch")

    def __init__(self) -> None:
        self.scratch = Scratch()
        self.arrays: dict[str, Array] = {}
        self.read = 0
        """Bytes of payloads that were read."""

    def array(self, asset: str, dtype: "np.dtype[Any]", shape: tuple[int, ...]) -> Array:
        """Return memory for a whole array of an asset."""
        found = self.arrays.get(asset)
        if found is None or found.shape != shape or found.dtype != dtype:
            found = self.arrays[asset] = np.empty(shape, dtype)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Filler:
    """Fills places of batch buffers; threads share it."""

    places: Mapping[str, Places]
    """Where each asset lies."""

    fits: Mapping[str, Fit]
    """What each looks like in a batch."""

    reader: Reader
    """The data files."""

    crop: Crop | None
    """How samples are cut; None if they are not."""

    chance: int | None
    """What random crops start from; None for crops from the centre."""

    observed: str | None
    """Asset whose crops must hold an observed pixel; None for none."""

    names: Any = field(repr=False)
    """Ids of the samples, an Arrow array."""

    def fill(
        self, buffers: Mapping[str, Array], at: int, sample: int, *, epoch: int, desk: Desk
    ) -> tuple[int, int]:
        """Put all assets of a sample into a batch's buffers.

        Args:
            buffers: By asset.
            at: Which place of the batch.
            sample: The sample's number.
            epoch: Which pass over the samples.
            desk: The thread's own.

        Returns:
            Where its crop begins, y and x in pixels of the first asset; 0, 0 without one.

        Raises:
            CorruptChipError: A chip cannot be read; names sample and asset.
        """
        begin: tuple[int, int] = (0, 0)
        if self.crop is None:
            for name, fit in self.fits.items():
                self._whole(buffers[name][at], fit, sample, desk)
            return begin
        wholes = {name: self._decoded(name, sample, desk) for name in self.fits}
        begin = self._begin(wholes, sample, epoch, self.crop)
        for name, fit in self.fits.items():
            _put(buffers[name][at], _cut(wholes[name], fit, begin), fit)
        return begin

    def _whole(self, target: Array, fit: Fit, sample: int, desk: Desk) -> None:
        place = self.places[fit.asset]
        form = int(place.form[sample])
        if form >= 0 and place.forms[form][1] == fit.shape:
            self._decode(fit.asset, sample, desk, target)
        else:
            _put(target, self._decoded(fit.asset, sample, desk), fit)

    def _decoded(self, asset: str, sample: int, desk: Desk) -> Array | None:
        place = self.places[asset]
        form = int(place.form[sample])
        if form < 0:
            return None
        dtype, shape = place.forms[form]
        array = desk.array(asset, np.dtype(dtype), shape)
        self._decode(asset, sample, desk, array)
        return array

    def _decode(self, asset: str, sample: int, desk: Desk, out: Array) -> None:
        place = self.places[asset]
        dtype, shape = place.forms[int(place.form[sample])]
        try:
            codec, data = self._payload(place, sample, desk)
            decode(data, codec=codec, dtype=dtype, shape=shape, out=out)
            if int(place.stored.file[sample]) in self.reader.apart:
                _check(place, sample, sha256(data).digest() if codec == JPEG else pixel_digest(out))
        except (CorruptError, InvalidInputError) as error:
            raise CorruptChipError(
                f"asset {asset!r} of sample {self.names[sample].as_py()!r} cannot be read: "
                f"{error.problem}",
                hint="run eolab fsck; to go on with another sample in its place: on_error='skip'",
            ) from error

    def _payload(self, place: Places, sample: int, desk: Desk) -> tuple[str, memoryview | bytes]:
        stored = place.stored
        file, length = int(stored.file[sample]), int(stored.length[sample])
        code = int(stored.codec[sample])
        if file == NOWHERE or code >= len(_CODECS):
            raise UnsafeArrayError("its codec is not known", hint="run eolab fsck")
        desk.read += length
        if not stored.offset[sample]:
            group, row = int(stored.group[sample]), int(stored.row[sample])
            return _CODECS[code], self.reader.read_through_parquet(file, group, row)
        return _CODECS[code], self.reader.read(
            file, int(stored.offset[sample]), length, desk.scratch
        )

    def _begin(
        self, wholes: Mapping[str, Array | None], sample: int, epoch: int, crop: Crop
    ) -> tuple[int, int]:
        chance = scene = None
        if self.chance is not None:
            chance = np.random.Generator(
                np.random.Philox(key=[self.chance, epoch], counter=[0, 0, 0, sample])
            )
        if self.observed is not None and (array := wholes[self.observed]) is not None:
            nodata = float(self.places[self.observed].nodata[sample])
            scene = Scene(array=array, nodata=nodata, ratio=self.fits[self.observed].ratio)
        return begin_of(crop, sample, scene, chance)


def _check(place: Places, sample: int, digest: bytes) -> None:
    """Refuse a chip that came alone, so that its file's own hash says nothing of it.

    Raises:
        UnsafeArrayError: It is not what the table names.
    """
    named = place.stored.digest
    if named is not None and named[sample] != np.bytes_(digest):
        raise UnsafeArrayError(
            "other bytes were fetched than the table names", hint="run eolab fsck on that lake"
        )


def _cut(array: Array | None, fit: Fit, begin: tuple[int, int]) -> Array | None:
    if array is None:
        return None
    y, x = (int(first * part) for first, part in zip(begin, fit.ratio, strict=True))
    return array[..., y : y + fit.shape[-2], x : x + fit.shape[-1]]


def _put(target: Array, array: Array | None, fit: Fit) -> None:
    """Copy what there is of an array; zeros where there is none."""
    if array is None:
        target[...] = 0
    elif not fit.series:
        target[...] = array
    else:
        picked = frames_of(np.array([len(array)]), fit.frames)[0]
        count = int((picked >= 0).sum())
        target[:count] = array[picked[:count]]
        target[count:] = 0
