"""Batches straight from the tables of a version, in bounded memory, the same every time."""

from collections.abc import Iterator

from registry.learn.loading.batch import Batch

__all__ = ["stream"]


def stream(ref: str, *, batch_size: int = 32) -> Iterator[Batch]:
    """Yield batches."""
    raise NotImplementedError(ref, batch_size)
