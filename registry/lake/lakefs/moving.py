"""Moving several branches and tags together, so that a kill leaves all of them moved or none."""

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple, Self

from registry.errors import (
    ConflictError,
    CorruptError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from registry.lake.lakefs.answers import GoneError, RefusedError, TakenError
from registry.lake.lakefs.landing import DirtyError, LostRaceError
from registry.lake.lakefs.names import branch_on_server, tag_on_server
from registry.lake.lakefs.notes import BRANCH as NOTES
from registry.lake.lakefs.protection import patient_with_rules
from registry.lake.lakefs.refs import Refs
from registry.lake.lakefs.said import is_commit_id
from registry.lake.names import check_branch, check_tag

__all__ = ["finish", "move_refs"]

Ends = tuple[str | None, str | None]
"""Where a ref stood, and where it goes."""

Moves = Mapping[str, Ends]


def move_refs(refs: Refs, moves: Moves, *, operation: str, edit: Callable[[str], str]) -> None:
    """Move branches and tags, protected ones too.

    What is to be done is written down first; whoever opens the repository next finishes it.

    Raises:
        ConflictError: One of them stands elsewhere; none was moved. Or somebody moved one while
            they were moved: that one was left alone. Or somebody staged objects on one: it moves
            when the repository is opened after they are gone.
        NotFoundError: A commit is not here; none was moved.
    """
    branches, tags = refs.branches(), refs.tags()
    for ref, (before, after) in moves.items():
        kind, _, name = ref.partition("/")
        stands = (branches if kind == "branch" else tags).get(name)
        if stands != before:
            raise ConflictError(
                f"{ref} stands at {str(stands)[:10]}, not at {str(before)[:10]}",
                hint="read it again, then retry",
            )
        if after is not None and not refs.mirror.has_commit(after):
            raise NotFoundError(f"there is no commit {after[:10]}", hint="see eolab log")
    messages = {
        name: {**said, "message": edit(str(said.get("message", "")))}
        for name, said in refs.notes.read("tag/")
        if any(ref == f"tag/{name}" or tag_on_server(ref[4:]) == name for ref in moves)
    }
    names = {branch_on_server(ref[7:]) for ref in moves if ref.startswith("branch/")}
    note = f"moving/{uuid.uuid4().hex}"
    plan = {
        "moves": {ref: list(ends) for ref, ends in moves.items()},
        "operation": operation,
        "messages": messages,
        "protected": sorted(names & set(refs.mirror.remote.protected())),
    }
    refs.notes.write(note, plan)
    left = _make(refs, plan)
    refs.notes.strike(note)
    if left:
        raise ConflictError(
            f"somebody moved {', '.join(left)} meanwhile; it was left alone, all others have moved",
            hint="do it again for what was left",
        )


def finish(refs: Refs) -> None:
    """Make the movements that were written down by whoever was killed before they were made.

    Where objects staged on a branch are in the way, they stay written down: reading goes on, and
    whoever writes to that branch is told.
    """
    for name, plan in list(refs.notes.read("moving/")):
        with suppress(DirtyError):
            _make(refs, plan)
            refs.notes.strike(f"moving/{name}")


def _make(refs: Refs, said: object) -> list[str]:
    """Make movements as far as they are not made yet, and protect again what was protected.

    Returns:
        Refs that stand neither where they stood nor where they go: they are somebody else's now.

    Raises:
        DirtyError: Somebody staged objects on a branch; all others have moved. It stays without
            protection, which would forbid to reset it.
    """
    plan = _checked(said)
    remote = refs.mirror.remote
    left = []
    dirty: dict[str, DirtyError] = {}
    for ref, ends in plan.moves.items():
        kind, _, name = ref.partition("/")
        move = _move_branch if kind == "branch" else _move_tag
        try:
            changed = move(refs, name, ends)
        except _ElsewhereError:
            left.append(ref)
        except DirtyError as error:
            dirty[branch_on_server(name)] = error
        else:
            if changed:
                refs.note(ref, *ends, plan.operation)
    for name, message in plan.messages.items():
        refs.notes.write(f"tag/{name}", message)
    rules, again = remote.protected(), plan.protected - dirty.keys()
    if not again <= set(rules):
        remote.protect(sorted({*rules, *again}))
    for in_the_way in dirty.values():
        raise in_the_way
    return left


class _ElsewhereError(ConflictError):
    """Somebody moved a ref while it was to be moved."""

    @classmethod
    def of(cls, name: str) -> Self:
        """Return the error for a ref."""
        return cls(f"'{name}' was moved by somebody else", hint="read it again, then retry")


class _Plan(NamedTuple):
    """What was decided, and written down before it was done."""

    moves: Moves
    operation: str
    messages: Mapping[str, object]
    protected: frozenset[str]


def _checked(said: object) -> _Plan:
    """Return a plan as it was written down.

    Raises:
        CorruptError: It is none.
    """
    found = said if isinstance(said, dict) else {}
    moves, messages = found.get("moves"), found.get("messages")
    protected, operation = found.get("protected"), found.get("operation")
    if (
        not isinstance(moves, dict)
        or not isinstance(messages, dict)
        or not isinstance(protected, list)
        or not isinstance(operation, str)
        or not all(_is_move(ref, ends) for ref, ends in moves.items())
    ):
        raise CorruptError(
            f"a plan to move refs cannot be read: {str(said)[:80]!r}",
            hint=f"remove moving/ from branch '{NOTES}' in lakeFS",
        )
    return _Plan(
        {ref: (before, after) for ref, (before, after) in moves.items()},
        operation,
        messages,
        frozenset(str(rule) for rule in protected),
    )


def _is_move(ref: str, ends: object) -> bool:
    kind, _, name = ref.partition("/")
    try:
        {"branch": check_branch, "tag": check_tag}[kind](name)
    except (KeyError, InvalidInputError):
        return False
    return (
        isinstance(ends, list)
        and len(ends) == 2  # noqa: PLR2004 — before and after
        and all(end is None or (isinstance(end, str) and is_commit_id(end)) for end in ends)
    )


def _move_branch(refs: Refs, name: str, ends: Ends) -> bool:
    """Point a branch elsewhere, if it stands where it should.

    Where it goes forward that is one merge, which the server refuses if somebody was faster. Else
    it is reset, without a trace of where it stood: that is the purpose. A reset compares nothing,
    so what the branch names is read right before it.

    Returns:
        Whether it has moved.

    Raises:
        ConflictError: It stands elsewhere.
        DirtyError: Somebody staged objects on it.
    """
    before, after = ends
    remote, on_server = refs.mirror.remote, branch_on_server(name)
    if not _is_to_move(refs, remote.head, on_server, ends):
        return False
    if before is None and after is not None:
        with suppress(TakenError):  # then by whoever makes the same movements
            remote.create_branch(on_server, after)
        return not _is_to_move(refs, remote.head, on_server, ends)
    if before is not None and after is not None and refs.mirror.descends(after, before):
        return _advance(refs, name, before=before, after=after)
    rules = remote.protected()
    if on_server in rules:  # it is protected again when all have moved
        remote.protect([rule for rule in rules if rule != on_server])

    def once() -> None:
        if not _is_to_move(refs, remote.head, on_server, ends):
            return
        if after is None:
            remote.delete_branch(on_server)
            return
        try:
            remote.hard_reset(on_server, after)
        except RefusedError as error:
            if error.finds_dirt:
                raise DirtyError.of(name) from error
            raise

    patient_with_rules(once, until=ForbiddenError)
    return True


def _advance(refs: Refs, name: str, *, before: str, after: str) -> bool:
    onto = refs.physical_head(name)
    if refs.mirror.logical(onto) != before:
        raise _ElsewhereError.of(name)
    try:
        refs.landing.move(name, to=after, onto=onto, message=f"move {name}")
    except LostRaceError as error:
        if refs.head(name) == after:
            return False
        raise _ElsewhereError.of(name) from error
    return True


def _move_tag(refs: Refs, name: str, ends: Ends) -> bool:
    remote, on_server, after = refs.mirror.remote, tag_on_server(name), ends[1]
    if not _is_to_move(refs, remote.tag, on_server, ends, half=True):
        return False
    remote.delete_tag(on_server)
    if after is not None:
        with suppress(TakenError):  # as above
            remote.create_tag(on_server, after)
        return not _is_to_move(refs, remote.tag, on_server, ends, half=True)
    return True


def _is_to_move(
    refs: Refs, look: Callable[[str], str], on_server: str, ends: Ends, *, half: bool = False
) -> bool:
    """Return whether a ref has still to move.

    Args:
        refs: The repository's.
        look: Returns the commit of the server that a ref of its kind names.
        on_server: What the ref is called on the server.
        ends: Where it stood, and where it goes.
        half: Whether a ref that is not there may be one that is on its way.

    Raises:
        ConflictError: It stands neither here nor there.
    """  # noqa: DOC501 — a function makes the error
    before, after = ends
    stands = None
    with suppress(GoneError):
        stands = refs.mirror.logical(look(on_server))
    if stands == after:
        return False
    if stands != before and not (half and stands is None):
        raise _ElsewhereError.of(on_server)
    return True
