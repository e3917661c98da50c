"""Protected branches: the server's own rules, which it obeys a while after it has taken them."""

import fnmatch
import time
from collections.abc import Callable
from contextlib import suppress

from registry.errors import ForbiddenError, RejectedError
from registry.lake.lakefs.answers import GoneError, RefusedError, UnsureError
from registry.lake.lakefs.landing import Landing
from registry.lake.lakefs.names import branch_here, branch_on_server
from registry.lake.lakefs.remote import Remote

__all__ = ["Protection", "patient_with_rules"]

OBEYED_WITHIN = 6.0
"""Seconds that a server may take until it obeys a new protection rule; 1.7 were seen."""


class Protection:
    """Which branches of one repository only merges may move."""

    def __init__(self, remote: Remote, landing: Landing) -> None:
        self._remote = remote
        self._landing = landing

    def names(self) -> frozenset[str]:
        """Return the names of branches that the server protects."""
        rules = self._remote.protected()
        plain = {branch_here(rule) for rule in rules if "*" not in rule and "?" not in rule}
        if len(plain) < len(rules):
            plain |= {
                branch_here(name)
                for name in self._remote.branches()
                if any(fnmatch.fnmatchcase(name, rule) for rule in rules)
            }
        return frozenset(name for name in plain if name is not None)

    def refuse(self, name: str, doing: str) -> None:
        """Refuse to do something to a protected branch.

        Raises:
            ForbiddenError: It is protected.
        """
        if name in self.names():
            raise ForbiddenError(
                f"branch '{name}' is protected; nobody may {doing} it",
                hint="work on a branch of your own and publish it",
            )

    def protect(self, name: str) -> None:
        """Let the server protect a branch, and wait until it does."""
        rule = branch_on_server(name)
        with self._landing.alone(name):
            rules = self._remote.protected()
            if rule not in rules:
                self._remote.protect([*rules, rule])
        self._await_protection(rule)

    def _await_protection(self, rule: str) -> None:
        """Ask for a commit of nothing until it is refused: that leaves nothing, come what may."""
        server, name = self._remote.server, self._remote.name
        asked = server.model("CommitCreation", message="See whether the branch is protected")
        gives_up = time.monotonic() + OBEYED_WITHIN
        while time.monotonic() < gives_up:
            if not self._remote.is_dirty(rule):  # else it is somebody's: never commit that
                try:
                    with suppress(GoneError, RefusedError, RejectedError, UnsureError):
                        server.call(
                            "see whether a branch is protected", server.client.commits_api.commit,
                            name, rule, asked,
                        )  # fmt: skip
                except ForbiddenError:
                    return
            time.sleep(0.02)


def patient_with_rules(do: Callable[[], None], *, until: type[Exception]) -> None:
    """Do what a protection rule forbids that was lifted a moment ago.

    Args:
        do: What is to be done.
        until: What is raised as long as the server still obeys the rule.
    """
    gives_up = time.monotonic() + OBEYED_WITHIN
    while True:
        try:
            do()
        except until:
            if time.monotonic() > gives_up:
                raise
            time.sleep(0.05)
        else:
            return
