"""An embedding by a model's file: bands in, one vector out."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from registry.curate.features.scene import MissingInputError
from registry.curate.features.sets.embeddings.model_file import ModelFile, ModelRefusedError
from registry.curate.features.sets.embeddings.session import Limits, Port, Session, session_of
from registry.curate.features.sets.embeddings.stack import Stack

__all__ = ["Model", "chosen", "resized"]

_RANK: Final = 4
_MOST_DIMENSIONS: Final = 65_536

Singles = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A model whose input fits, and which output is taken."""

    file: ModelFile = field(repr=False)
    """What is run."""

    taken: Port
    """Its image: ``(1, band, y, x)``."""

    wanted: Port
    """What becomes the embedding."""

    limits: Limits
    """What it may take."""

    def embed(self, bands: Stack) -> Singles:
        """Return what the model says of a sample.

        Args:
            bands: Scaled as the model wants them; unobserved pixels become 0.

        Returns:
            The mean over time steps of its output, itself averaged over whatever the output has
            beside its second axis (of ``(1, token, d)``: beside its last); unitless, shape
            ``(dimension,)``.

        Raises:
            MissingInputError: Nothing was observed, or the sample has another number of bands.
            ModelFailedError: The model could not.
        """
        count = self.taken.shape[1]
        if count is not None and count != len(bands.bands):
            raise MissingInputError(
                f"the model takes {count} bands, and these are {' '.join(bands.bands)}",
                hint="name the model's bands in order: the parameter 'bands'",
            )
        session = session_of(self.file, self.limits)
        steps = [
            self._of_step(session, step)
            for step, seen in zip(bands.values, bands.seen, strict=True)
            if seen.any()
        ]
        if not steps:
            raise MissingInputError("no pixel of it was observed", hint="see its nodata value")
        return np.asarray(np.mean(steps, axis=0), dtype=np.float32)

    def _of_step(self, session: Session, step: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        filled = np.nan_to_num(step, nan=0.0)
        height, width = (
            wanted or there
            for wanted, there in zip(self.taken.shape[2:], step.shape[1:], strict=True)
        )
        image = resized(filled, height, width).astype(np.float32)[None]
        found = session.run(image, taken=self.taken.name, wanted=self.wanted.name)
        vector = _pooled(found)
        if vector.size > _MOST_DIMENSIONS or not np.isfinite(vector).all():
            raise ModelRefusedError(
                f"the model's '{self.wanted.name}' of shape {found.shape} is no embedding",
                hint="name another output: the parameter 'output'",
            )
        return vector


def chosen(file: ModelFile, output: str | None, limits: Limits) -> Model:
    """Open a model and return it with its input and the output wanted.

    Args:
        file: That was read and checked.
        output: Its name; the first if None.
        limits: What it may take.

    Returns:
        A model that takes images.

    Raises:
        ModelRefusedError: It does not take one image of 32-bit floats ``(1, band, y, x)``, or has
            no such output.
        ModelFailedError: It cannot be opened.
    """
    session = session_of(file, limits)
    if len(session.inputs) != 1 or not _is_image(session.inputs[0]):
        said = ", ".join(f"{one.name}: {one.type} {_shown(one)}" for one in session.inputs[:5])
        raise ModelRefusedError(
            f"the model takes {said or 'nothing'}",
            hint="export one with a single input tensor(float) of shape (1, band, y, x)",
        )
    for port in session.outputs:
        if port.name == output or output is None:
            return Model(file=file, taken=session.inputs[0], wanted=port, limits=limits)
    raise ModelRefusedError(
        f"the model has no output {output!r}",
        hint=f"take one of {', '.join(one.name for one in session.outputs[:20])}",
    )


def _is_image(port: Port) -> bool:
    fits = port.type == "tensor(float)" and len(port.shape) == _RANK
    return fits and port.shape[0] in {None, 1}


def _shown(port: Port) -> str:
    return f"({', '.join('?' if one is None else str(one) for one in port.shape)})"


def _pooled(found: Singles) -> npt.NDArray[np.float64]:
    values = found.astype(np.float64)
    if values.ndim <= 1:
        return values.reshape(-1)
    first = values[0]  # one image was given
    if first.ndim == 2:  # noqa: PLR2004 — (token, d)
        return np.asarray(first.mean(axis=0))
    return np.asarray(first.reshape(len(first), -1).mean(axis=1))


def resized(image: npt.NDArray[np.float64], height: int, width: int) -> npt.NDArray[np.float64]:
    """Return an image of another size, bilinearly between the centres of pixels.

    Args:
        image: In any unit (unitless, reflectance), shape ``(band, y, x)``.
        height: Rows wanted.
        width: Columns wanted.

    Returns:
        Shape ``(band, height, width)``; the same array if that is its size.

    Examples:
        >>> resized(np.array([[[0.0, 4.0]]]), 1, 4).tolist()
        [[[0.0, 1.0, 3.0, 4.0]]]
    """
    for axis, size in ((1, height), (2, width)):
        there = image.shape[axis]
        if there == size:
            continue
        place = np.clip((np.arange(size) + 0.5) * there / size - 0.5, 0, there - 1)
        low = np.floor(place).astype(np.int64)
        share = (place - low)[:, None] if axis == 1 else place - low
        high = np.minimum(low + 1, there - 1)
        image = image.take(low, axis=axis) * (1 - share) + image.take(high, axis=axis) * share
    return image
