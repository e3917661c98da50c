"""One repository on a lakeFS server: the operations that the lake needs, checked on arrival."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

from registry.lake.lakefs.answers import GoneError, RefusedError, TakenError, UnsureError
from registry.lake.lakefs.said import (
    Held,
    ServerCommit,
    commit_of,
    field,
    held_of,
    id_of,
    nonsense,
)
from registry.lake.lakefs.server import Server, patiently

__all__ = ["TOKEN", "Remote"]

TOKEN = "eolab-id"  # noqa: S105 — names a write, opens nothing
"""Commit metadata by which a write is recognised whose answer was lost."""

PAGE = 1000
"""What the server gives or takes at once, at most."""

MOST = 1 << 26
"""Bytes of an object that is read as a whole, at most."""

LOOK_BACK = 2_000
"""Commits of a branch, at most, among which a merge is looked for whose answer was lost."""

LOOKED_AT = 100
"""Of those, how many are asked for at once; all where it is not known where the branch stood."""

_MARKED = re.compile(r"[A-Za-z0-9_.~-]+")


class Remote:
    """One repository on the server; threads share it."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self._home = f"/repositories/{quote(name, safe='')}"

    # ------------------------------------------------------------------ refs
    def head(self, branch: str) -> str:
        """Return the commit that a branch of the server names."""
        return self._head("branches", branch)

    def tag(self, name: str) -> str:
        """Return the commit that a tag of the server names."""
        return self._head("tags", name)

    def _head(self, kind: str, name: str) -> str:
        if not _MARKED.fullmatch(name):
            raise GoneError(f"the server can have no '{name}'", hint="list what there is")
        found = self.server.ask(f"look up '{name}'", "GET", f"{self._home}/{kind}/{name}")
        return id_of(field(found, "commit_id", str))

    def branches(self, prefix: str = "", *, hidden: bool = False) -> dict[str, str]:
        """Return the server's branches with the commits they name."""
        return self._refs("branches", prefix, {"show_hidden": "true"} if hidden else {})

    def tags(self, prefix: str = "") -> dict[str, str]:
        """Return the server's tags with the commits they name."""
        return self._refs("tags", prefix, {})

    def _refs(self, kind: str, prefix: str, more: dict[str, str]) -> dict[str, str]:
        pages = self._pages(f"list {kind}", f"{self._home}/{kind}", {"prefix": prefix, **more})
        return {field(one, "id", str): id_of(field(one, "commit_id", str)) for one in pages}

    def create_branch(self, name: str, source: str, *, hidden: bool = False) -> None:
        """Make a branch at a commit."""
        asked = self.server.model("BranchCreation", name=name, source=source, hidden=hidden)

        def look() -> bool | None:
            with suppress(GoneError):
                return True if self.head(name) == source else None
            return None

        patiently(
            lambda: bool(
                self.server.call(
                    f"make branch '{name}'", self.server.client.branches_api.create_branch,
                    self.name, asked,
                )
            ) or True,
            look=look,
        )  # fmt: skip

    def delete_branch(self, name: str) -> None:
        """Delete a branch of the server."""
        repeated = False

        def once() -> None:
            nonlocal repeated
            try:
                self.server.call(
                    f"delete branch '{name}'", self.server.client.branches_api.delete_branch,
                    self.name, branch=name,
                )  # fmt: skip
            except GoneError:
                if not repeated:
                    raise
            except UnsureError:
                repeated = True
                raise

        patiently(once)

    def create_tag(self, name: str, commit: str) -> None:
        """Make a tag of the server."""
        asked = self.server.model("TagCreation", id=name, ref=commit)

        def look() -> bool | None:
            with suppress(GoneError):
                return True if self.tag(name) == commit else None
            return None

        def once() -> bool:
            api = self.server.client.tags_api
            self.server.call(f"make tag '{name}'", api.create_tag, self.name, asked)
            return True

        patiently(once, look=look)

    def delete_tag(self, name: str) -> None:
        """Delete a tag of the server; nothing if it is gone."""

        def once() -> None:
            with suppress(GoneError):
                api = self.server.client.tags_api
                self.server.call(f"delete tag '{name}'", api.delete_tag, self.name, name)

        patiently(once)

    def hard_reset(self, branch: str, commit: str) -> None:
        """Let a branch name another commit, wherever it stands."""
        api = self.server.client.experimental_api

        def once() -> None:
            self.server.call(
                f"reset '{branch}'", api.hard_reset_branch, self.name, branch, ref=commit
            )

        patiently(once)

    def protected(self) -> list[str]:
        """Return the patterns of branches that only merges may move."""  # noqa: DOC501
        try:
            said = self.server.ask(
                "read the branch protection", "GET",
                f"{self._home}/settings/branch_protection",
            )  # fmt: skip
        except GoneError:
            return []
        if not isinstance(said, list):
            raise nonsense("a list of rules", said)
        return [field(rule, "pattern", str) for rule in said]

    def protect(self, patterns: Sequence[str]) -> None:
        """Replace the patterns of branches that only merges may move."""
        rules = [self.server.model("BranchProtectionRule", pattern=pattern) for pattern in patterns]
        api = self.server.client.repositories_api

        def once() -> None:
            self.server.call("protect branches", api.set_branch_protection_rules, self.name, rules)

        patiently(once)

    def is_dirty(self, branch: str) -> bool:
        """Return whether somebody staged objects on a branch; False if there is none."""
        path = f"{self._home}/branches/{branch}/diff"
        try:
            said = self.server.ask(f"look at '{branch}'", "GET", path, fields={"amount": 1})
        except GoneError:
            return False
        return bool(field(said, "results", list))

    # --------------------------------------------------------------- history
    def commit_at(self, ref: str) -> ServerCommit:
        """Return a commit by its id, or by the beginning of its id.

        Raises:
            GoneError: There is none.
        """
        if not re.fullmatch(r"[0-9a-f]{6,64}", ref):
            raise GoneError(f"'{ref}' is no commit", hint="list what there is")
        return commit_of(
            self.server.ask(f"look up commit {ref[:10]}", "GET", f"{self._home}/commits/{ref}")
        )

    def log(
        self, commit: str, *, amount: int, first_parent: bool = False, after: str = ""
    ) -> list[ServerCommit]:
        """Return a commit and those behind it, as many as are asked for, newest first.

        Args:
            commit: Where to begin.
            amount: How many at most.
            first_parent: Only the first parent of each.
            after: The last that is known already, of what was returned before.

        Returns:
            The commits.
        """
        asked: dict[str, str | int] = {
            "amount": amount, "first_parent": "true" if first_parent else "false",
        }  # fmt: skip
        said = self.server.ask(
            f"read the log behind {commit[:10]}", "GET",
            f"{self._home}/refs/{id_of(commit)}/commits",
            fields=asked | ({"after": after} if after else {}),
        )  # fmt: skip
        return [commit_of(one) for one in field(said, "results", list)]

    def commit(
        self,
        branch: str,
        *,
        message: str,
        metadata: Mapping[str, str],
        at: int | None = None,
        source: str | None = None,
        allow_empty: bool = False,
    ) -> ServerCommit:
        """Commit what is staged on a branch that nobody else writes to.

        Args:
            branch: Of the server.
            message: Why.
            metadata: With a :data:`TOKEN` that no other commit has.
            at: Seconds since 1970; now if None.
            source: Metarange of a commit whose tree becomes the branch's.
            allow_empty: Commit even if nothing is staged.

        Returns:
            The commit.
        """
        said = self.server.model(
            "CommitCreation",
            message=message,
            metadata=dict(metadata),
            date=at,
            allow_empty=allow_empty,
        )
        api = self.server.client.commits_api
        more = {} if source is None else {"source_metarange": source}

        def once() -> ServerCommit:
            made = self.server.call(
                f"commit to '{branch}'", api.commit, self.name, branch, said, **more
            )
            return commit_of(made.to_dict())  # type: ignore[no-untyped-call]

        def look() -> ServerCommit | None:
            found = self.commit_at(self.head(branch))
            return found if found.metadata.get(TOKEN) == metadata[TOKEN] else None

        return self._once_more_if_done(once, look)

    def merge(
        self,
        source: str,
        branch: str,
        *,
        message: str,
        metadata: Mapping[str, str],
        onto: str | None = None,
    ) -> ServerCommit:
        """Merge a commit into a branch, never with a strategy: that would lose a side's rows.

        Args:
            source: Id of the commit.
            branch: Of the server.
            message: Why.
            metadata: With a :data:`TOKEN` that no other merge has.
            onto: Where the branch stood before, if known: the merge is not looked for behind that.

        Returns:
            The merge commit.

        Raises:
            TakenError: Both sides changed an object.
            RefusedError: There is nothing to merge, or somebody staged objects on the branch.
        """
        asked = self.server.model(
            "Merge", message=message, metadata=dict(metadata), allow_empty=True
        )
        api = self.server.client.refs_api

        def once() -> ServerCommit:
            made = self.server.call(
                f"merge into '{branch}'", api.merge_into_branch, self.name, source, branch,
                merge=asked,
            )  # fmt: skip
            return self.commit_at(id_of(str(made.reference)))

        def look() -> ServerCommit | None:
            token = metadata[TOKEN]
            for one in self._upon(onto, branch):
                if one.metadata.get(TOKEN) == token and source in one.parents:
                    return one
            return None

        return self._once_more_if_done(once, look)

    def _upon(self, onto: str | None, branch: str) -> Iterator[ServerCommit]:
        """Yield where a branch stood, newest first, since it stood at a commit."""
        head, after = self.head(branch), ""
        for _ in range(1 if onto is None else LOOK_BACK // LOOKED_AT):
            found = self.log(head, amount=LOOKED_AT, first_parent=True, after=after)
            for one in found:
                if one.id == onto:
                    return
                yield one
            if len(found) < LOOKED_AT or found[-1].id == after:
                return
            after = found[-1].id

    def _once_more_if_done(
        self, once: Callable[[], ServerCommit], look: Callable[[], ServerCommit | None]
    ) -> ServerCommit:
        """Do it; "no changes" after a lost answer is the success of what was asked before.

        Returns:
            What was made.
        """  # noqa: DOC501 — passed on
        try:
            return patiently(once, look=look)
        except RefusedError as error:
            done = look() if error.changes_nothing else None
            if done is None:
                raise
            return done

    # --------------------------------------------------------------- objects
    def listing(self, ref: str, prefix: str = "") -> Iterator[Held]:
        """Yield the objects at a ref whose keys begin so, as the server tells of them."""
        path = f"{self._home}/refs/{quote(ref, safe='')}/objects/ls"
        for one in self._pages("list objects", path, {"prefix": prefix}):
            yield held_of(one)

    def stat(self, ref: str, path: str) -> Held:
        """Return one object at a ref."""
        said = self.server.ask(
            f"look at '{path}'", "GET", f"{self._home}/refs/{quote(ref, safe='')}/objects/stat",
            fields={"path": path},
        )  # fmt: skip
        return held_of(said)

    def differing(self, before: str, after: str) -> Iterator[tuple[str, str]]:
        """Yield kind and path of what differs between two commits."""
        path = f"{self._home}/refs/{id_of(before)}/diff/{id_of(after)}"
        for one in self._pages("compare commits", path, {"type": "two_dot"}):
            yield field(one, "type", str), field(one, "path", str)

    def upload(self, branch: str, path: str, data: bytes | Path, *, sha256: str) -> None:
        """Stage an object on a branch that nobody else writes to."""
        self.put(branch, path, data, {"sha256": sha256})

    def put(self, branch: str, path: str, data: bytes | Path, metadata: Mapping[str, str]) -> None:
        """Stage an object with its metadata; look before doing it again."""
        headers = {
            "Content-Type": "application/octet-stream",
            **{f"x-lakefs-meta-{name}": value for name, value in metadata.items()},
        }
        size = len(data) if isinstance(data, bytes) else data.stat().st_size

        def send(body: bytes | BinaryIO) -> bool:
            with self.server.request(
                f"upload '{path}'", "POST", f"{self._home}/branches/{branch}/objects",
                fields={"path": path}, body=body,
                headers={**headers, "Content-Length": str(size)},
            ) as answer:  # fmt: skip
                answer.read()
            return True

        def once() -> bool:
            if isinstance(data, bytes):
                return send(data)
            with data.open("rb") as stream:
                return send(stream)

        def look() -> bool | None:
            with suppress(GoneError):
                found = self.stat(branch, path)
                return True if found.size == size and dict(found.metadata) == metadata else None
            return None

        patiently(once, look=look)

    def copy(self, branch: str, path: str, *, source: str, source_path: str) -> None:
        """Stage a copy of an object that some commit of the repository has."""
        asked = self.server.model("ObjectCopyCreation", src_path=source_path, src_ref=source)
        api = self.server.client.objects_api

        def once() -> None:
            self.server.call(f"copy '{path}'", api.copy_object, self.name, branch, path, asked)

        patiently(once)

    def delete(self, branch: str, paths: Sequence[str]) -> None:
        """Stage the removal of objects, or take back what was staged at their paths."""
        api = self.server.client.objects_api
        for start in range(0, len(paths), PAGE):
            asked = self.server.model("PathList", paths=list(paths[start : start + PAGE]))

            def once(asked: object = asked) -> None:
                said = self.server.call(
                    "delete objects", api.delete_objects, self.name, branch, asked
                )
                for error in said.errors or []:
                    if error.status_code != 404:  # noqa: PLR2004 — gone is gone
                        raise TakenError(
                            f"the server keeps '{error.path}': {error.message}", hint="retry"
                        )

            patiently(once)

    def content(self, ref: str, path: str) -> bytes:
        """Return the bytes of a small object at a ref."""

        def once() -> bytes:
            with self.server.request(
                f"read '{path}'", "GET", self.object_path(ref), fields={"path": path}
            ) as answer:
                return answer.read(MOST)

        return patiently(once)

    def object_path(self, ref: str) -> str:
        """Return where the bytes of a ref's objects are read, below ``/api/v1``."""
        return f"{self._home}/refs/{quote(ref, safe='')}/objects"

    # --------------------------------------------------------------- private
    def _pages(self, doing: str, path: str, fields: Mapping[str, str]) -> Iterator[Any]:
        after = ""
        while True:
            asked: dict[str, str | int] = {**fields, "amount": PAGE, "after": after}
            said = self.server.ask(doing, "GET", path, fields=asked)
            yield from field(said, "results", list)
            page = field(said, "pagination", dict)
            following = page.get("next_offset")
            if not page.get("has_more"):
                return
            if not isinstance(following, str) or following <= after:
                raise nonsense("a further page", following)
            after = following
