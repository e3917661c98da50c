"""What comes next is made while somebody works on what came last."""

from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar, cast

__all__ = ["ahead"]

_END: Final = object()

Item = TypeVar("Item")


def ahead(items: Generator[Item, None, None], depth: int = 1) -> Generator[Item, None, None]:
    """Yield what a generator yields, made some items ahead by a thread.

    Args:
        items: Run by that thread, and closed when this one is.
        depth: How many items may wait; 0 for no thread.

    Examples:
        >>> list(ahead((number**2 for number in range(4)), 2))
        [0, 1, 4, 9]
    """
    if depth < 1:
        yield from items
        return
    waiting: deque[Future[Item | object]] = deque()
    try:
        with ThreadPoolExecutor(1, thread_name_prefix="eolab-ahead") as thread:
            try:
                for _ in range(depth):
                    waiting.append(thread.submit(next, items, _END))
                while (item := waiting.popleft().result()) is not _END:
                    waiting.append(thread.submit(next, items, _END))
                    yield cast("Item", item)
            finally:
                for one in waiting:
                    one.cancel()
    finally:
        items.close()
