"""How much a query may use."""

import os
from dataclasses import dataclass

from registry.errors import InvalidInputError

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a query's process may use before it is ended.

    Raises:
        InvalidInputError: A limit is not positive.
    """

    memory_mb: int = 2048
    """Memory for data, in MiB; at least 64. The process gets 1.5 GiB of address space more."""

    seconds: float = 60.0
    """Time on the clock from the first row asked for to the last one given, in seconds."""

    threads: int = min(4, os.cpu_count() or 1)
    """How many threads compute."""

    rows: int | None = None
    """Most rows of the result; more is an error, never a cut. None is no limit."""

    def __post_init__(self) -> None:
        for name, least in (("memory_mb", 64), ("seconds", 0.001), ("threads", 1), ("rows", 0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise InvalidInputError(f"limit {name} is {value}", hint=f"give at least {least:g}")
