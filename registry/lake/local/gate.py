"""Who may add to a repository while garbage collection decides what to remove."""

from collections.abc import Iterator
from contextlib import contextmanager

from registry.lake.local import locks
from registry.lake.local.layout import Layout

__all__ = ["adding", "sweeping"]


@contextmanager
def adding(layout: Layout) -> Iterator[None]:
    """Add objects, refs or views while nothing is removed; not to be nested."""
    with locks.shared(layout.turnstile):
        passed = locks.shared(layout.gate)
        passed.__enter__()
    try:
        yield
    finally:
        passed.__exit__(None, None, None)


@contextmanager
def sweeping(layout: Layout) -> Iterator[None]:
    """Remove objects while nothing is added; who wants to add queues behind the turnstile."""
    with locks.exclusive(layout.turnstile), locks.exclusive(layout.gate):
        yield
