"""Moving several branches and tags together, so that a kill leaves all of them moved or none."""

import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from registry.errors import (
    ConflictError,
    CorruptError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
)
from registry.lake.lakefs.answers import GoneError, TakenError
from registry.lake.lakefs.names import branch_on_server, tag_on_server
from registry.lake.lakefs.notes import BRANCH as NOTES
from registry.lake.lakefs.protection import patient_with_rules
from registry.lake.lakefs.refs import Refs
from registry.lake.lakefs.remote import Remote
from registry.lake.lakefs.said import is_commit_id
from registry.lake.names import check_branch, check_tag

__all__ = ["finish", "move_refs"]

Moves = Mapping[str, tuple[str | None, str | None]]


def move_refs(refs: Refs, moves: Moves, *, operation: str, edit: Callable[[str], str]) -> None:
    """Move branches and tags, protected ones too.

    What is to be done is written down first; whoever opens the repository next finishes it.

    Raises:
        ConflictError: One of them stands elsewhere; none was moved.
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
    _make(refs, plan)
    refs.notes.strike(note)


def finish(refs: Refs) -> None:
    """Make the movements that were written down by whoever was killed before they were made."""
    for name, plan in list(refs.notes.read("moving/")):
        _make(refs, plan)
        refs.notes.strike(f"moving/{name}")


def _make(refs: Refs, said: object) -> None:
    """Make movements as far as they are not made yet, and protect again what was protected."""
    plan = _checked(said)
    remote: Remote = refs.mirror.remote
    for ref, (before, after) in plan.moves.items():
        kind, _, name = ref.partition("/")
        if kind == "branch":
            changed = _move_branch(remote, branch_on_server(name), after)
        else:
            changed = _move_tag(remote, tag_on_server(name), after)
        if changed:
            refs.note(ref, before, after, plan.operation)
    for name, message in plan.messages.items():
        refs.notes.write(f"tag/{name}", message)
    rules = remote.protected()
    if not plan.protected <= set(rules):
        remote.protect(sorted({*rules, *plan.protected}))


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


def _move_branch(remote: Remote, name: str, after: str | None) -> bool:
    """Point a branch elsewhere, without a trace of where it stood: that is the purpose.

    Returns:
        Whether it stood elsewhere.
    """
    stands = None
    with suppress(GoneError):
        stands = remote.head(name)
    if stands == after:
        return False
    if stands is None and after is not None:
        with suppress(TakenError):
            remote.create_branch(name, after)
        return True
    rules = remote.protected()
    if name in rules:  # it is protected again when all have moved
        remote.protect([rule for rule in rules if rule != name])
    if after is None:
        remote.delete_branch(name)
    else:
        patient_with_rules(lambda: remote.hard_reset(name, after), until=ForbiddenError)
    return True


def _move_tag(remote: Remote, name: str, after: str | None) -> bool:
    stands = None
    with suppress(GoneError):
        stands = remote.tag(name)
    if stands == after:
        return False
    remote.delete_tag(name)
    if after is not None:
        remote.create_tag(name, after)
    return True
