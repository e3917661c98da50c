"""What a dataset has been made to forget: a chain of records on a branch of its own.

A record says which commits stand in for which, and which objects are gone; it names no row. The
keys of rows are kept as salted hashes: enough for a lake that still has a row to find out, too
little to read them off. Each record is named by its own SHA-256 and names the one before it, so
none can be changed or left out unseen. It is signed by its author's name alone: nobody has a key.
"""

import hashlib
import hmac
import itertools
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from registry.errors import CorruptError, ForbiddenError, NotFoundError

if TYPE_CHECKING:
    from registry.lake.contract import Repository

__all__ = [
    "PURGES",
    "ForgottenError",
    "Purge",
    "forwarded",
    "purges",
    "refuse_forgotten",
    "touching",
]

PURGES = "purges"
"""The branch that holds the records, and their folder on it."""

_FORMAT = "eolab-purge/1"
_HEX = re.compile(r"([0-9a-f]{2}){4,64}")


class ForgottenError(ForbiddenError):
    """What is brought in has been purged here."""

    code = "forgotten"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """One thing that was forgotten, for ever."""

    number: int
    """1 for a dataset's first."""

    previous: str | None
    """Id of the record before it."""

    reason: str
    """Why, in the words of whoever purged."""

    by: str
    """Who, as ``Name <address>``."""

    at: str
    """When, in UTC, as ISO 8601."""

    table: str
    """Table whose rows were named: ``samples`` or ``annotations``."""

    rows: Mapping[str, int]
    """How many rows went, by table; a row that many commits had counts once a data file."""

    salt: str
    """What keys are hashed with, in hex."""

    keys: Mapping[str, tuple[str, ...]]
    """Salted hashes of the keys that went, in hex and sorted, by table."""

    assets: tuple[str, ...] = ()
    """The only assets of the samples that went; none if the samples went whole."""

    commits: Mapping[str, str] = field(default_factory=dict)
    """Commits that stand in for others, by the id of the others."""

    contents: Mapping[str, str] = field(default_factory=dict)
    """Content ids of published versions, new by old."""

    slices: Mapping[str, str] = field(default_factory=dict)
    """Ids of slices, new by old."""

    objects: tuple[str, ...] = ()
    """SHA-256 in hex of the objects that went."""

    @property
    def id(self) -> str:
        """SHA-256 of the record, in hex."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        """Return the record as a JSON document, the same bytes for the same record."""
        said = {"format": _FORMAT, **_plain(self)}
        return json.dumps(said, ensure_ascii=False, indent=1, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, data: bytes) -> "Purge":
        """Return what :meth:`to_json` wrote.

        Raises:
            CorruptError: Something else wrote it.
        """  # noqa: DOC501 — the other is caught below
        try:
            said: dict[str, Any] = json.loads(data)
            if said.pop("format") != _FORMAT:
                raise ValueError(said)  # noqa: TRY301 — one place says what a bad record is
            _check(said)
            keys = {table: tuple(hashes) for table, hashes in said.pop("keys").items()}
            assets, objects = (tuple(said.pop(name)) for name in ("assets", "objects"))
            return cls(keys=keys, assets=assets, objects=objects, **said)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorruptError(
                "a record of what was purged cannot be read",
                hint="restore branch 'purges' from another lake",
            ) from error

    def hash_of(self, key: str) -> str:
        """Return what stands for a key in this record."""
        return hash_of(key, salt=self.salt)


def _check(said: Mapping[str, Any]) -> None:
    """Refuse what no record says; it may come from a lake that means no good.

    Raises:
        ValueError: Something is of another kind.
    """
    names = [said[name] for name in ("reason", "by", "at", "table", "previous")]
    names += [*said["assets"], *said["keys"], *said["rows"]]
    hexes = [said["salt"], *said["objects"], *itertools.chain(*said["keys"].values())]
    for name in ("commits", "contents", "slices"):
        hexes += itertools.chain(*said[name].items())
    texts = all(isinstance(one, str) for one in names if one is not None)
    hashes = all(isinstance(one, str) and _HEX.fullmatch(one) for one in hexes)
    numbers = all(type(one) is int for one in (said["number"], *said["rows"].values()))
    if not (texts and hashes and numbers):
        raise ValueError(said["number"])


def hash_of(key: str, *, salt: str) -> str:
    """Return the salted hash of a row's key, in hex.

    References:
        RFC 2104, HMAC; FIPS 180-4, SHA-256.
    """
    return hmac.new(bytes.fromhex(salt), key.encode(), hashlib.sha256).hexdigest()


def _plain(purge: Purge) -> dict[str, Any]:
    """Return a record's fields as plain dicts and lists."""
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in ((key, getattr(purge, key)) for key in Purge.__slots__)
    }


def purges(repository: "Repository") -> tuple[Purge, ...]:
    """Return what a dataset was made to forget, oldest first, after proving the chain.

    Raises:
        CorruptError: A record was changed or left out.
    """
    try:
        head = repository.resolve(PURGES)
    except NotFoundError:
        return ()
    found: dict[str, Purge] = {}
    for entry in repository.entries(head, PURGES):
        purge = Purge.from_json(repository.read(entry.path, at=head))
        found[entry.path.rpartition("/")[2].removesuffix(".json")] = purge
    chain = sorted(found.values(), key=lambda purge: purge.number)
    previous = None
    for number, purge in enumerate(chain, start=1):
        id_ = purge.id
        if id_ not in found or purge.number != number or purge.previous != previous:
            raise CorruptError(
                f"record {number} of what was purged from '{repository.name}' was changed, or one "
                "before it is missing",
                hint="restore branch 'purges' from another lake",
            )
        previous = id_
    return tuple(chain)


def forwarded(repository: "Repository", ref: str) -> str | None:
    """Return the commit that stands in for a purged one.

    Args:
        repository: The dataset's.
        ref: An id, or at least 7 digits of one.

    Returns:
        The id of the commit today; None if none of that id was purged, or several were.
    """
    known = purges(repository)
    hits = {old for purge in known for old in purge.commits if old.startswith(ref)}
    ends = {_follow(known, old) for old in hits}
    return ends.pop() if len(ends) == 1 else None


def _follow(known: Iterable[Purge], commit: str) -> str:
    for purge in known:
        commit = purge.commits.get(commit, commit)
    return commit


def touching(repository: "Repository", commit: str) -> tuple[Purge, ...]:
    """Return the purges that made a commit what it is, oldest first."""
    ids, found = {commit}, []
    for purge in reversed(purges(repository)):
        before = {old for old, new in purge.commits.items() if new in ids}
        if before:
            found.append(purge)
            ids |= before
    return tuple(reversed(found))


def refuse_forgotten(
    repository: "Repository", *, commits: Iterable[str] = (), objects: Iterable[str] = ()
) -> None:
    """Refuse to bring back what this dataset was made to forget.

    Args:
        repository: Where it would come to.
        commits: Ids of commits that would come.
        objects: SHA-256 in hex of objects that would come.

    Raises:
        ForgottenError: Some of it was purged here.
    """
    coming, bytes_ = set(commits), set(objects)
    for purge in purges(repository):
        if not coming.isdisjoint(purge.commits) or not bytes_.isdisjoint(purge.objects):
            raise ForgottenError(
                f"'{repository.name}' has forgotten on {purge.at[:10]} what would come back: "
                f"{purge.reason}",
                hint=f"bring the other lake up to it first: eolab pull {repository.name} "
                "--from this lake, which purges there too",
            )
