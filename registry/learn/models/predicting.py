"""Stored values in, probabilities, quantities and boxes out."""

from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.loading.contract import Contract
from registry.learn.loading.conversion import conversion
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.models.opening import network as network_of
from registry.learn.models.shelf import Model

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["PRECISIONS", "Answer", "Found", "Predictor", "answer_of"]

PRECISIONS: Final = ("32", "bf16", "16")
"""What a network may compute in: 32 bits; or 16, where the range of numbers or their precision
is kept."""

_CLASSES: Final = frozenset({HeadTask.CLASSIFICATION, HeadTask.SEGMENTATION, HeadTask.CHANGE})
_QUANTITIES: Final = frozenset({HeadTask.REGRESSION, HeadTask.PIXEL_REGRESSION})
_PRETRAINING: Final = frozenset({HeadTask.RECONSTRUCTION, HeadTask.CONTRASTIVE})
_BESIDE: Final = ("_valid", "_day")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """The objects that a model sees in one sample."""

    corners: npt.NDArray[np.float32]
    """``(objects, 4)``: x and y of the upper left, then of the lower right corner, in pixels."""

    classes: npt.NDArray[np.int64]
    """``(objects,)``: the class of each, from 0, as its head orders them."""

    scores: npt.NDArray[np.float32]
    """``(objects,)``: how sure it is, in [0, 1]; surest first."""


Answer = npt.NDArray[np.float32] | tuple[Found, ...]
"""What a head says of a batch."""


class Predictor:
    """A model that takes the stored values of some data.

    On a CPU the same arrays give the same bits, run after run, with as many threads. What a sample
    is told depends on those beside it in the batch as far as the machine's matrix products do:
    some choose their order of sums by the number of rows, which moves the last bits. With
    ``alone`` each sample goes through the network by itself, and what it is told does not depend
    on the batch at all. On a GPU neither is promised.

    Args:
        model: A version.
        given: What the numbers of the data mean. Bands are found, units converted; where they do
            not go together, it is refused with the remedy.
        device: Such as ``cpu`` or ``cuda:0``.
        precision: One of :data:`PRECISIONS`.
        allow: Differences that are accepted, of :data:`registry.learn.loading.conversion.ALLOWED`.
        alone: Whether each sample goes by itself.
        network: The model's, where it is at hand already.
        dataset: Name of the one that the data are of, for what helps; None if of none.

    Raises:
        ContractMismatchError: The data do not give what the model reads.
        InvalidInputError: The model cannot predict, or there is no such precision.
    """

    def __init__(
        self,
        model: Model,
        *,
        given: Contract,
        device: str = "cpu",
        precision: str = "32",
        allow: Collection[str] = (),
        alone: bool = False,
        network: "nn.Module | None" = None,
        dataset: str | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise InvalidInputError(
                f"there is no precision '{precision}'", hint=f"take one of {', '.join(PRECISIONS)}"
            )
        self.model = model
        self.heads: tuple[Head, ...] = model.card.heads
        self.device = device
        self.precision = precision
        self.alone = alone
        self.conversion = conversion(model.card.contract, given, allow=allow, dataset=dataset)
        self.network: Any = network_of(model, device=device) if network is None else network
        stone = model.tombstone
        withdrawn = () if stone is None else (f"{model.ref} was withdrawn: {stone.reason}",)
        smoke = (f"{model.ref} is smoke: it knows nothing",) if model.card.smoke else ()
        self.said: tuple[str, ...] = (*withdrawn, *smoke, *self.conversion.said)
        """What is converted or assumed, and what to know of the model, in words."""

    def __call__(self, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Answer]:
        """Return what the model says of some samples.

        Args:
            arrays: By asset of the data, stored values ``(sample, band, y, x)`` or ``(sample,
                time, band, y, x)``; one that is left out is missing for all of them. Beside it
                ``<asset>_valid``, whether a sample has it ``(sample,)`` or which of its time steps
                are no padding ``(sample, time)``, and ``<asset>_day``, days of year.

        Returns:
            By head: probabilities ``(sample, class)`` or ``(sample, class, y, x)``, which sum to 1
            over classes but where a sample may have several; quantities ``(sample, 1)`` or
            ``(sample, 1, y, x)`` in the head's unit; for boxes one :class:`Found` a sample. Heads
            of pretraining say nothing here: see :meth:`embed`.

        Raises:
            InvalidInputError: The arrays are not as the data's contract says.
        """
        inputs = self._inputs(arrays)
        parts = [self._asked(one) for one in self._turns(inputs)]
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}

    def embed(self, arrays: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float32]:
        """Return one vector a sample.

        Args:
            arrays: As for a call.

        Returns:
            Unitless, ``(sample, channel)``.
        """
        import torch

        parts = []
        for inputs in self._turns(self._inputs(arrays)):
            with torch.inference_mode(), self._computing():
                parts.append(_array(self.network.embed(inputs)))
        return np.concatenate(parts)

    def _asked(self, inputs: "Mapping[str, Tensor]") -> dict[str, Answer]:
        import torch

        with torch.inference_mode():
            with self._computing():
                answers = self.network(inputs)
            return {
                head.name: answer_of(head, answers[head.name])
                for head in self.heads
                if head.task not in _PRETRAINING
            }

    def _inputs(self, arrays: Mapping[str, npt.NDArray[Any]]) -> "dict[str, Tensor]":
        import torch

        inputs: dict[str, Tensor] = {}
        for asset, source in self.conversion.sources.items():
            if source not in arrays:
                continue
            made = self.conversion.apply(asset, np.asarray(arrays[source]))
            inputs[asset] = torch.from_numpy(made).to(self.device)
            for end in _BESIDE:
                if source + end in arrays:
                    beside = np.ascontiguousarray(arrays[source + end])
                    inputs[asset + end] = torch.from_numpy(beside).to(self.device)
        lengths = {len(one) for one in inputs.values()}
        if len(lengths) != 1 or lengths == {0}:
            there = ", ".join(self.conversion.sources.values())
            raise InvalidInputError(
                f"arrays of {sorted(lengths)} samples were given"
                if lengths
                else "no array of an asset that the model reads was given",
                hint=f"give one array each of {there}, all of as many samples, at least one",
            )
        return inputs

    def _turns(self, inputs: "dict[str, Tensor]") -> "list[dict[str, Tensor]]":
        if not self.alone:
            return [inputs]
        count = len(next(iter(inputs.values())))
        return [{name: one[at : at + 1] for name, one in inputs.items()} for at in range(count)]

    def _computing(self) -> AbstractContextManager[object]:
        import torch

        if self.precision == "32":
            return nullcontext()
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float16
        return torch.autocast(torch.device(self.device).type, dtype=dtype)


def answer_of(head: Head, raw: Any) -> Answer:  # noqa: ANN401 — a tensor, or a list a sample
    """Return what a network's output means.

    Args:
        head: Of the network.
        raw: Its output: logits, normalised quantities, or a list of ``boxes``, ``scores``,
            ``labels`` a sample.

    Returns:
        As :class:`Predictor` says.
    """
    if head.task is HeadTask.DETECTION:
        return tuple(_found(one) for one in raw)
    values = raw.float()
    if head.task in _QUANTITIES:
        return _array(values * head.std + head.mean)
    if head.task in _CLASSES and len(head.classes) > 1:
        return _array(values.softmax(1))
    return _array(values.sigmoid())


def _found(one: "Mapping[str, Tensor]") -> Found:
    order = one["scores"].argsort(descending=True, stable=True)
    return Found(
        corners=_array(one["boxes"][order]).reshape(-1, 4),
        classes=one["labels"][order].cpu().numpy().astype(np.int64),
        scores=_array(one["scores"][order]),
    )


def _array(tensor: "Tensor") -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.float().cpu().numpy()
    return array


def _joined(parts: list[Answer]) -> Answer:
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], tuple):
        return tuple(one for part in parts for one in part)
    return np.concatenate([part for part in parts if not isinstance(part, tuple)])
