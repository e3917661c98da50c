"""What a purge leaves in writing: records that follow each other on a branch of their own."""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from registry.catalog.forgetting.census import Census
from registry.catalog.forgetting.cleansing import Findings
from registry.catalog.forgetting.retelling import Retold
from registry.errors import CorruptError
from registry.lake.names import default_author
from registry.lake.purges import PURGES, Purge, purges
from registry.lake.records import Change, ChangeKind, Commit
from registry.tables import purge as rows_of

__all__ = ["Order", "contents_of", "records_of", "refuse_stray", "write_records"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be forgotten, looked up."""

    table: str
    """Table whose rows were named."""

    samples: frozenset[str]
    """Ids of samples."""

    annotations: frozenset[str]
    """Ids of annotations."""

    assets: frozenset[str]
    """Of the samples only these assets; none if they go whole."""

    reason: str
    """Why."""

    like: Purge | None = None
    """What another lake has recorded of it; None if it is forgotten here first."""


def refuse_stray(found: Census, retold: Retold, like: Purge | None) -> None:
    """Refuse another lake's record that puts something in the place of what stays here.

    Raises:
        CorruptError: It does.
    """
    here = {commit.id for commit in found.commits}
    stray = sorted((here & like.commits.keys()) - retold.commits.keys()) if like else []
    if stray:
        raise CorruptError(
            f"the other lake says that commit {stray[0][:10]} was purged, "
            "which holds nothing of it",
            hint="look at its branch 'purges'; nothing was changed here",
        )


def _keys(found: Census, findings: Findings) -> dict[str, frozenset[str]]:
    """Return the keys that were there to go, by table."""
    wanted = {"samples": findings.unwanted.samples}
    if not findings.unwanted.assets:
        wanted["annotations"] = findings.unwanted.annotations
    if any(findings.unheld.values()):  # a log alone may have told of them
        return {table: names for table, names in wanted.items() if names}
    return {table: _there(found, table, names) for table, names in wanted.items() if names}


def _there(found: Census, table: str, names: frozenset[str]) -> frozenset[str]:
    """Return which names a table ever had."""
    files = found.files(found.in_table(table))
    return frozenset().union(*(rows_of.keys_among(path, "id", names) for _, path in files))


def contents_of(found: Census, retold: Retold) -> dict[str, str]:
    """Return the content ids of published versions that are others now, new by old."""
    contents = {}
    for ref, commit in found.refs.items():
        if ref.startswith("tag/") and commit in retold.commits:
            old, new = retold.content_ids(commit)
            if old != new:
                contents[old] = new
    return contents


def records_of(
    found: Census, order: Order, findings: Findings, retold: Retold, contents: Mapping[str, str]
) -> list[Purge]:
    """Return what is to be recorded: another lake's own record first, if it is the next here."""
    known = purges(found.repository)
    record = Purge(
        number=len(known) + 1,
        previous=known[-1].id if known else None,
        reason=" ".join(order.reason.split()),
        by=default_author(),
        at=datetime.now(tz=UTC).isoformat(timespec="seconds"),
        table=order.table,
        rows=dict(findings.rows),
        salt=secrets.token_hex(16),
        keys={},
        assets=tuple(sorted(order.assets)),
        commits=dict(retold.commits),
        contents=dict(contents),
        slices=dict(retold.slices),
        objects=tuple(sorted(retold.cleansing.objects)),
    )
    if order.like is None:
        names = _keys(found, findings)
        hashes = {table: tuple(sorted(map(record.hash_of, keys))) for table, keys in names.items()}
        return [replace(record, keys=hashes)]
    return _like(order.like, record)


def _like(theirs: Purge, own: Purge) -> list[Purge]:
    """Return another lake's record with what this lake alone had to do for it."""
    if (theirs.number, theirs.previous) == (own.number, own.previous):
        rest = replace(
            own,
            number=own.number + 1,
            previous=theirs.id,
            commits=dict(own.commits.items() - theirs.commits.items()),
            contents=dict(own.contents.items() - theirs.contents.items()),
            slices=dict(own.slices.items() - theirs.slices.items()),
            objects=tuple(sorted({*own.objects} - {*theirs.objects})),
        )
        return [theirs, rest] if rest.commits else [theirs]
    return [
        replace(
            own,
            by=theirs.by,
            at=theirs.at,
            salt=theirs.salt,
            keys=dict(theirs.keys),
            commits={**theirs.commits, **own.commits},
            contents={**theirs.contents, **own.contents},
            slices={**theirs.slices, **own.slices},
            objects=tuple(sorted({*theirs.objects, *own.objects})),
        )
    ]


def write_records(found: Census, retold: Retold, records: Iterable[Purge]) -> str:
    """Record purges as commits after the last one; no ref names them yet.

    Returns:
        Id of the last commit.
    """
    head = found.refs.get(f"branch/{PURGES}")
    head = retold.commits.get(head, head) if head else retold.first()
    for record in records:
        entry = retold.cleansing.keep(f"{PURGES}/{record.id}.json", record.to_json())
        said = Commit(
            id="", parents=(), message=f"purge: {record.reason}", author=record.by,
            at=datetime.fromisoformat(record.at), metadata={"purge": record.id},
        )  # fmt: skip
        change = Change(path=entry.path, kind=ChangeKind.ADDED, before=None, after=entry)
        fetch = retold.cleansing.fetch
        head = found.repository.graft(said, parents=[head], changes=[change], fetch=fetch).id
    return head
