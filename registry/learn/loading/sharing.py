"""The samples of a batch shared among threads; NumPy works outside the interpreter lock."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeAlias

__all__ = ["Share", "sharing"]

_PARTS: Final = 4  # of the samples a thread: those that end early take more

Share: TypeAlias = Callable[[Callable[[range], None], int], None]
"""Calls a function with ranges of numbers that together are all below a count."""


@contextmanager
def sharing(threads: int) -> Iterator[Share]:
    """Give what calls a function for some samples at a time, in as many threads.

    Args:
        threads: Fewer than 2 for the caller's alone.

    Yields:
        The function that shares; its threads end with the block.

    Examples:
        >>> found = [0] * 5
        >>> def fill(numbers: range) -> None:
        ...     for number in numbers:
        ...         found[number] = number**2
        >>> with sharing(2) as share:
        ...     share(fill, 5)
        >>> found
        [0, 1, 4, 9, 16]
    """
    if threads < 2:  # noqa: PLR2004 — one thread has nobody to share with
        yield lambda make, count: make(range(count))
        return
    with ThreadPoolExecutor(threads, thread_name_prefix="eolab-share") as pool:

        def share(make: Callable[[range], None], count: int) -> None:
            size = max(1, -(-count // (_PARTS * threads)))
            parts = [range(low, min(count, low + size)) for low in range(0, count, size)]
            for _ in pool.map(make, parts):  # the first part's error comes first
                pass

        yield share
