"""Rows of a source land on its branch, and from there in a draft."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from registry.catalog import MergeConflictError, Spec
from registry.catalog.version import CARD
from registry.curate.ingest.branch import Written, write_source
from registry.curate.ingest.card import joined
from registry.errors import ConflictError
from registry.tables import store

if TYPE_CHECKING:
    from pathlib import Path

    from registry.catalog.registry import Registry
    from registry.catalog.version import Draft
    from registry.curate.ingest.rows import Rows
    from registry.lake import Repository

__all__ = ["Destination", "Landing", "land"]

_MAIN = "main"
_ATTEMPTS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a source's rows go, and why."""

    source: str
    """The source's branch, ``source/<name>``."""

    named: bool
    """Whether the user gave the name, and so means a source that may have changed wholly."""

    branch: str | None = None
    """Branch to merge into; the caller's draft if None."""

    message: str | None = None
    """Why; what was done if None."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landing:
    """Where a source's rows are now."""

    branch: str
    """The draft."""

    commit: str
    """Where the draft stands."""

    source: str
    """The source's own branch."""

    written: Written
    """What became of the source's samples."""


def land(
    registry: "Registry",
    spec: Spec,
    rows: "Rows",
    *,
    findings: pa.Table,
    pixels: Callable[[pa.Table], Iterable[pa.RecordBatch]],
    to: Destination,
) -> Landing:
    """Commit what a source says on its branch and merge it into a draft.

    Args:
        registry: Where to.
        spec: The card that the source makes; names the dataset.
        rows: What the source says.
        findings: Rows of ``reports/ingest``.
        pixels: As in ``write_source``.
        to: Where they go.

    Returns:
        Where they are; a dataset that was made for them is gone again if anything fails and
        nobody else put anything into it.

    Raises:
        ConflictError: A different source of this name is there; or source and draft changed the
            same.
    """
    is_new = False
    if spec.name not in registry.names():
        with suppress(ConflictError):  # somebody made it just now
            registry.create(spec)
            is_new = True
    try:
        return _land(registry, spec, rows, findings, pixels, to)
    except BaseException:
        if is_new:
            _forget(registry, spec.name, to.source)
        raise


def _land(
    registry: "Registry",
    spec: Spec,
    rows: "Rows",
    findings: pa.Table,
    pixels: Callable[[pa.Table], Iterable[pa.RecordBatch]],
    to: Destination,
) -> Landing:
    repository = registry.lake.repository(spec.name)
    source, name = to.source, to.source.removeprefix("source/")
    draft = _draft(registry, repository, spec.name, to.branch)
    if source not in repository.branches("source/"):
        repository.create_branch(source, at=_card_commit(repository))
    with repository.workspace(source) as workspace:
        if not to.named:
            _check_same_source(workspace.path, rows.samples["id"], source)
        written = write_source(workspace.path, rows, findings, pixels)
        commit = workspace.commit(
            to.message or f"ingest {name}: {len(rows.samples):,} samples",
            metadata={"source": name},
        )
    said = to.message or f"ingest {name}"
    _again_if_moved(lambda: registry.merge(spec.name, commit.id, draft.branch, message=said))
    _again_if_moved(lambda: _update_card(draft, spec))
    return Landing(branch=draft.branch, commit=draft.head, source=source, written=written)


def _again_if_moved(write: Callable[[], object]) -> None:
    """Write to a draft again from where it stands, if somebody else's work landed meanwhile.

    Raises:
        MergeConflictError: The work and the draft changed the same.
        ConflictError: The draft keeps moving.
    """
    for left in reversed(range(_ATTEMPTS)):
        try:
            write()
        except MergeConflictError:
            raise
        except ConflictError:
            if not left:
                raise
        else:
            return


def _forget(registry: "Registry", dataset: str, source: str) -> None:
    """Remove a dataset that was made for a source, unless somebody else put something into it."""
    repository = registry.lake.repository(dataset)
    heads, card = repository.branches(), _card_commit(repository)
    others = {head for branch, head in heads.items() if branch != source}
    if others == {card} and not repository.tags():
        with suppress(ConflictError):  # somebody did, just now
            registry.lake.delete(dataset, expected=heads)


def _draft(
    registry: "Registry", repository: "Repository", dataset: str, branch: str | None
) -> "Draft":
    if branch not in {None, "draft", *repository.branches()}:
        repository.create_branch(str(branch), at=_MAIN)
    return registry.draft(dataset, branch)


def _card_commit(repository: "Repository") -> str:
    """Return the commit that made the dataset's card, where every source begins."""
    oldest_first = [commit.id for commit in repository.log(_MAIN)][::-1]
    return oldest_first[min(1, len(oldest_first) - 1)]


def _check_same_source(root: "Path", ids: pa.ChunkedArray, source: str) -> None:
    if not store.exists(root, "samples"):
        return
    before = store.read(root, "samples", columns=["id"])["id"]
    if len(before) and not pc.any(pc.is_in(ids, value_set=before.combine_chunks())).as_py():
        raise ConflictError(
            f"the source {source!r} of this dataset has {len(before):,} samples, "
            f"none of which is in what is ingested now under the same name",
            hint="give this source a name of its own: --name",
        )


def _update_card(draft: "Draft", said: Spec) -> None:
    text = draft.repository.read(CARD, at=draft.head).decode()
    card = Spec.from_readme(text, name=draft.dataset)
    new = joined(card, said)
    if new != card:
        with draft.repository.transaction(
            draft.branch, message="say in the card what the source adds"
        ) as transaction:
            transaction.put(CARD, new.to_readme().encode())
