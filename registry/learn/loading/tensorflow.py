"""Versions as ``tf.data`` datasets, for Keras and TensorFlow."""

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from registry.catalog.ref import Ref
from registry.catalog.registry import Registry
from registry.catalog.version import Version
from registry.errors import InvalidInputError
from registry.learn.loading.contract import Chosen, Contract
from registry.learn.loading.feed import IMAGE, MASK, Feed, feed

if TYPE_CHECKING:
    import tensorflow as tf

__all__ = ["dataset"]

_IMAGES: Final = 4  # sides of (sample, band, y, x)
_BANDS_AT: Final = -3
_FLAT: Final = 2  # sides of boxes


def dataset(
    ref: Ref | str | Version,
    *,
    registry: Registry | None = None,
    contract: Contract | None = None,
    bands: Chosen | None = None,
    allow: Collection[str] = (),
    normalise: bool = True,
    augment: Sequence[str] = (),
    supervised: bool = False,
    **arguments: Any,  # noqa: ANN401 — the stream's own
) -> "tf.data.Dataset":
    """Return a version as batches of TensorFlow's tensors.

    Args:
        ref: A ref such as ``ships@v2``, or a version.
        registry: Where it is looked up; the usual one by default.
        contract: What a model reads; by default what the version gives.
        bands: Which bands, by name or common letter, in this order.
        allow: What may differ from the contract: ``level``, ``gsd``, ``asset``.
        normalise: Whether inputs are normalised; otherwise their stored values are given.
        augment: Names of augmentations.
        supervised: Give pairs of image and label (else mask, else target), as Keras' ``fit``
            takes them, in place of dictionaries.
        arguments: Of :func:`registry.learn.loading.stream.stream`: ``split``, ``batch_size``, …

    Returns:
        Batches with the keys of :func:`registry.learn.loading.torch.loader`, but bands last:
        ``(sample, y, x, band)``, as Keras' layers have them. Boxes and their labels are ragged.
        Each iteration is an epoch, the next one the next.

    Raises:
        InvalidInputError: There is no such asset, band, split or augmentation; or pairs are asked
            for and there is nothing to learn.
        ContractMismatchError: The version does not give what the model reads.
    """
    import tensorflow as tf

    made = feed(
        ref, registry=registry, contract=contract, bands=bands, allow=allow, normalise=normalise,
        augment=augment, **arguments,
    )  # fmt: skip
    first = _first(made)
    wanted = _wanted(first) if supervised else None

    def give(batch: dict[str, Any]) -> Any:  # noqa: ANN401 — a pair or a dictionary
        tensors = {name: _tensor(value) for name, value in batch.items()}
        return tensors if wanted is None else (tensors[IMAGE], tensors[wanted])

    def batches() -> Iterator[Any]:
        yield from made.run(give)

    signature = {name: _signature(value) for name, value in first.items()}
    found = tf.data.Dataset.from_generator(
        batches,
        output_signature=signature if wanted is None else (signature[IMAGE], signature[wanted]),
    )
    return found.apply(tf.data.experimental.assert_cardinality(len(made)))


def _first(made: Feed) -> dict[str, Any]:
    """Return a batch to see what the others look like; the first epoch begins with it again."""
    epoch = made.epoch
    first = next(iter(made))
    made.set_epoch(epoch)
    return first


def _wanted(batch: dict[str, Any]) -> str:
    for name in ("label", MASK, "target"):
        if isinstance(batch.get(name), np.ndarray):
            return name
    raise InvalidInputError(
        "there are no pairs to give: the batches have neither label nor mask nor target",
        hint=f"leave supervised out; they have {', '.join(batch)}",
    )


def _last(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return an array with bands last, if it has any: masks have none."""
    return np.ascontiguousarray(np.moveaxis(array, _BANDS_AT, -1))


def _has_bands(value: npt.NDArray[Any]) -> bool:
    return value.ndim >= _IMAGES and value.dtype == np.float32


def _tensor(value: Any) -> Any:  # noqa: ANN401 — an array, a list of them, or text
    import tensorflow as tf

    if isinstance(value, np.ndarray):
        return _last(value) if _has_bands(value) else value
    if value and isinstance(value[0], str):
        return np.array(value, np.object_)
    return tf.RaggedTensor.from_row_lengths(np.concatenate(value), [len(one) for one in value])


def _signature(value: Any) -> Any:  # noqa: ANN401 — TensorFlow's own
    import tensorflow as tf

    if isinstance(value, np.ndarray):
        shape = (_last(value) if _has_bands(value) else value).shape
        return tf.TensorSpec((None, *shape[1:]), tf.as_dtype(value.dtype))
    if value and isinstance(value[0], str):
        return tf.TensorSpec((None,), tf.string)
    inner = value[0]
    shape = (None, None, *inner.shape[1:])
    return tf.RaggedTensorSpec(shape, tf.as_dtype(inner.dtype), ragged_rank=1)
