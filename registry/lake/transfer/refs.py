"""Branches and tags after a transfer: forward only, and never another's work overwritten."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from registry.errors import ConflictError, NotFoundError
from registry.lake.names import check_branch, check_tag
from registry.lake.purges import PURGES, ForgottenError, purges

if TYPE_CHECKING:
    from registry.lake.contract import Repository
    from registry.lake.records import Commit

__all__ = [
    "DivergedError",
    "Moves",
    "Wanted",
    "apply",
    "chosen",
    "plan",
    "telling_of_purges",
    "up_to",
]

MAIN = "main"
DERIVED = "derived/"
KEPT = (DERIVED, "source/")
"""What belongs to versions and sources goes wherever they go."""

KEPT_NAMES = frozenset({"tombstones", PURGES})
ASIDE = "theirs/"

_COMMIT = re.compile(r"[0-9a-f]{40,64}")


class DivergedError(ConflictError):
    """Both sides of a transfer have what the other has not."""

    code = "diverged"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to arrive: commits of the source by the names they are to have."""

    branches: Mapping[str, str]
    tags: Mapping[str, str]

    @property
    def heads(self) -> list[str]:
        """The commits, each once."""
        return list(dict.fromkeys([*self.branches.values(), *self.tags.values()]))


@dataclass(slots=True)
class Moves:
    """What is to happen to the target's refs."""

    branches: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    """By name, where it stands, and the source's commit that it is to name."""

    merges: dict[str, str] = field(default_factory=dict)
    """Branches that both sides added to, with the source's head of each."""

    tags: dict[str, str] = field(default_factory=dict)
    """New tags with the source's commits."""


def chosen(source: "Repository", branches: Iterable[str] = ()) -> Wanted:
    """Return what travels by itself, and branches that were named.

    ``main``, every tag, and what belongs to versions and sources; drafts and other branches of
    people only if they are named.

    Args:
        source: Where it is.
        branches: Further branches.

    Raises:
        NotFoundError: There is no branch of a name.
    """
    there = source.branches()
    wanted = {name: there[name] for name in there if name == MAIN or _belongs(name)}
    for name in branches:
        if name not in there:
            raise NotFoundError(
                f"'{source.name}' has no branch '{name}' there", hint=f"it has: {', '.join(there)}"
            )
        wanted[name] = there[name]
    return Wanted(branches=wanted, tags=source.tags())


def up_to(source: "Repository", at: str, history: Mapping[str, "Commit"]) -> Wanted:
    """Return what is to arrive of a dataset as it was at a commit, with all behind it.

    Args:
        source: Where it is.
        at: What ``main`` is to be.
        history: ``at`` and all behind it.
    """
    tags = {name: commit for name, commit in source.tags().items() if commit in history}
    branches = {MAIN: at}
    for name, head in source.branches().items():
        version = name.removeprefix(DERIVED)
        beside = name.startswith(DERIVED) and (version in tags or version in history)
        if beside or name in KEPT_NAMES or (name.startswith(KEPT) and head in history):
            branches[name] = head
    return Wanted(branches=branches, tags=tags)


def _belongs(name: str) -> bool:
    return name in KEPT_NAMES or name.startswith(KEPT)


def plan(
    source: "Repository",
    target: "Repository",
    wanted: Wanted,
    arrived: Mapping[str, str],
    *,
    fresh: bool,
    aside: bool,
) -> Moves:
    """Decide what is to happen to refs, before anything is sent.

    Args:
        source: Where it is.
        target: Where it goes.
        wanted: What is to arrive.
        arrived: The target's ids by the source's of what it has.
        fresh: Whether nobody has seen the target yet, so that its branches move freely.
        aside: Whether branches that diverged arrive under another name.

    Returns:
        The moves.

    Raises:
        DivergedError: Both sides have what the other has not.
        ConflictError: A tag names something else there.
    """  # noqa: DOC501 — made by the function below
    there, moves = target.branches(), Moves()
    back = {ours: theirs for theirs, ours in arrived.items()}
    for name, head in wanted.branches.items():
        stands = there.get(check_branch(_named(name, arrived)))
        if stands is not None and stands == arrived.get(head):
            continue
        if stands is None or fresh or _is_behind(source, back.get(stands), head):
            moves.branches[name] = (stands, head)
        elif _is_behind(target, arrived.get(head), stands):
            continue
        elif name == PURGES:  # a chain, which no merge of files keeps
            if not _knows_purges(target, source):
                raise _diverged(source, name, head, stands)
        elif _belongs(name):
            moves.merges[name] = head
        elif aside:
            beside = there.get(ASIDE + name)
            if beside not in {None, arrived.get(head)} and not _is_behind(
                source, back.get(beside or ""), head
            ):
                raise _worked_on(target, ASIDE + name)
            moves.branches[ASIDE + name] = (beside, head)
        else:
            raise _diverged(source, name, head, stands)
    moves.tags = _new_tags(target, wanted, arrived)
    return moves


def _is_behind(repository: "Repository", older: str | None, newer: str) -> bool:
    return older is not None and repository.merge_base(older, newer) == older


def _knows_purges(target: "Repository", source: "Repository") -> bool:
    """Return whether all that one dataset has forgotten is forgotten in the other too."""
    return {one.salt for one in purges(source)} <= {one.salt for one in purges(target)}


@contextmanager
def telling_of_purges(
    source: "Repository", target: "Repository", *, origin: str, goal: str
) -> Iterator[None]:
    """Say of what must not move that one side has forgotten rows of the other, where it has.

    Merging could not bring two such histories together: one is the other, told again.

    Args:
        source: Where it comes from.
        target: Where it goes.
        origin: Address of the source's lake.
        goal: Address of the target's lake.

    Raises:
        ConflictError: What was raised, of its own kind, saying what to do.
        ForgottenError: Likewise.
    """
    try:
        yield
    except (ConflictError, ForgottenError) as error:
        for one, at, other, there in (
            (target, goal, source, origin),
            (source, origin, target, goal),
        ):
            known = {purge.salt for purge in purges(other)}
            unknown = [purge for purge in purges(one) if purge.salt not in known]
            if unknown:
                # The code and status stay: scripts know them.
                raise type(error)(
                    f"the lake {at} has forgotten rows of '{one.name}' on {unknown[-1].at[:10]} "
                    f"({unknown[-1].reason}) and {there} has not; nothing was moved",
                    hint="make it forget them too, for good, and do this again: "
                    + shlex.join(["eolab", "--lake", there, "pull", one.name, "--from", at]),
                ) from error
        raise


def _named(branch: str, arrived: Mapping[str, str]) -> str:
    """Return what a branch is called there: one that is named after a commit, after that."""
    commit = branch.removeprefix(DERIVED)
    if branch.startswith(DERIVED) and _COMMIT.fullmatch(commit):
        return DERIVED + arrived.get(commit, commit)
    return branch


def _diverged(source: "Repository", name: str, head: str, stands: str) -> DivergedError:
    return DivergedError(
        f"branch '{name}' of '{source.name}' has diverged: it stands at {head[:10]} where it comes "
        f"from and at {stands[:10]} where it should go, and neither has the other behind it; "
        "nothing was moved",
        hint=f"bring the two together where you can merge: eolab pull {source.name} --aside, then "
        f"eolab merge {source.name} {ASIDE}{name}; then push",
    )


def _worked_on(target: "Repository", name: str) -> ConflictError:
    return ConflictError(
        f"branch '{name}' of '{target.name}' has work of its own on it; nothing was moved",
        hint=f"merge it first: eolab merge {target.name} {name}; then delete the branch",
    )


def _new_tags(target: "Repository", wanted: Wanted, arrived: Mapping[str, str]) -> dict[str, str]:
    there, fresh = target.tags(), {}
    for name, commit in wanted.tags.items():
        names = there.get(check_tag(name))
        if names is None:
            fresh[name] = commit
        elif names != arrived.get(commit):
            raise ConflictError(
                f"'{target.name}@{name}' is another version there ({names[:10]}) than where it "
                f"comes from ({commit[:10]}); nothing was moved",
                hint="a version's number never means two things: publish again, under the next "
                "number, on the side where it matters less",
            )
    return fresh


def apply(
    source: "Repository",
    target: "Repository",
    moves: Moves,
    arrived: Mapping[str, str],
    *,
    operation: str,
) -> dict[str, tuple[str | None, str]]:
    """Move what was planned: branches together, then tags; repeating it finishes it.

    Args:
        source: Where it came from; tells what tags say.
        target: Whose refs move.
        moves: The plan.
        arrived: The target's ids by the source's.
        operation: What the reflog says.

    Returns:
        Branches by name with where they stood and stand.

    Raises:
        DivergedError: Both sides wrote the same beside a version, differently.
    """
    for name, head in moves.merges.items():
        conflicts = target.plan_merge(arrived[head], into=name).conflicts
        if conflicts:
            raise DivergedError(
                f"both sides wrote '{conflicts[0].path}' on '{name}' of '{source.name}', "
                "differently; nothing was moved",
                hint=f"bring theirs beside yours: eolab pull {source.name} --branch {name} --aside",
            )
    moved: dict[str, tuple[str | None, str]] = {
        _named(name, arrived): (stands, arrived[head])
        for name, (stands, head) in moves.branches.items()
    }
    if moved:
        target.move_refs(
            {f"branch/{name}": ends for name, ends in moved.items()}, operation=operation
        )
    for name, head in moves.merges.items():
        stood = target.resolve(name)
        made = target.merge(arrived[head], into=name, message=f"Merge {name} from another lake")
        moved[name] = (stood, made.id)
    for name in _in_order(moves.tags):
        at = arrived[moves.tags[name]]
        target.create_tag(name, at=at, message=source.tag_message(name))
    return moved


def _in_order(tags: Iterable[str]) -> Sequence[str]:
    return sorted(tags, key=lambda name: (len(name), name))
