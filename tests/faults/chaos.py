"""Kill a writer at random points, again and again, and look at what it left.

Run it by itself for as long as wanted::

    python -m tests.faults.chaos --kills 10000 --seed 7
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from registry import lake
from registry.errors import ConflictError, NotFoundError

BRANCHES = ("main", "anna/fix", "b")
LONGEST_RUN = 0.1
"""Seconds after which a writer that is killed by the clock is killed at the latest."""

MOST_CALLS = 80_000
"""Function calls after which a writer that is killed by counting is killed at the latest."""


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


OPERATIONS: dict[Callable, int] = {
    add: 6, add_many: 2, edit: 4, merge: 3, undo: 1, tag: 1, sweep: 2, pack: 1, look: 1,
}  # fmt: skip


def write(address: str, seed: int, say: Callable[[str], None]) -> None:
    """Do operations without end; say before and after each where its branch stands."""
    repo, chance = lake.connect(address).repository("storm"), random.Random(seed)  # noqa: S311 — repeatable, no secret
    while True:
        (operation,) = chance.choices(list(OPERATIONS), list(OPERATIONS.values()))
        branch = chance.choice(BRANCHES)
        say(f"{operation.__name__} {branch}")
        with suppress(ConflictError, NotFoundError):
            operation(repo, branch, chance)
        say(f"done {branch} {repo.resolve(branch)} {repo.content_id(branch)}")


# ------------------------------------------------------------------------- the killing
def run_and_kill(address: str, seed: int) -> list[str]:
    """Let a child write until it is killed; return what it said."""
    chance = random.Random(seed)  # noqa: S311 — repeatable, no secret
    read, said = os.pipe()
    child = os.fork()
    if not child:
        code = 70
        try:
            os.close(read)
            if seed % 2:
                _die_after(chance.randrange(MOST_CALLS))
            write(address, seed, lambda line: os.write(said, f"{line}\n".encode()))
        except BaseException as error:  # noqa: BLE001 — the parent must hear of it, whatever it is
            os.write(said, f"failed {error!r}\n".encode())
        finally:
            os._exit(code)
    os.close(said)
    if not seed % 2:
        time.sleep(chance.random() * LONGEST_RUN)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(read, "rb") as pipe:
        heard = pipe.read().decode().splitlines()
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        heard.append(f"failed with status {status}")
    return heard


def _die_after(calls: int) -> None:
    """Kill this process at its n-th function call, Python's or C's."""
    left = calls

    def count(frame, event, argument):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)


@dataclass
class Storm:
    """A lake whose writers are killed, and what must be true of it."""

    folder: Path
    seed: int = 0
    kills: int = 0
    acknowledged: int = 0
    slowest_recovery: float = 0.0
    problems: list[str] = field(default_factory=list)
    during: dict[str, int] = field(default_factory=dict)

    def __post_init__(self):
        self.lake = lake.init(str(self.folder))
        repo = self.lake.create("storm")
        for branch in BRANCHES[1:]:
            repo.create_branch(branch, at="main")
        self.heads = repo.branches()

    def strike(self) -> None:
        """Start a writer, kill it, and check everything."""
        heard = run_and_kill(self.lake.address, self.seed * 1_000_003 + self.kills)
        self.kills += 1
        repo = self.lake.repository("storm")
        began = time.perf_counter()
        self._check_heads(repo, heard)
        self.slowest_recovery = max(self.slowest_recovery, time.perf_counter() - began)
        if not self.kills % 25:
            self.check_everything()

    def _check_heads(self, repo, heard: list[str]) -> None:
        acknowledged, pending = dict(self.heads), None
        contents: dict[str, str] = {}
        for line in heard:
            word, *rest = line.split(" ")
            if word == "done":
                branch, head, content = rest
                acknowledged[branch], contents[branch], pending = head, content, None
                self.acknowledged += 1
            elif word == "failed":
                self.problems.append(f"kill {self.kills}: {line}")
            else:
                pending = (word, rest[0])
        if pending:
            self.during[pending[0]] = self.during.get(pending[0], 0) + 1
        now = repo.branches()
        for branch, head in acknowledged.items():
            if now.get(branch) == head:
                if branch in contents and repo.content_id(branch) != contents[branch]:
                    self.problems.append(f"kill {self.kills}: the content of {branch} changed")
            elif pending is None or pending[1] != branch:
                self.problems.append(f"kill {self.kills}: {branch} lost {head}: {now.get(branch)}")
            for entry in repo.entries(branch):
                with repo.open(entry.path, at=branch):
                    pass
        self.heads = now

    def check_everything(self) -> None:
        """Run the lake's own and Git's own check, and write once more."""
        repo = self.lake.repository("storm")
        self.problems += [f"kill {self.kills}: {damage}" for damage in repo.fsck()]
        git = subprocess.run(
            ["git", "-C", str(repo._layout.root), "fsck", "--full", "--strict", "--no-dangling"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if git.returncode or git.stderr or git.stdout:
            self.problems.append(f"kill {self.kills}: git fsck: {git.stdout}{git.stderr}")
        with repo.transaction("main", message="alive") as transaction:
            transaction.put("alive", str(self.kills).encode())
        left = list(repo._layout.sessions.iterdir())
        if left:
            self.problems.append(f"kill {self.kills}: sessions were left: {left}")
        self.heads = repo.branches()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="where the lake is made, by default in /tmp")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        storm = Storm(Path(folder) / "lake", seed=options.seed)
        while storm.kills < options.kills and not storm.problems:
            storm.strike()
        storm.check_everything()
        told = {
            "kills": storm.kills,
            "acknowledged": storm.acknowledged,
            "during": storm.during,
            "slowest_recovery_s": round(storm.slowest_recovery, 3),
            "problems": storm.problems,
        }
        sys.stdout.write(json.dumps(told, indent=2) + "\n")
        sys.exit(bool(storm.problems))


if __name__ == "__main__":
    main()
