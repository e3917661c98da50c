"""A history told again: commits that stand in for others, recorded while no ref names them."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.parquet as pq

from registry.catalog.forgetting.cleansing import SLICES, Cleansing
from registry.catalog.slicing import slice_id
from registry.lake.records import Change, ChangeKind, Commit, Entry
from registry.progress import Progress

__all__ = ["Retold", "retell"]

_PENDING = "branch/pending/"
_DERIVED = "branch/derived/"
_MADE_UP = "retold"


@dataclass(frozen=True, kw_only=True)  # no slots: what is costly to find is found once
class Retold:
    """What stands in for what."""

    cleansing: Cleansing
    """What becomes of each object."""

    dry_run: bool
    """Whether nothing was recorded; commits have made-up ids then."""

    commits: dict[str, str] = field(default_factory=dict)
    """Commits that stand in for others, by the id of the others."""

    slices: dict[str, str] = field(default_factory=dict)
    """Ids of slices, new by old."""

    _contents: dict[str, tuple[str, str]] = field(default_factory=dict)

    def first(self) -> str:
        """Return the first commit of ``main``."""
        census = self.cleansing.census
        *_, commit = census.repository.log(census.refs["branch/main"])
        return self.commits.get(commit.id, commit.id)

    def moves(self) -> dict[str, tuple[str | None, str | None]]:
        """Return how refs move: to what stands in for their commits.

        Pending merges that hold something of it go: they are made of what they merge. A branch
        that is named by a commit gets another name.
        """
        moves: dict[str, tuple[str | None, str | None]] = {}
        for ref, commit in self.cleansing.census.refs.items():
            if commit not in self.commits:
                continue
            if ref.startswith(_PENDING):
                moves[ref] = (commit, None)
                continue
            named = ref.removeprefix(_DERIVED)
            if named != ref and named in self.commits:
                moves[ref] = (commit, None)
                moves[_DERIVED + self.commits[named]] = (None, self.commits[commit])
            else:
                moves[ref] = (commit, self.commits[commit])
        return moves

    def content_ids(self, commit: str) -> tuple[str, str]:
        """Return a commit's content id, and that of what stands in for it."""
        if commit not in self._contents:
            repository = self.cleansing.census.repository
            new = self.commits.get(commit, commit)
            self._contents[commit] = repository.content_id(commit), repository.content_id(new)
        return self._contents[commit]


def retell(cleansing: Cleansing, *, dry_run: bool, progress: Progress) -> Retold:
    """Record what stands in for each commit that holds what shall be forgotten, or follows one.

    Author, time and message stay, so it comes to the same ids whenever it is done again.

    Args:
        cleansing: What becomes of each object.
        dry_run: Record nothing.
        progress: Told how far it is.

    Returns:
        What stands in for what.
    """
    retold = Retold(cleansing=cleansing, dry_run=dry_run)
    census = cleansing.census
    progress.stage("telling the history again", total=len(census.commits), unit="commits")
    for commit in census.commits:
        if _holds_something(retold, commit):
            made = f"{_MADE_UP}-{commit.id}" if dry_run else _record(retold, commit)
            if made != commit.id:
                retold.commits[commit.id] = made
        progress.advance()
    return retold


def _holds_something(retold: Retold, commit: Commit) -> bool:
    spots = retold.cleansing.findings.spots
    changes = retold.cleansing.census.changes[commit.id]
    entries = (entry for change in changes for entry in (change.before, change.after) if entry)
    return (
        any(parent in retold.commits for parent in commit.parents)
        or any((entry.path, entry.sha256) in spots for entry in entries)
        or _said_anew(retold, commit) != commit
    )


def _record(retold: Retold, commit: Commit) -> str:
    repository = retold.cleansing.census.repository
    parents = [retold.commits.get(parent, parent) for parent in commit.parents]
    changes = list(_changes(retold, commit.id))
    made = repository.graft(
        _said_anew(retold, commit), parents=parents, changes=changes,
        fetch=retold.cleansing.fetch,
    )  # fmt: skip
    return made.id


def _said_anew(retold: Retold, commit: Commit) -> Commit:
    """Return a commit with a message and metadata that name nothing forgotten."""
    words = retold.cleansing.findings.words
    metadata = {
        name: retold.commits.get(value, words.unsaid(value))
        for name, value in commit.metadata.items()
    }
    return replace(commit, message=words.unsaid(commit.message), metadata=metadata)


def _changes(retold: Retold, commit: str) -> Iterator[Change]:
    """Yield how the tree of what stands in for a commit differs from its first parent's."""
    before: dict[str, Entry] = {}
    after: dict[str, Entry] = {}
    for change in retold.cleansing.census.changes[commit]:
        for entry, found in ((change.before, before), (change.after, after)):
            if entry is not None:
                found |= {one.path: one for one in _stand_ins(retold, entry)}
    for path in sorted(before.keys() | after.keys()):
        old, new = before.get(path), after.get(path)
        if old != new:
            kind = (
                ChangeKind.ADDED if old is None
                else ChangeKind.REMOVED if new is None
                else ChangeKind.CHANGED
            )  # fmt: skip
            yield Change(path=path, kind=kind, before=old, after=new)


def _stand_ins(retold: Retold, entry: Entry) -> tuple[Entry, ...]:
    if entry.path.startswith(SLICES):
        return _slice(retold, entry)
    return retold.cleansing.of((entry.path, entry.sha256))


# ---------------------------------------------------------------------------- slices
def _slice(retold: Retold, entry: Entry) -> tuple[Entry, ...]:
    """Return a slice of what stands in for its version, under the id that it has by that."""
    cleansing = retold.cleansing
    spot = (entry.path, entry.sha256)
    if spot not in cleansing.made:
        cleansing.made[spot] = (_cut_again(retold, entry),)
    return cleansing.made[spot]


def _cut_again(retold: Retold, entry: Entry) -> Entry:
    cleansing = retold.cleansing
    data = cleansing.census.read((entry.path, entry.sha256))
    rows = pq.read_table(io.BytesIO(data))
    about = json.loads((rows.schema.metadata or {}).get(b"slice", b"{}"))
    unwanted, words = cleansing.findings.unwanted, cleansing.findings.words
    gone = frozenset() if unwanted.assets else unwanted.samples
    ids = tuple(one for one in rows.column("id").to_pylist() if one not in gone)
    at = cleansing.census.refs.get(f"tag/{about.get('version')}", about.get("version", ""))
    if at in retold.commits:
        old, new = retold.content_ids(at)
        if about.get("content_id") == old:
            about["content_id"] = new
        about["version"] = retold.commits.get(about["version"], about["version"])
    about["query"] = words.unsaid(str(about.get("query", "")))
    schema = pa.schema([("id", pa.string())], metadata={b"slice": json.dumps(about)})
    out = io.BytesIO()
    pq.write_table(pa.table([pa.array(ids, pa.string())], schema), out, compression="zstd")
    if out.getvalue() == data:
        return entry
    id_ = slice_id(str(about.get("content_id", "")), ids)
    retold.slices[entry.path.removeprefix(SLICES).removesuffix(".parquet")] = id_
    return cleansing.keep(f"{SLICES}{id_}.parquet", out.getvalue())
