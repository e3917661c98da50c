"""Forgetting: rows taken out of every commit there is, for good.

A tombstone removes no bytes. A purge tells the history again without the rows: every commit that
held them, and every one after it, gets another that stands in for it, with the same author, time
and message. All refs move there at once, with a record of what stands in for what; only then are
the old objects removed, without grace. Killed before the refs move it has done nothing that
anybody sees; killed after, it is finished by running it again.
"""

import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from registry.catalog.forgetting.census import Census, census
from registry.catalog.forgetting.cleansing import Cleansing, look, schema_of, told_of_files
from registry.catalog.forgetting.retelling import retell
from registry.catalog.forgotten import Forgotten, Wanted
from registry.catalog.recording import (
    Order,
    contents_of,
    records_of,
    refuse_stray,
    write_records,
)
from registry.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from registry.lake.purges import (
    PURGES,
    ForgottenError,
    Purge,
    forwarded,
    purges,
    refuse_forgotten,
    touching,
)
from registry.lake.records import Sweep
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

_ATTEMPTS = 4
_AT_ONCE = 32


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
            order = Order(
                table=wanted.table, samples=samples, annotations=annotations,
                assets=frozenset(wanted.assets), reason=reason,
            )  # fmt: skip
            done = _forget(found, order, dry_run=dry_run, progress=progress)
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

    What a purge that was cut short, or that somebody held up, has left is removed first.

    Rows are found by the hashes of their keys. With equal files and an equal version of the lab
    the commits that come of it have the ids that they have there.

    Args:
        repository: The dataset's, here.
        other: What the other lake's :func:`purges` returns.
        progress: Told how far it is.

    Returns:
        What was forgotten, one each purge that was not known here.

    Raises:
        UnavailableError: This is a partial clone, and what it left there is gone by now; nothing
            was changed.
    """
    finish(repository)
    known = {one.salt for one in purges(repository)}
    done = []
    for one in other:
        if one.salt in known:
            continue
        found = census(repository)
        _refuse_partial(found, one)
        samples = _by_hash(found, "samples", one)
        annotations = _by_hash(found, "annotations", one)
        order = Order(
            table=one.table, samples=samples, annotations=annotations,
            assets=frozenset(one.assets), reason=one.reason, like=one,
        )  # fmt: skip
        done.append(_forget(found, order, dry_run=False, progress=progress))
    return done


def _refuse_partial(found: Census, theirs: Purge) -> None:
    needed = {sha256 for _, sha256 in found.spots} & {*theirs.objects}
    missing = needed - found.repository.holds(needed)
    if missing:
        raise UnavailableError(
            f"'{found.repository.name}' was cloned in part, and {len(missing):,} objects that it "
            f"left behind were purged there on {theirs.at[:10]}: {theirs.reason}",
            hint="clone it anew into another lake, and bring branches of your own there by hand",
        )


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


def _matching(found: Census, table: str, where: str) -> frozenset[str]:
    if table not in found.tables:
        return frozenset()
    schema = schema_of(found, table)
    statement = Statement.of(schema, where=where)
    paths = [path for _, path in found.files(found.in_table(table))]
    groups = [paths[start : start + _AT_ONCE] for start in range(0, len(paths), _AT_ONCE)]
    keys = (rows_of.keys_that_match(group, schema, statement, "id") for group in groups)
    return frozenset().union(*keys)


def _by_hash(found: Census, table: str, other: Purge) -> frozenset[str]:
    """Return the keys that another lake forgot, from data files and from what logs say of such."""
    hashes = frozenset(other.keys.get(table, ()))
    if not hashes:
        return frozenset()

    def wanted(key: str) -> bool:
        return other.hash_of(key) in hashes

    said = (one for name in found.tables for one in told_of_files(found, name))
    keys = frozenset(filter(wanted, frozenset().union(*map(rows_of.names_in_bounds, said))))
    if table not in found.tables:
        return keys
    files = found.files(found.in_table(table))
    return keys.union(*(rows_of.keys_by_hash(path, "id", wanted) for _, path in files))


def _forget(found: Census, order: Order, *, dry_run: bool, progress: Progress) -> Forgotten:
    findings = look(
        found, samples=order.samples, annotations=order.annotations, assets=order.assets,
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
        if dry_run or not (retold.commits or order.like):
            return outcome
        refuse_stray(found, retold, order.like)
        contents = contents_of(found, retold)
        records = records_of(found, order, findings, retold, contents)
        head = write_records(found, retold, records)
        before = found.refs.get(f"branch/{PURGES}")
        moves = {**moves, f"branch/{PURGES}": (before, head)}
        try:
            repository.move_refs(moves, operation="purge", edit=findings.words.unsaid)
        except ConflictError as error:
            raise _MovedError(error.problem, hint=error.hint) from error
    repository.protect(PURGES)
    swept = _sweep(repository, records, lost=found.lost)
    return replace(
        outcome,
        contents=contents,
        size=swept.size,
        left_on_server=swept.left_on_server,
        record=records[-1].id,
    )


def _sweep(repository: "Repository", records: Iterable[Purge], *, lost: Iterable[str]) -> Sweep:
    known = purges(repository)
    commits: dict[str, str | None] = dict.fromkeys(lost)
    objects: set[str] = set()
    for one in records:
        commits |= _ends(known, one)
        objects |= set(one.objects)
    try:
        return repository.forget(objects, commits=commits)
    except ConflictError as error:
        raise ConflictError(
            f"no branch or tag leads to the rows any more, but they are still stored: "
            f"{error.problem}",
            hint="run the same command again when that process has ended",
        ) from error


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
