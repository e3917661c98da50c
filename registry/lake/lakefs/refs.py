"""Branches and tags of a repository on a server, and how they move."""

import difflib
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from registry.errors import ConflictError, InvalidInputError, NotFoundError
from registry.lake.lakefs.answers import GoneError, RefusedError, TakenError
from registry.lake.lakefs.landing import Copied, Landing
from registry.lake.lakefs.mirror import Mirror
from registry.lake.lakefs.names import (
    OWN,
    branch_here,
    branch_on_server,
    tag_here,
    tag_on_server,
)
from registry.lake.lakefs.notes import BRANCH as NOTES
from registry.lake.lakefs.notes import Notes
from registry.lake.lakefs.protection import Protection
from registry.lake.local import trees
from registry.lake.local.pointers import Pointer
from registry.lake.names import check_branch, check_tag, default_author
from registry.lake.records import RefUpdate

__all__ = ["Refs"]

MOMENT = 15.0
"""Seconds for which it is not asked again which commits were given up."""

_HEX = re.compile(r"[0-9a-f]{7,64}")


class Refs:
    """What the names of one repository stand for; threads share it."""

    def __init__(self, mirror: Mirror, landing: Landing, notes: Notes) -> None:
        self.notes = notes
        self.mirror = mirror
        self.made_here: set[str] = set()
        self._swept: tuple[float, set[str]] = (0.0, set())
        self.protection = Protection(mirror.remote, landing)
        self.landing = landing
        self._remote = mirror.remote
        self._objects: dict[str, dict[Pointer, str]] = {}

    # ----------------------------------------------------------------- reading
    def physical_head(self, branch: str) -> str:
        """Return the commit of the server that a branch names.

        Raises:
            NotFoundError: There is no such branch.
        """
        try:
            return self._remote.head(branch_on_server(check_branch(branch)))
        except (GoneError, InvalidInputError) as error:
            near = difflib.get_close_matches(branch, list(self._branches()))
            hint = f"did you mean '{near[0]}'?" if near else "list them: eolab branch"
            raise NotFoundError(f"no branch '{branch}'", hint=hint) from error

    def head(self, branch: str) -> str:
        """Return the commit that a branch stands at."""
        return self.mirror.logical(self.physical_head(branch))

    def _branches(self) -> dict[str, str]:
        found = {branch_here(name): head for name, head in self._remote.branches().items()
                 if not name.startswith(OWN)}  # fmt: skip
        return dict(sorted(_named(found)))

    def branches(self, prefix: str = "") -> dict[str, str]:
        """Return branch names with the commits they stand at."""
        return {
            name: self.mirror.logical(head)
            for name, head in self._branches().items()
            if name.startswith(prefix)
        }

    def tags(self, prefix: str = "") -> dict[str, str]:
        """Return tag names with the commits they name."""
        found = {tag_here(name): head for name, head in self._remote.tags().items()}
        return {
            name: self.mirror.logical(head)
            for name, head in sorted(_named(found))
            if name.startswith(prefix)
        }

    def resolve(self, ref: str, *, repository: str) -> str:
        """Return the commit id that a branch, a tag, an id or a unique prefix names.

        Raises:
            NotFoundError: Nothing of that name.
        """
        found = self._named(ref) or self._numbered(ref)
        if found is None:
            raise NotFoundError(
                f"'{repository}' has no branch, tag or commit '{ref}'",
                hint=f"list them: eolab branch {repository}, or eolab log {repository}@main",
            )
        return found

    def _named(self, ref: str) -> str | None:
        if len(ref) == 64 and _HEX.fullmatch(ref):  # noqa: PLR2004 — a whole id is no name
            return None
        with suppress(InvalidInputError):
            check_branch(ref)
            with suppress(GoneError):
                return self.mirror.logical(self._remote.head(branch_on_server(ref)))
            with suppress(GoneError):
                return self.mirror.logical(self._remote.tag(tag_on_server(ref)))
        return None

    def _numbered(self, ref: str) -> str | None:
        if not _HEX.fullmatch(ref):
            return None
        try:
            if len(ref) == 64:  # noqa: PLR2004 — whole
                found = self.mirror.logical(ref)
            else:
                found = self._remote.commit_at(ref).id
                found = self.mirror.logical(found) if found.startswith(ref) else ""
        except (NotFoundError, RefusedError):
            return None
        return None if not found or found in self.swept() else found

    def swept(self, *, fresh: bool = False) -> set[str]:
        """Return the commits that garbage collection has given up.

        Args:
            fresh: Whether to ask again although that was done a moment ago.
        """
        if fresh or time.monotonic() > self._swept[0]:
            gone = {name for name, _ in self.notes.read("swept/")}
            self._swept = (time.monotonic() + MOMENT, gone)
        return self._swept[1]

    def give_up(self, commits: Iterable[str]) -> None:
        """Let nobody find commits any more."""
        for commit in sorted(commits):
            self.notes.write(f"swept/{commit}", {"by": default_author()})
        self._swept = (0.0, set())

    def where(self, pointer: Pointer, *, near: Iterable[str | None], path: str) -> Copied | None:
        """Return a commit and a path under which the server holds an object.

        Args:
            pointer: The object.
            near: Commits that are looked at first.
            path: Where it probably is.
        """
        return self.places({pointer: path}, near=near).get(pointer)

    def places(
        self, wanted: Mapping[Pointer, str], *, near: Iterable[str | None]
    ) -> dict[Pointer, Copied]:
        """Return for objects that the server holds a commit and a path that has them.

        Args:
            wanted: The objects, each with the path where it probably is.
            near: Commits that are looked at first, with all behind them at last.
        """
        close = list(dict.fromkeys(filter(None, near)))
        found: dict[Pointer, Copied] = {}
        for commit in close:
            tree = self.mirror.commit(commit).tree
            for pointer, path in wanted.items():
                node = trees.find(self.mirror.tree, tree, path)
                if node is not None and not node.folder and self.mirror.pointer(node.id) == pointer:
                    found.setdefault(pointer, Copied(commit, path))
        if len(found) < len(wanted):
            for commit in dict.fromkeys([*close, *self.heads()]):
                there = self.objects(commit)
                for pointer in (wanted.keys() - found.keys()) & there.keys():
                    found[pointer] = Copied(commit, there[pointer])
        return found | self._in_history(set(wanted.keys() - found.keys()), close)

    def _in_history(self, wanted: set[Pointer], heads: Iterable[str]) -> dict[Pointer, Copied]:
        found: dict[Pointer, Copied] = {}
        seen: set[str] = set()
        for commit in (raw.commit for head in heads for raw in self.mirror.walk(head)):
            if found.keys() == wanted:
                break
            if commit.id in seen:
                continue
            seen.add(commit.id)
            before = self.mirror.commit(commit.parents[0]).tree if commit.parents else None
            after = self.mirror.commit(commit.id).tree
            for path, _, oid in trees.differences(self.mirror.tree, before, after):
                if oid is not None and (pointer := self.mirror.pointer(oid)) in wanted:
                    found.setdefault(pointer, Copied(commit.id, path))
        return found

    def heads(self) -> set[str]:
        """Return the commits that branches and tags name, and those that were just grafted."""
        return {*self.branches().values(), *self.tags().values(), *self.made_here}

    def first(self) -> str:
        """Return the server's own first commit, which holds nothing."""
        return self._remote.head(NOTES)

    def objects(self, commit: str) -> dict[Pointer, str]:
        """Return the objects of a commit, each with one of its paths."""
        known = self._objects.get(commit)
        if known is None:
            if len(self._objects) > 8:  # noqa: PLR2004 — a commit may hold a million objects
                self._objects.clear()
            walked = trees.walk(self.mirror.tree, self.mirror.commit(commit).tree)
            known = {self.mirror.pointer(oid): path for path, oid in walked}
            self._objects[commit] = known
        return known

    # ------------------------------------------------------------------ making
    def create_branch(self, name: str, target: str, *, operation: str = "branch") -> None:
        """Make a branch at a commit.

        Raises:
            ConflictError: There is one of that name, or one would be the other's folder.
        """
        on_server = branch_on_server(check_branch(name))
        _refuse_nesting("branch", name, self._branches())
        try:
            self._remote.create_branch(on_server, target)
        except TakenError as error:
            raise ConflictError(
                f"branch/{name} exists already, or a tag of that name",
                hint="choose another name, or use it",
            ) from error
        self.note(f"branch/{name}", None, target, operation)

    def create_tag(self, name: str, target: str, *, message: str = "") -> None:
        """Make a tag at a commit.

        Raises:
            ConflictError: There is one of that name, or a branch: lakeFS tells them not apart.
        """
        on_server = tag_on_server(check_tag(name))
        _refuse_nesting("tag", name, self.tags())
        try:
            self._remote.create_tag(on_server, target)
        except TakenError as error:
            raise ConflictError(
                f"tag/{name} exists already, or a branch of that name",
                hint="choose another name, or use it",
            ) from error
        if message:  # the server's tags say nothing
            self.notes.write(f"tag/{on_server}", {"message": message, "by": default_author()})
        self.note(f"tag/{name}", None, target, "tag")

    def tag_message(self, name: str) -> str:
        """Return what was said when a tag was made.

        Raises:
            NotFoundError: There is no such tag.
        """
        on_server = tag_on_server(check_tag(name))
        try:
            self._remote.tag(on_server)
        except GoneError as error:
            raise NotFoundError(f"no tag '{name}'", hint="list them: eolab log") from error
        said = dict(self.notes.read(f"tag/{on_server}"))
        return str(said.get("", {}).get("message", ""))

    def delete_branch(self, name: str) -> None:
        """Delete a branch; ForbiddenError if it is protected, or the server's default one."""
        self.protection.refuse(name, "delete")
        before = self.head(name)
        self._remote.delete_branch(branch_on_server(name))
        self.note(f"branch/{name}", before, None, "delete")

    # ------------------------------------------------------------------ moving
    def advance(self, branch: str, *, to: str, expected: str, operation: str) -> None:
        """Move a branch forward to a commit that descends from it.

        Raises:
            ConflictError: The branch stands elsewhere, or ``to`` does not descend from there.
        """
        self.physical_head(branch)
        if not self.mirror.descends(to, expected):
            raise ConflictError(
                f"{to[:10]} does not descend from {expected[:10]}, where '{branch}' should stand",
                hint="merge first, then advance to the merge",
            )
        self.move(branch, to=to, expected=expected, operation=operation)

    def move(self, branch: str, *, to: str, expected: str | None, operation: str) -> RefUpdate:
        """Move a branch to any commit by compare-and-swap.

        Returns:
            The movement.

        Raises:
            ConflictError: It stands elsewhere.
        """
        with self.landing.alone(branch):
            onto = self.physical_head(branch)
            stands = self.mirror.logical(onto)
            if expected is not None and stands != expected:
                raise ConflictError(
                    f"branch/{branch} stands at {stands[:10]}, not at {expected[:10]}: somebody "
                    "moved it meanwhile",
                    hint="read it again, then retry",
                )
            if stands != to:
                self.landing.move(branch, to=to, onto=onto, message=f"{operation} {branch}")
            return self.note(f"branch/{branch}", stands, to, operation)

    def undo(self, branch: str) -> RefUpdate:
        """Take back the last movement of a branch.

        Returns:
            The movement that did.

        Raises:
            NotFoundError: It never moved, or where it was is swept.
            ConflictError: It stands where no movement left it.
        """
        self.protection.refuse(check_branch(branch), "undo")
        stands: str | None = None
        with suppress(NotFoundError):
            stands = self.head(branch)
        moved = list(self.notes.movements(f"branch/{branch}"))
        if not moved:
            raise NotFoundError(f"branch '{branch}' has never moved", hint="see eolab branch")
        last = next((one for one in moved if one.after == stands), None)
        if last is None:
            raise ConflictError(
                f"branch '{branch}' was moved by another program, so there is nothing to undo",
                hint="see eolab log, then reset it",
            )
        if last.before is not None and last.before in self.swept(fresh=True):
            raise NotFoundError(
                f"commit {last.before[:10]} has been swept",
                hint="keep more by a longer grace of eolab gc",
            )
        return self._take_back(branch, last)

    def _take_back(self, branch: str, last: RefUpdate) -> RefUpdate:
        ref = f"branch/{branch}"
        if last.before is None:
            self._remote.delete_branch(branch_on_server(branch))
            return self.note(ref, last.after, None, "undo")
        if last.after is None:
            self._remote.create_branch(branch_on_server(branch), last.before)
            return self.note(ref, None, last.before, "undo")
        return self.move(branch, to=last.before, expected=last.after, operation="undo")

    def movements(self, ref: str | None) -> Iterator[RefUpdate]:
        """Return movements of refs, newest first; a bare name is a branch's."""
        if ref is not None and not ref.startswith(("branch/", "tag/")):
            ref = f"branch/{ref}"
        return self.notes.movements(ref)

    def note(self, ref: str, before: str | None, after: str | None, operation: str) -> RefUpdate:
        """Write down a movement that has been made.

        Returns:
            The movement.
        """
        return self.notes.moved(
            ref, before=before, after=after, operation=operation, author=default_author()
        )


def _named(found: Mapping[str | None, str]) -> list[tuple[str, str]]:
    return [(name, head) for name, head in found.items() if name is not None]


def _refuse_nesting(kind: str, name: str, others: Iterable[str]) -> None:
    for other in others:
        if other == name:
            raise ConflictError(
                f"{kind}/{name} exists already", hint="choose another name, or use it"
            )
        if other.startswith(f"{name}/") or name.startswith(f"{other}/"):
            raise ConflictError(
                f"{kind}/{name} cannot be made beside {kind}/{other}: one would be the folder of "
                "the other",
                hint="choose another name",
            )
