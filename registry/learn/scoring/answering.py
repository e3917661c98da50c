"""What is scored: the answers that a model gives for batches of samples."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

    from registry.learn.loading.batch import Batch
    from registry.learn.models.predicting import Predictor

__all__ = ["Answer", "model_answer"]

Answer = Callable[["Batch"], Mapping[str, Any]]
"""Gives for a batch what each head answers: probabilities, quantities or boxes."""


def model_answer(
    predictor: "Predictor", truths: Sequence[str], dataset: str | None = None
) -> Answer:
    """Return what asks a model for its answers, and refuses values of another order than its own.

    Args:
        predictor: The model.
        truths: Assets of a batch that say the truth; it does not get them.
        dataset: Name of the one that batches are of, for what helps.
    """
    from registry.learn.loading.plausible import check_arrays

    unseen = set(predictor.conversion.sources)

    def answer(batch: "Batch") -> Mapping[str, Any]:
        arrays = _arrays(batch, truths)
        unseen.difference_update(
            check_arrays(predictor.conversion, arrays, assets=unseen, dataset=dataset)
        )
        return predictor(arrays)

    return answer


def _arrays(batch: "Batch", truths: Sequence[str]) -> "dict[str, npt.NDArray[Any]]":
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, array in batch.arrays.items():
        there = batch.valid.get(name)
        if name in truths or (there is not None and not there.any()):
            continue  # an asset that no sample of the batch has is left out
        arrays[name] = array
        if there is not None:
            arrays[f"{name}_valid"] = there
    return arrays
