"""Ends what has threads before the interpreter does, by one handler for all of it."""

import atexit
from typing import Protocol
from weakref import WeakSet

__all__ = ["Ending", "ended_at_exit"]


class Ending(Protocol):
    """Something with threads of its own; it may be ended more than once, and by any thread."""

    def stop(self) -> None:
        """Begin nothing more; returns at once."""

    def close(self) -> None:
        """Stop, and wait for what was begun."""


_open: WeakSet[Ending] = WeakSet()


def ended_at_exit(one: Ending) -> None:
    """Have something ended with the interpreter, unless nobody has it any more by then.

    A thread that the interpreter stops inside a library may take the process with it.

    Args:
        one: Its threads hold it for as long as they run. Nobody needs to say that it was closed.
    """
    _open.add(one)


@atexit.register
def _end_all() -> None:
    ending = []
    while _open:
        try:  # an iteration would mind what another thread begins meanwhile
            ending.append(_open.pop())
        except KeyError:
            break
    for one in ending:
        one.stop()
    for one in ending:
        one.close()
