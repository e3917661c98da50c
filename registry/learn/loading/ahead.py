"""What comes next is made while somebody works on what came last."""

from collections.abc import Generator
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Final, TypeVar

__all__ = ["ahead"]

_LOOK: Final = 0.05  # seconds between looks at whether anybody still waits

Item = TypeVar("Item")


def ahead(items: Generator[Item, None, None], depth: int = 1) -> Generator[Item, None, None]:
    """Yield what a generator yields, made some items ahead by a thread.

    Args:
        items: Run by that thread alone, and closed by it.
        depth: How many items may wait; 0 for no thread.
    """
    if depth < 1:
        yield from items
        return
    waiting: Queue[Item] = Queue(maxsize=depth)
    stop, failed = Event(), list[BaseException]()
    thread = Thread(
        target=_work, args=(items, waiting, stop, failed), name="eolab-ahead", daemon=True
    )
    thread.start()
    try:
        while True:
            alive = thread.is_alive()  # looked at before the queue, which it fills no more after
            try:
                yield waiting.get(timeout=_LOOK if alive else 0)
            except Empty:
                if not alive:
                    break
        if failed:
            raise failed[0]
    finally:
        stop.set()
        thread.join()


def _work(
    items: Generator[Item, None, None],
    waiting: "Queue[Item]",
    stop: Event,
    failed: list[BaseException],
) -> None:
    try:
        for item in items:
            if not _handed(item, waiting, stop):
                break
    except BaseException as error:  # noqa: BLE001 — raised where the items are asked for
        failed.append(error)
    finally:
        items.close()


def _handed(item: Item, waiting: "Queue[Item]", stop: Event) -> bool:
    while not stop.is_set():
        try:
            waiting.put(item, timeout=_LOOK)
        except Full:
            continue
        return True
    return False
