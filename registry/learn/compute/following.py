"""The log of a job as it grows."""

import codecs
import time
from collections.abc import Callable, Iterator
from typing import Final

from registry.learn.compute.contract import Job

__all__ = ["followed"]

_BLOCK: Final = 65_536
_SHORTEST: Final = 0.1
_LONGEST: Final = 2.0


def followed(job: Job, status: Callable[[Job], Job], *, follow: bool) -> Iterator[str]:
    """Yield what a job's log file holds, and what is added to it.

    Args:
        job: The job.
        status: Says how it stands; asked the more seldom the longer nothing is said.
        follow: Whether to wait for more, until it is over.

    Yields:
        Text as it comes, not always whole lines.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    wait = _SHORTEST
    with job.log.open("rb") as log:
        is_over = not follow
        while True:
            while block := log.read(_BLOCK):
                wait = _SHORTEST
                yield decoder.decode(block)
            if is_over:
                break
            is_over = status(job).state.is_over  # then read once more what it said last
            if not is_over:
                time.sleep(wait)
                wait = min(2 * wait, _LONGEST)
    yield decoder.decode(b"", final=True)
