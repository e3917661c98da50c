"""The operating system's errors, in the registry's words."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from registry.errors import (
    CorruptError,
    ForbiddenError,
    InvalidInputError,
    RegistryError,
    UnavailableError,
)

__all__ = ["translated", "translated_if_full"]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn the operating system's errors into the registry's.

    Args:
        doing: What is being done, for the message; such as ``"write to the lake"``.

    Raises:
        UnavailableError: The disk is full, or does not answer.
        ForbiddenError: The folder may not be written or read.
        CorruptError: The disk reports damage.
        InvalidInputError: A name is too long for the file system.
    """  # noqa: DOC501 — the function that translates knows them
    try:
        yield
    except RegistryError:
        raise
    except OSError as error:
        raise _in_our_words(error, doing) from error


def _in_our_words(error: OSError, doing: str) -> RegistryError:
    problem = f"cannot {doing}: {error.strerror or error}"
    if error.filename:
        problem = f"{problem}: {error.filename}"
    if error.errno in _FULL:
        return UnavailableError(problem, hint="make room on the disk (eolab gc), then do it again")
    if error.errno in _FORBIDDEN:
        return ForbiddenError(problem, hint="ask for the right to write to that folder")
    if error.errno == errno.ENAMETOOLONG:
        return InvalidInputError(problem, hint="use a shorter name or a lake nearer to the root")
    if error.errno == errno.EIO:
        return CorruptError(problem, hint="check the disk, then run eolab fsck")
    return UnavailableError(problem, hint="see that the disk is there and nobody moved the folder")


@contextmanager
def translated_if_full(doing: str) -> Iterator[None]:
    """Turn what only a full, read-only or broken disk says into the registry's errors.

    Around what callers do, whose other mistakes are theirs.

    Args:
        doing: As in :func:`translated`.

    Raises:
        UnavailableError: The disk is full.
        ForbiddenError: The disk may not be written.
        CorruptError: The disk reports damage.
    """  # noqa: DOC501 — as above
    try:
        yield
    except RegistryError:
        raise
    except OSError as error:
        if error.errno in {*_FULL, errno.EROFS, errno.EIO}:
            raise _in_our_words(error, doing) from error
        raise
