"""Forgetting: rows taken out of every commit there is, for good.

A tombstone removes no bytes. A purge tells the history again without the rows: every commit that
held them, and every one after it, gets another that stands in for it, with the same author, time
and message. All refs move there at once, with a record of what stands in for what; only then are
the old objects removed, without grace. Killed before the refs move it has done nothing that
anybody sees; killed after, it is finished by running it again.
"""

import secrets
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from registry.catalog.census import Census, census
from registry.catalog.cleansing import Cleansing, Findings, look, schema_of
from registry.catalog.retelling import Retold, retell
from registry.errors import ConflictError, InvalidInputError, NotFoundError
from registry.lake.names import default_author
from registry.lake.purges import (
    PURGES,
    ForgottenError,
    Purge,
    forwarded,
    hash_of,
    purges,
    refuse_forgotten,
    touching,
)
from registry.lake.records import Change, ChangeKind, Commit, Sweep
from registry.progress import SILENT, Progress
from registry.tables import purge as rows_of
from registry.tables.expressions import Statement

if TYPE_CHECKING:
    from registry.lake import Repository

__all__ = [
    "PURGES",
    "Forgotten",
    "ForgottenError",
    "Purge",
    "Wanted",
    "apply",
    "finish",
    "forwarded",
    "purge",
    "purges",
    "refuse_forgotten",
    "touching",
]

TABLES = ("samples", "annotations")
"""Tables whose rows may be named."""

_ATTEMPTS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which rows shall be forgotten; what any of these names goes."""

    table: str = "samples"
    """Table that ``where`` speaks of."""

    where: str = ""
    """SQL condition on a row, as it was in any commit."""

    samples: Sequence[str] = ()
    """Ids of samples."""

    annotator: str | None = None
    """All annotations of this annotator."""

    assets: Sequence[str] = ()
    """Of the samples only these assets; none if they go whole."""

    def __post_init__(self) -> None:
        if self.table not in TABLES:
            raise InvalidInputError(
                f"rows of '{self.table}' cannot be named to be forgotten",
                hint=f"name rows of {' or '.join(TABLES)}; what belongs to them goes with them",
            )
        if not (self.where.strip() or self.samples or self.annotator):
            raise InvalidInputError(
                "nothing was named to be forgotten",
                hint="say which rows: --where \"id = 'a'\", --sample ID or --annotator ID",
            )
        if self.assets and (self.table == "annotations" or self.annotator):
            raise InvalidInputError(
                "assets belong to samples, not to annotations",
                hint="name samples by --sample or --where",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forgotten:
    """What a purge did, or would do."""

    dataset: str
    """The dataset's name."""

    dry_run: bool
    """Whether nothing was changed."""

    rows: Mapping[str, int]
    """Rows that went, by table; a row that was in several data files counts for each."""

    files: int
    """Stored objects that went or became others."""

    commits: int
    """Commits that others stand in for."""

    refs: tuple[str, ...]
    """Branches and tags that moved."""

    contents: Mapping[str, str] = field(default_factory=dict)
    """Content ids of published versions that are others now, new by old."""

    dropped: tuple[str, ...] = ()
    """Branches of pending merges that went; such a merge is begun again."""

    size: int = 0
    """Bytes that were removed."""

    left_on_server: int = 0
    """Objects that a server keeps until its operator collects garbage."""

    finished: int = 0
    """Earlier purges that had been killed and were finished first."""

    record: str | None = None
    """Id of the record on branch ``purges``; None if nothing was changed."""

    def to_text(self) -> str:
        """Return it for people."""
        ended = f"finished {self.finished} purges that had been cut short\n" * bool(self.finished)
        if not self.commits:
            return f"{ended}no commit of '{self.dataset}' holds such a row; nothing changed"
        verb = "would forget" if self.dry_run else "forgot"
        said = ", ".join(f"{count:,} of {name}" for name, count in self.rows.items()) or "no rows"
        lines = [
            f"{ended}{verb} rows of '{self.dataset}' for good: {said}",
            f"  {self.commits:,} commits {'would be' if self.dry_run else 'are'} told again, "
            f"{self.files:,} stored objects change or go",
            f"  refs that move: {', '.join(self.refs)}",
        ]
        if self.contents:
            lines.append(f"  {len(self.contents)} versions get another content id")
        if self.dropped:
            lines.append(f"  pending merges that go: {', '.join(self.dropped)}; merge again")
        if self.left_on_server:
            lines.append(
                f"  {self.left_on_server:,} objects stay on the server's store until its operator "
                "collects garbage"
            )
        if self.record is not None:
            lines.append(f"  recorded on branch '{PURGES}' as {self.record[:12]}")
        return "\n".join(lines)


def purge(
    repository: "Repository",
    wanted: Wanted,
    *,
    reason: str,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> Forgotten:
    """Forget rows in every commit of every branch, tag and undone movement.

    What belongs to a sample goes with it: its assets and their pixels where nothing else points
    to them, annotations, splits, features, findings, items. Names of it in JSON and text files,
    messages and slices are taken out where they can mean nothing else. Commits without any of it
    keep their ids.

    Args:
        repository: The dataset's.
        wanted: Which rows.
        reason: Why; kept for ever, so it must not name what is forgotten.
        dry_run: Only say what would change.
        progress: Told how far it is.

    Returns:
        What went. Nothing is named twice: doing it again finds no row and finishes what was cut
        short.

    Raises:
        ConflictError: Others moved branches all the time, or a running process works on what is
            to be forgotten; running it again goes on from there.
        InvalidInputError: There is no reason, or the condition does not fit the table.
    """
    if not reason.strip() and not dry_run:
        raise InvalidInputError(
            "no reason was given to forget rows for good", hint='say why: --reason "…"'
        )
    finished = 0 if dry_run else finish(repository)
    for _ in range(_ATTEMPTS):
        found = census(repository)
        samples, annotations = _named(found, wanted)
        with suppress(_MovedError):
            done = _forget(
                found, samples, annotations, wanted.assets, table=wanted.table, reason=reason,
                dry_run=dry_run, progress=progress,
            )  # fmt: skip
            return replace(done, finished=finished)
    raise ConflictError(
        f"others moved branches of '{repository.name}' {_ATTEMPTS} times meanwhile",
        hint="try again when they are done",
    )


def finish(repository: "Repository") -> int:
    """Remove what purges that were killed, or that others held up, have left.

    Returns:
        How many purges had left something.
    """
    known = purges(repository)
    left = [one for one in known if _is_here(repository, one)]
    if not left:
        return 0
    # What somebody has brought in anew since then is his.
    needed = {sha256 for _, sha256 in census(repository, reflog=False).spots}
    count = 0
    for one in left:
        objects = repository.holds(one.objects) - needed
        if objects or _names_any(repository, one.commits):
            repository.forget(objects, commits=_ends(known, one))
            count += 1
    return count


def apply(
    repository: "Repository", other: Iterable[Purge], *, progress: Progress = SILENT
) -> list[Forgotten]:
    """Forget here what another lake of the same dataset has forgotten.

    Rows are found by the hashes of their keys. With equal files and an equal version of the lab
    the commits that come of it have the ids that they have there.

    Args:
        repository: The dataset's, here.
        other: What the other lake's :func:`purges` returns.
        progress: Told how far it is.

    Returns:
        What was forgotten, one each purge that was not known here.
    """
    known = {one.salt for one in purges(repository)}
    done = []
    for one in other:
        if one.salt in known:
            continue
        found = census(repository)
        samples = _by_hash(found, "samples", one)
        annotations = _by_hash(found, "annotations", one)
        done.append(
            _forget(
                found, samples, annotations, one.assets, table=one.table, reason=one.reason,
                dry_run=False, progress=progress, like=one,
            )
        )  # fmt: skip
    return done


class _MovedError(ConflictError):
    """A ref moved after the history was read."""


def _named(found: Census, wanted: Wanted) -> tuple[frozenset[str], frozenset[str]]:
    """Return the keys of samples and of annotations that are named, in any commit."""
    names = {"samples": set(wanted.samples), "annotations": set()}
    if wanted.where.strip():
        names[wanted.table] |= _matching(found, wanted.table, wanted.where)
    if wanted.annotator is not None:
        said = wanted.annotator.replace("'", "''")
        names["annotations"] |= _matching(found, "annotations", f"annotator = '{said}'")
    return frozenset(names["samples"]), frozenset(names["annotations"])


def _matching(found: Census, table: str, where: str) -> set[str]:
    if table not in found.tables:
        return set()
    schema = schema_of(found, table)
    statement = Statement.of(schema, where=where)
    keys: set[str] = set()
    for _, path in found.files(found.in_table(table)):
        keys |= rows_of.keys_that_match(path, schema, statement, "id")
    return keys


def _by_hash(found: Census, table: str, other: Purge) -> frozenset[str]:
    hashes = set(other.keys.get(table, ()))
    if not hashes or table not in found.tables:
        return frozenset()
    keys = _matching(found, table, "true")
    return frozenset(key for key in keys if other.hash_of(key) in hashes)


def _forget(
    found: Census,
    samples: frozenset[str],
    annotations: frozenset[str],
    assets: Iterable[str],
    *,
    table: str,
    reason: str,
    dry_run: bool,
    progress: Progress,
    like: Purge | None = None,
) -> Forgotten:
    findings = look(
        found, samples=samples, annotations=annotations, assets=frozenset(assets),
        progress=progress,
    )  # fmt: skip
    repository = found.repository
    with tempfile.TemporaryDirectory(prefix="eolab-purge-") as folder:
        cleansing = Cleansing(census=found, findings=findings, folder=Path(folder))
        retold = retell(cleansing, dry_run=dry_run, progress=progress)
        moves = retold.moves()
        outcome = Forgotten(
            dataset=repository.name,
            dry_run=dry_run,
            rows=findings.rows,
            files=len({sha256 for _, sha256 in findings.spots}),
            commits=len(retold.commits),
            refs=tuple(ref for ref, (_, to) in moves.items() if to is not None),
            dropped=tuple(ref for ref, (_, to) in moves.items() if to is None),
        )
        if dry_run or not (retold.commits or like):
            return outcome
        contents = _contents(found, retold)
        keys = _keys(found, samples, annotations, findings)
        record = _record(
            repository, table, keys, reason=reason, findings=findings, retold=retold,
            contents=contents, objects=cleansing.objects, like=like,
        )  # fmt: skip
        head = _write(found, retold, record)
        before = found.refs.get(f"branch/{PURGES}")
        moves = {**moves, f"branch/{PURGES}": (before, head)}
        try:
            repository.move_refs(moves, operation="purge", edit=findings.words.unsaid)
        except ConflictError as error:
            raise _MovedError(error.problem, hint=error.hint) from error
    repository.protect(PURGES)
    known = purges(repository)
    lost = dict.fromkeys(found.lost)
    swept: Sweep = repository.forget(record.objects, commits={**lost, **_ends(known, record)})
    return replace(
        outcome,
        contents=contents,
        size=swept.size,
        left_on_server=swept.left_on_server,
        record=record.id,
    )


def _keys(
    found: Census, samples: frozenset[str], annotations: frozenset[str], findings: Findings
) -> dict[str, frozenset[str]]:
    """Return the keys that were there to go, by table."""
    wanted = {"samples": samples}
    if not findings.unwanted.assets:
        wanted["annotations"] = annotations | findings.unwanted.annotations
    there = {table: _matching(found, table, "true") for table in wanted if wanted[table]}
    return {table: wanted[table] & keys for table, keys in there.items()}


def _contents(found: Census, retold: Retold) -> dict[str, str]:
    contents = {}
    for ref, commit in found.refs.items():
        if ref.startswith("tag/") and commit in retold.commits:
            old, new = retold.content_ids(commit)
            if old != new:
                contents[old] = new
    return contents


def _record(
    repository: "Repository",
    table: str,
    keys: Mapping[str, frozenset[str]],
    *,
    reason: str,
    findings: Findings,
    retold: Retold,
    contents: Mapping[str, str],
    objects: frozenset[str],
    like: Purge | None,
) -> Purge:
    known = purges(repository)
    salt = like.salt if like else secrets.token_hex(16)
    hashes = {
        name: tuple(sorted(hash_of(key, salt=salt) for key in names))
        for name, names in keys.items()
    }
    return Purge(
        number=len(known) + 1,
        previous=known[-1].id if known else None,
        reason=like.reason if like else " ".join(reason.split()),
        by=like.by if like else default_author(),
        at=like.at if like else datetime.now(tz=UTC).isoformat(timespec="seconds"),
        table=table,
        rows=dict(findings.rows),
        salt=salt,
        keys=dict(like.keys) if like else hashes,
        assets=tuple(sorted(findings.unwanted.assets)),
        commits=dict(retold.commits) | (dict(like.commits) if like else {}),
        contents=dict(contents) | (dict(like.contents) if like else {}),
        slices=dict(retold.slices) | (dict(like.slices) if like else {}),
        objects=tuple(sorted(objects | set(like.objects if like else ()))),
    )


def _write(found: Census, retold: Retold, record: Purge) -> str:
    """Record a purge as a commit after the last one; no ref names it yet."""
    repository = found.repository
    head = found.refs.get(f"branch/{PURGES}")
    first = retold.commits.get(head, head) if head else retold.first()
    data = record.to_json()
    entry = retold.cleansing.keep(f"{PURGES}/{record.id}.json", data)
    said = Commit(
        id="", parents=(), message=f"purge: {record.reason}", author=record.by,
        at=datetime.fromisoformat(record.at), metadata={"purge": record.id},
    )  # fmt: skip
    change = Change(path=entry.path, kind=ChangeKind.ADDED, before=None, after=entry)
    made = repository.graft(said, parents=[first], changes=[change], fetch=retold.cleansing.fetch)
    return made.id


def _is_here(repository: "Repository", one: Purge) -> bool:
    return bool(repository.holds(one.objects)) or _names_any(repository, one.commits)


def _names_any(repository: "Repository", commits: Iterable[str]) -> bool:
    for commit in commits:
        with suppress(NotFoundError):
            repository.resolve(commit)
            return True
    return False


def _ends(known: Sequence[Purge], one: Purge) -> dict[str, str | None]:
    """Return what stands today for each commit of a purge, after the purges that came later."""
    later = known[one.number - 1 :]
    ends: dict[str, str | None] = {}
    for old in one.commits:
        new = old
        for each in later:
            new = each.commits.get(new, new)
        ends[old] = new
    return ends
