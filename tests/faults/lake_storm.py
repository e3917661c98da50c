"""A lake whose writers are killed: commits, merges, tags, undoing, packing and collection."""

import random
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from registry import lake
from registry.errors import ConflictError, NotFoundError
from tests.faults.killing import Death, run_and_kill

BRANCHES = ("main", "anna/fix", "b")
LONGEST_RUN = 0.1
"""Seconds after which a writer that is killed by the clock is killed at the latest."""

MOST_CALLS = 80_000
"""Function calls after which a writer that is killed by counting is killed at the latest."""

MOST_STEPS = 600
"""Steps on disk after which a writer that is killed at one is killed at the latest."""


# ------------------------------------------------------------------- what a writer does
def add(repo, branch, chance):
    with repo.transaction(branch, message="add") as transaction:
        for _ in range(chance.randrange(1, 5)):
            transaction.put(f"d{chance.randrange(5)}/f{chance.randrange(9)}", chance.randbytes(50))


def add_many(repo, branch, chance):
    with repo.transaction(branch, message="add many") as transaction:
        for number in range(30):
            transaction.put(f"many/{number}", chance.randbytes(20))


def edit(repo, branch, chance):
    with repo.workspace(branch) as workspace:
        for number in range(chance.randrange(1, 4)):
            file = workspace.path / f"t{chance.randrange(2)}" / "_delta_log" / f"{number}.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_bytes(chance.randbytes(30))
        workspace.commit("edit")


def merge(repo, branch, chance):
    other = chance.choice([name for name in BRANCHES if name != branch])
    repo.merge(other, into=branch, message="merge", side=chance.choice(["ours", "theirs"]))


def undo(repo, branch, chance):
    repo.undo(branch)


def tag(repo, branch, chance):
    repo.create_tag(f"v{chance.randrange(1 << 60)}", at=branch, message="tagged")


def sweep(repo, branch, chance):
    repo.gc(grace=timedelta(0))


def pack(repo, branch, chance):
    with repo.transaction(branch, message="pack") as transaction:
        transaction.put("packed", chance.randbytes(9))
    repo._git._untidy = lambda: (True, True)
    repo._git.tidy()


def look(repo, branch, chance):
    repo.locate(branch)


OPERATIONS = {
    add: 6, add_many: 2, edit: 4, merge: 3, undo: 1, tag: 1, sweep: 2, pack: 1, look: 1,
}  # fmt: skip


def write(address, seed, say):
    """Do operations without end; say before and after each where its branch stands."""
    repo, chance = lake.connect(address).repository("storm"), random.Random(seed)  # noqa: S311 — repeatable, no secret
    while True:
        (operation,) = chance.choices(list(OPERATIONS), list(OPERATIONS.values()))
        branch = chance.choice(BRANCHES)
        say({"doing": operation.__name__, "branch": branch})
        with suppress(ConflictError, NotFoundError):
            operation(repo, branch, chance)
        say({"branch": branch, "head": repo.resolve(branch), "content": repo.content_id(branch)})


# ------------------------------------------------------------------------- the killing
@dataclass
class LakeStorm:
    """A lake whose writers are killed, and what must be true of it."""

    folder: Path
    seed: int = 0
    kills: int = 0
    acknowledged: int = 0
    slowest_recovery: float = 0.0
    problems: list[str] = field(default_factory=list)
    during: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        self.lake = lake.init(str(self.folder / "lake"))
        repo = self.lake.create("storm")
        for branch in BRANCHES[1:]:
            repo.create_branch(branch, at="main")
        for branch in BRANCHES:  # so that undoing never takes back the making of a branch
            with repo.transaction(branch, message="begin") as transaction:
                transaction.put("begun", branch.encode())
        self.heads = repo.branches()

    def strike(self):
        """Start a writer, kill it, and check everything."""
        seed = self.seed * 1_000_003 + self.kills
        chance = random.Random(seed)  # noqa: S311 — repeatable, no secret
        death = Death.by_chance(chance, seconds=LONGEST_RUN, calls=MOST_CALLS, on_disk=MOST_STEPS)
        heard = run_and_kill(lambda say: write(self.lake.address, seed, say), death)
        self.kills += 1
        repo = self.lake.repository("storm")
        began = time.perf_counter()
        self._check_heads(repo, heard)
        self.slowest_recovery = max(self.slowest_recovery, time.perf_counter() - began)
        if not self.kills % 25:
            self.check_everything()

    def _check_heads(self, repo, heard):
        acknowledged, pending = dict(self.heads), None
        contents = {}
        for told in heard:
            if "failed" in told:
                self._complain(told["failed"])
            elif "head" in told:
                branch = told["branch"]
                acknowledged[branch], contents[branch] = told["head"], told["content"]
                pending = None
                self.acknowledged += 1
            else:
                pending = told
        if pending:
            self.during[pending["doing"]] = self.during.get(pending["doing"], 0) + 1
        now = repo.branches()
        for branch, head in acknowledged.items():
            if now.get(branch) == head:
                if branch in contents and repo.content_id(branch) != contents[branch]:
                    self._complain(f"the content of {branch} changed")
            elif pending is None or pending["branch"] != branch:
                self._complain(f"{branch} lost {head}: {now.get(branch)}")
            for entry in repo.entries(branch):
                with repo.open(entry.path, at=branch):
                    pass
        self.heads = now

    def _complain(self, what):
        self.problems.append(f"kill {self.kills} of storm {self.seed}: {what}")

    def check_everything(self):
        """Run the lake's own and Git's own check, and write once more."""
        repo = self.lake.repository("storm")
        for damage in repo.fsck():
            self._complain(str(damage))
        for line in git_fsck(repo):
            self._complain(line)
        with repo.transaction("main", message="alive") as transaction:
            transaction.put("alive", str(self.kills).encode())
        left = list(repo._layout.sessions.iterdir())
        if left:
            self._complain(f"sessions were left: {left}")
        self.heads = repo.branches()


def git_fsck(repo):
    """Return what Git's own program finds wrong."""
    ran = subprocess.run(
        ["git", "-C", str(repo._layout.root), "fsck", "--full", "--strict", "--no-dangling"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    said = [f"git fsck: {line}" for line in (ran.stdout + ran.stderr).splitlines()]
    return said or ([f"git fsck ended with {ran.returncode}"] if ran.returncode else [])
