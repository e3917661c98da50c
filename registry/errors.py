"""Every error the registry raises, grouped by what the caller does next.

::

    RegistryError
    ├── NotFoundError       (LookupError)      ask for something that exists     exit 3
    ├── ConflictError                          read again, then retry            exit 4
    ├── InvalidInputError   (ValueError)       change the argument               exit 2
    ├── RejectedError                          change the data                   exit 5
    ├── ForbiddenError      (PermissionError)  ask for the right, or the quota   exit 6
    ├── UnavailableError    (ConnectionError)  wait, or start the service        exit 7
    └── CorruptError                           stop, then restore                exit 8
"""

from typing import ClassVar

__all__ = [
    "ConflictError",
    "CorruptError",
    "ForbiddenError",
    "InvalidInputError",
    "NotFoundError",
    "RegistryError",
    "RejectedError",
    "UnavailableError",
]


class RegistryError(Exception):
    """Base of every error the registry raises on purpose.

    Args:
        problem: What is wrong, with the offending value in it; no final full stop.
        hint: What to do next, in the imperative.
    """

    code: ClassVar[str] = "registry"
    """Stable, kebab-case; logged and sent over HTTP. Codes are added, never renamed."""

    exit_status: ClassVar[int] = 1
    """What the command line exits with."""

    def __init__(self, problem: str, *, hint: str) -> None:
        super().__init__(f"{problem}\n  hint: {hint}")
        self.problem = problem
        self.hint = hint

    # Crosses process borders whole: the problem and the hint travel, not their sum.
    def __reduce__(self) -> tuple[object, ...]:
        return _revive, (type(self), self.problem, self.hint)


def _revive(kind: type[RegistryError], problem: str, hint: str) -> RegistryError:
    error = kind.__new__(kind)
    RegistryError.__init__(error, problem, hint=hint)
    return error


class NotFoundError(RegistryError, LookupError):
    """Something asked for by name does not exist."""

    code = "not-found"
    exit_status = 3


class ConflictError(RegistryError):
    """Somebody else changed what this call builds on, or two sides disagree."""

    code = "conflict"
    exit_status = 4


class InvalidInputError(RegistryError, ValueError):
    """An argument can never be right, whatever the lake holds."""

    code = "invalid-input"
    exit_status = 2


class RejectedError(RegistryError):
    """The data break a rule; the argument that names them is fine."""

    code = "rejected"
    exit_status = 5


class ForbiddenError(RegistryError, PermissionError):
    """The caller may not do this."""

    code = "forbidden"
    exit_status = 6


class UnavailableError(RegistryError, ConnectionError):
    """A service, disk or program that is needed does not answer."""

    code = "unavailable"
    exit_status = 7


class CorruptError(RegistryError):
    """Stored bytes are not what was stored."""

    code = "corrupt"
    exit_status = 8
