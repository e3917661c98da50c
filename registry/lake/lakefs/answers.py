"""What a lakeFS server answers when it does not do what was asked, in the registry's words."""

import json
import re

from registry.errors import (
    ConflictError,
    CorruptError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RegistryError,
    RejectedError,
    UnavailableError,
)

__all__ = [
    "GoneError", "RefusedError", "TakenError", "UnsureError", "refusal", "said_by", "unsure",
]  # fmt: skip

_LONGEST = 300


class RefusedError(InvalidInputError):
    """Status 400: the server will not do this, however often it is asked."""

    @property
    def changes_nothing(self) -> bool:
        """Whether it refused because there was nothing to commit or to merge."""
        return "no changes" in self.problem

    @property
    def finds_dirt(self) -> bool:
        """Whether it refused because somebody staged objects on the branch itself."""
        return "dirty branch" in self.problem


class GoneError(NotFoundError):
    """Status 404: no such repository, branch, tag, commit or object."""


class TakenError(ConflictError):
    """Status 409 or 412: the name is taken, or both sides of a merge changed a path."""


class UnsureError(UnavailableError):
    """Nobody knows whether the server has done it: look before you ask again."""


_KINDS: dict[int, tuple[type[RegistryError], str]] = {
    400: (RefusedError, "look at the branch in lakeFS; nothing was changed"),
    401: (ForbiddenError, "look at your keys: LAKECTL_CREDENTIALS_…"),
    403: (ForbiddenError, "ask for the right in lakeFS, or work on a branch of your own"),
    404: (GoneError, "list what there is"),
    409: (TakenError, "read it again, then retry"),
    410: (CorruptError, "the server has lost the object's bytes; restore its storage"),
    412: (TakenError, "read it again, then retry"),
}


def refusal(status: int, body: object, doing: str) -> RegistryError:
    """Return the error that an answer's status stands for.

    Args:
        status: Of HTTP.
        body: The answer's.
        doing: What was asked for, in the infinitive.
    """
    problem = f"cannot {doing}: the lakeFS server says {status} {said_by(body)}".rstrip()
    if status == 412 and "hook" in said_by(body):  # noqa: PLR2004 — HTTP's own number
        return RejectedError(problem, hint="look at the hook's run in lakeFS, then mend the data")
    if status == 429 or status >= 500:  # noqa: PLR2004
        return UnsureError(problem, hint="wait, then do it again; eolab log says what was done")
    kind, hint = _KINDS.get(status, (UnavailableError, "see that this is a lakeFS server"))
    return kind(problem, hint=hint)


def unsure(doing: str, endpoint: str) -> UnsureError:
    """Return the error that a lost or refused connection stands for."""
    return UnsureError(
        f"cannot {doing}: the lakeFS server at {endpoint} does not answer",
        hint="see that it runs and can be reached, then do it again",
    )


def said_by(body: object) -> str:
    """Return the message in an answer's body, on one printable line."""
    if isinstance(body, bytes):
        body = body.decode(errors="replace")
    try:
        told = json.loads(body) if isinstance(body, str) else body
        text = told["message"] if isinstance(told, dict) else body
    except (ValueError, KeyError):
        text = body
    line = re.sub(r"\s+", " ", str(text or ""))
    return "".join(one for one in line if one.isprintable())[:_LONGEST]
