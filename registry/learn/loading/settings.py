"""How a stream makes its batches, beyond which samples and in which order."""

import os
from dataclasses import dataclass
from typing import Final, Literal

from registry.errors import InvalidInputError
from registry.learn.loading.buffers import Allocator, empty

__all__ = ["Settings", "usual_threads"]

_MOST_THREADS: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How batches are made."""

    threads: int
    """Threads that read and unpack; 0 for none but the caller's."""

    on_error: Literal["stop", "skip"] = "stop"
    """What a chip that cannot be read does."""

    copy: bool = False
    """Whether every batch has memory of its own."""

    allocator: Allocator = empty
    """What makes the buffers."""

    def __post_init__(self) -> None:
        if self.threads < 0:
            raise InvalidInputError(f"threads is {self.threads}", hint="give at least 0")
        if self.on_error not in {"stop", "skip"}:
            raise InvalidInputError(f"on_error is {self.on_error!r}", hint="use 'stop' or 'skip'")


def usual_threads() -> int:
    """Return one thread a processor that this process may use, at most 8."""
    if hasattr(os, "sched_getaffinity"):
        return min(_MOST_THREADS, len(os.sched_getaffinity(0)))
    return min(_MOST_THREADS, os.cpu_count() or 1)
