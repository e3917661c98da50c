"""Merges that wait for decisions: kept on branches of their own until nothing is open.

The commit has both sides among its parents, so nothing that it needs is swept. Its tree is no
dataset: ``merge.json`` says what is merged, the table ``conflicts`` what both changed differently
and what was decided.
"""

import json
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import takewhile
from typing import TYPE_CHECKING

from registry.catalog.merging.conflicts import Clash, Decisions, clashes_of, table_of_clashes
from registry.catalog.merging.joining import Joining, Trees, Way
from registry.catalog.merging.merged import Undecided
from registry.errors import ConflictError, CorruptError, InvalidInputError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

    from registry.lake import Repository, Transaction

__all__ = ["DECIDED", "PENDING", "Pending", "decide", "drop", "keep", "pending", "pendings"]

PENDING = "pending/"
"""What the names of their branches begin with; the branch that is merged into follows."""

DECIDED = "decided"
"""Metadata of the commit that ended a pending merge: the commit that held the decisions."""

_RECORD, _TABLE = "merge.json", "conflicts"

_MARK = "pending"
"""Metadata of commits that hold a merge; a branch whose head lacks it is not whole yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A merge, revert or cherry-pick with conflicts."""

    joining: Joining
    """What was asked for."""

    trees: Trees
    """The commits that were compared."""

    commit: str
    """Where it is kept."""

    clashes: tuple[Clash, ...] = field(repr=False)
    """Everything that both sides changed differently, decided or not."""

    @property
    def into(self) -> str:
        """The branch that gets the change."""
        return self.joining.into

    @property
    def ours(self) -> str:
        """Commit of the branch when it was compared."""
        return self.trees.ours

    @property
    def theirs(self) -> str:
        """Commit of what is brought in."""
        return self.trees.theirs

    @property
    def base(self) -> str | None:
        """Commit where the two parted; None if they never met."""
        return self.trees.base

    @property
    def conflicts(self) -> "pa.Table":
        """The same as a table, as :func:`~.conflicts.table_of_clashes` makes it.

        Its columns are ``id, table, key, columns, kind, row, base, ours, theirs, decision, value,
        why``; the sides are JSON text, ``decision`` is null while it is open.
        """
        return table_of_clashes(self.clashes)

    @property
    def open(self) -> tuple[Clash, ...]:
        """What nobody has decided yet."""
        return tuple(clash for clash in self.clashes if clash.decision is None)

    @property
    def decisions(self) -> Decisions:
        """What was decided, by conflict."""
        return {clash.id: clash.decision for clash in self.clashes if clash.decision is not None}


def pending(repository: "Repository", into: str | None = None) -> Pending | None:
    """Return the merge of a dataset that waits for decisions.

    Args:
        repository: The dataset's.
        into: The branch that is merged into; may be left out if only one merge waits.

    Returns:
        The merge, or None if none waits.

    Raises:
        InvalidInputError: Several wait, and it was not said which.
    """
    if into is not None:
        return _read(repository, f"{PENDING}{into}")
    found = pendings(repository)
    if len(found) > 1:
        names = ", ".join(one.into for one in found)
        raise InvalidInputError(
            f"{len(found)} merges of '{repository.name}' wait for decisions",
            hint=f"say which: --into {found[0].into}; there are {names}",
        )
    return found[0] if found else None


def pendings(repository: "Repository") -> list[Pending]:
    """Return all merges of a dataset that wait for decisions, sorted by branch."""
    found = (_read(repository, branch) for branch in sorted(repository.branches(PENDING)))
    return [one for one in found if one is not None]


def keep(
    repository: "Repository", undecided: Undecided, *, known: Pending | None = None
) -> Pending:
    """Keep a merge until its conflicts are decided; decisions that are in it are kept too.

    Args:
        repository: The dataset's.
        undecided: The merge.
        known: The merge that waited when the sides were compared; replaced if it asked for the
            same.

    Returns:
        The merge as it is kept.

    Raises:
        ConflictError: Another merge into that branch waits, or somebody keeps one, or decides,
            just now.
    """
    joining, trees, clashes = undecided.joining, undecided.trees, undecided.clashes
    branch = f"{PENDING}{joining.into}"
    if known is None:
        if _read(repository, branch) is not None:
            raise ConflictError(
                f"somebody else merged into '{joining.into}' meanwhile, and that waits for "
                "decisions",
                hint=f"see what waits: eolab conflicts {repository.name}",
            )
        drop(repository, joining.into)  # what is there is done, or was never whole
        head = _begin(repository, branch, trees)
    elif (known.joining, known.trees, known.clashes) == (joining, trees, clashes):
        return known
    elif known.joining.asks_as(joining):
        head = _hold(repository, branch, known, trees)
    else:
        raise ConflictError(
            f"{len(clashes)} conflicts, and the {known.joining.way} of '{known.joining.name}' into "
            f"'{joining.into}' waits for {len(known.open)} decisions already",
            hint=f"finish it first (eolab conflicts {repository.name}), or drop it: "
            f"eolab merge {repository.name} --abort --into {joining.into}",
        )
    waiting = Pending(joining=joining, trees=trees, commit=head, clashes=clashes)
    message = (
        f"{joining.way} {joining.name}: {len(waiting.open)} of {len(clashes)} conflicts are open"
    )
    return replace(waiting, commit=_write(repository, waiting, message))


def decide(
    repository: "Repository", waiting: Pending, decisions: Decisions, *, message: str
) -> Pending:
    """Record what was decided about conflicts of a merge; earlier decisions may be changed.

    Args:
        repository: The dataset's.
        waiting: The merge.
        decisions: What is decided now.
        message: Why.

    Returns:
        The merge with its decisions.

    Raises:
        ConflictError: Somebody else decided meanwhile.
    """
    clashes = tuple(
        replace(clash, decision=decisions.get(clash.id, clash.decision))
        for clash in waiting.clashes
    )
    decided = replace(waiting, clashes=clashes)
    return replace(decided, commit=_write(repository, decided, message))


def drop(repository: "Repository", into: str) -> None:
    """Drop a merge that waits; nothing if none does. The reflog keeps it for a while."""
    branch = f"{PENDING}{into}"
    if branch in repository.branches(PENDING):
        with suppress(NotFoundError):  # somebody dropped it just now
            repository.delete_branch(branch)


def _read(repository: "Repository", branch: str) -> Pending | None:
    head = repository.branches(PENDING).get(branch)
    if head is None:
        return None
    if _MARK not in repository.commit(head).metadata:
        return None  # whoever kept it was killed before it was whole
    from registry.tables import store

    try:
        joining, trees = _parsed(repository.read(_RECORD, at=head))
        table = store.read(repository.locate(head), _TABLE)
    except NotFoundError as error:
        raise CorruptError(
            f"what is kept of the merge into '{branch.removeprefix(PENDING)}' is not whole",
            hint=f"drop it: eolab merge {repository.name} --abort --into "
            f"{branch.removeprefix(PENDING)}",
        ) from error
    clashes = tuple(clashes_of(table))
    waiting = Pending(joining=joining, trees=trees, commit=head, clashes=clashes)
    misplaced = branch != f"{PENDING}{waiting.into}"
    return None if misplaced or _is_done(repository, waiting) else waiting


def _parsed(record: bytes) -> tuple[Joining, Trees]:
    try:
        said = json.loads(record)
        joining, trees = said["joining"], said["trees"]
        asked = Joining(
            way=Way(joining["way"]),
            **{name: str(joining[name]) for name in ("into", "name", "commit", "message")},
        )
        base = trees["base"] and str(trees["base"])
        return asked, Trees(base=base, ours=str(trees["ours"]), theirs=str(trees["theirs"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CorruptError(
            f"what is kept of a merge cannot be read: {error}",
            hint="drop it: eolab merge NAME --abort",
        ) from error


def _is_done(repository: "Repository", waiting: Pending) -> bool:
    """Return whether its branch has the outcome: whoever ended it was killed before dropping it."""
    head = repository.branches(waiting.into).get(waiting.into)
    if head is None or head == waiting.ours:
        return False
    if waiting.joining.way is Way.MERGE:
        return repository.merge_base(head, waiting.theirs) == waiting.theirs
    since = takewhile(lambda commit: commit.id != waiting.ours, repository.log(head))
    return any(commit.metadata.get(DECIDED) == waiting.commit for commit in since)


def _begin(repository: "Repository", branch: str, trees: Trees) -> str:
    # Both sides become parents; it counts for nothing until its record is written.
    try:
        repository.create_branch(branch, at=trees.ours)
    except ConflictError as error:
        raise ConflictError(
            f"somebody else merges into '{branch.removeprefix(PENDING)}' just now",
            hint=f"see what waits: eolab conflicts {repository.name}",
        ) from error
    with _joined(repository, branch, head=trees.ours, side=trees.theirs) as transaction:
        tops = {entry.path.partition("/")[0] for entry in repository.entries(trees.ours)}
        for top in sorted(tops):
            transaction.remove(top)
    return repository.resolve(branch)


def _hold(repository: "Repository", branch: str, known: Pending, trees: Trees) -> str:
    # Sides that have moved since become parents too, so that they stay while they are needed.
    head = known.commit
    for side in (trees.ours, trees.theirs):
        if repository.merge_base(head, side) != side:
            said = repository.commit(head).metadata
            with _joined(repository, branch, head=head, side=side, metadata=said):
                pass
            head = repository.resolve(branch)
    return head


@contextmanager
def _joined(
    repository: "Repository",
    branch: str,
    *,
    head: str,
    side: str,
    metadata: "Mapping[str, str] | None" = None,
) -> "Iterator[Transaction]":
    behind = repository.merge_base(head, side) == side
    with repository.transaction(
        branch,
        message=f"compare with {side[:12]}",
        expected=head,
        metadata=metadata,
        merging=None if behind else side,
        allow_empty=True,
    ) as transaction:
        yield transaction


def _write(repository: "Repository", waiting: Pending, message: str) -> str:
    from registry.tables import store
    from registry.tables.schemas import TableSchema

    table = waiting.conflicts
    schema = TableSchema(name=_TABLE, arrow=table.schema, key=("id",))
    record = {"joining": asdict(waiting.joining), "trees": asdict(waiting.trees)}
    with repository.workspace(f"{PENDING}{waiting.into}") as workspace:
        if workspace.head != waiting.commit:
            raise ConflictError(
                f"somebody else decided about the merge into '{waiting.into}' meanwhile",
                hint=f"look again: eolab conflicts {repository.name}",
            )
        store.overwrite(workspace.path, schema, table)
        text = json.dumps(record, ensure_ascii=False, indent=1)
        (workspace.path / _RECORD).write_text(text, encoding="utf-8")
        return workspace.commit(message, metadata={_MARK: str(waiting.joining.way)}).id
