"""The lake's history as a state machine, beside a model of plain dicts."""

import shutil
import subprocess
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from registry import lake
from registry.errors import ConflictError, InvalidInputError, NotFoundError

PATHS = ["a", "b", "d/x", "d/y", "d/e/z", "f/_delta_log/0.json", "f/_delta_log/1.json", "f/p"]
BRANCHES = ["main", "anna/fix", "b"]
TABLE = "f/"

changes = st.dictionaries(
    st.sampled_from(PATHS), st.none() | st.integers(0, 3).map(lambda n: b"%d" % n), min_size=1,
    max_size=4,
)  # fmt: skip
branches = st.sampled_from(BRANCHES)
sides = st.sampled_from(["ours", "theirs", "base"])


def merged(base, ours, theirs, side):
    """Merge dicts path by path; the table below ``f/`` goes as one if both sides wrote its log."""

    def differs(one, path):
        return one.get(path) != base.get(path)

    def wrote_log(one):
        return any(differs(one, path) for path in PATHS if "_delta_log" in path)

    diverged = wrote_log(ours) and wrote_log(theirs)
    outcome = dict(ours)
    for path in PATHS:
        if ours.get(path) == theirs.get(path):
            continue
        mine, other = differs(ours, path), differs(theirs, path)
        whole = diverged and path.startswith(TABLE)
        if (mine and other) or (whole and (mine or other)):
            taken = {"ours": ours, "theirs": theirs, "base": base}[side].get(path)
        elif other:
            taken = theirs.get(path)
        else:
            continue
        outcome[path] = taken
    return {path: data for path, data in outcome.items() if data is not None}


class History(RuleBasedStateMachine):
    """Every rule does the same to the lake and to the model, then both are compared."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="eolab-history-"))
        self.repo = lake.init(str(self.folder / "lake")).create("ships")

    def teardown(self):
        shutil.rmtree(self.folder)

    @initialize()
    def begin(self):
        first = self.repo.resolve("main")
        self.contents = {first: {}}
        self.parents = {first: ()}
        self.heads = {"main": first}
        self.moves = {"main": [(None, first)]}
        self.tags = {}
        self.made = [first]

    def message(self):
        """Say something new: equal commits of one second would be one commit."""
        return f"change {len(self.made)}"

    def pick(self, commit, choice):
        """Choose one of the commits behind another, by when it was made."""
        behind = sorted(self.behind(commit), key=self.made.index)
        return behind[choice % len(behind)]

    def move(self, branch, to):
        self.moves.setdefault(branch, []).append((self.heads.get(branch), to))
        if to is None:
            del self.heads[branch]
        else:
            self.heads[branch] = to

    def learn(self, branch, content, *parents):
        head = self.repo.resolve(branch)
        assert head not in self.contents
        self.contents[head], self.parents[head] = content, parents
        self.made.append(head)
        self.move(branch, head)

    def behind(self, commit):
        found, waiting = set(), [commit]
        while waiting:
            oid = waiting.pop()
            if oid not in found:
                found.add(oid)
                waiting.extend(self.parents[oid])
        return found

    @rule(branch=branches, files=changes, way=st.sampled_from(["transaction", "workspace"]))
    def commit(self, branch, files, way):
        if branch not in self.heads:
            return
        head = self.heads[branch]
        before = self.contents[head]
        files = {path: data for path, data in files.items() if data or path in before}
        after = {path: data for path, data in {**before, **files}.items() if data is not None}
        if way == "transaction":
            with self.repo.transaction(branch, message=self.message()) as transaction:
                for path, data in files.items():
                    if data is None:
                        transaction.remove(path)
                    else:
                        transaction.put(path, data)
        else:
            with self.repo.workspace(branch) as workspace:
                for path, data in files.items():
                    file = workspace.path / path
                    file.unlink(missing_ok=True)
                    if data is not None:
                        file.parent.mkdir(parents=True, exist_ok=True)
                        file.write_bytes(data)
                workspace.commit(self.message())
        if after == before:
            assert self.repo.resolve(branch) == head
        else:
            self.learn(branch, after, head)

    @rule(name=branches, at=branches)
    def branch(self, name, at):
        if at not in self.heads:
            return
        try:
            self.repo.create_branch(name, at=at)
        except ConflictError:
            assert name in self.heads
        else:
            self.move(name, self.heads[at])

    @rule(name=st.sampled_from(BRANCHES[1:]))
    def delete(self, name):
        if name in self.heads:
            self.repo.delete_branch(name)
            self.move(name, None)

    @rule(branch=branches, choice=st.integers(0, 1000))
    def reset(self, branch, choice):
        if branch in self.heads:
            to = self.pick(self.heads[branch], choice)
            if to != self.heads[branch]:
                self.repo.reset(branch, to=to)
                self.move(branch, to)

    @rule(branch=branches)
    def undo(self, branch):
        if branch not in self.moves or (branch == "main" and len(self.moves[branch]) == 1):
            return
        before, after = self.moves[branch][-1]
        if branch == "main" and before is None:
            return
        if before is not None and before not in self.contents:
            return
        update = self.repo.undo(branch)
        assert (update.before, update.after) == (after, before)
        self.move(branch, before)

    @rule(ours=branches, theirs=branches, side=sides)
    def merge(self, ours, theirs, side):
        if ours not in self.heads or theirs not in self.heads:
            return
        left, right = self.heads[ours], self.heads[theirs]
        base = self.repo.merge_base(ours, theirs)
        common = self.behind(left) & self.behind(right)
        assert base in common
        assert not any(base in self.behind(other) for other in common - {base})
        outcome = self.repo.merge(theirs, into=ours, message=self.message(), side=side)
        if base == right:
            assert outcome.id == left
        elif base == left:
            assert outcome.id == right
            self.move(ours, right)
        else:
            contents = self.contents
            expected = merged(contents[base], contents[left], contents[right], side)
            self.learn(ours, expected, left, right)

    @rule(branch=branches, choice=st.integers(0, 1000))
    def revert(self, branch, choice):
        if branch not in self.heads:
            return
        head = self.heads[branch]
        undone = self.pick(head, choice)
        try:
            outcome = self.repo.revert(undone, branch=branch, message=self.message())
        except InvalidInputError:
            assert len(self.parents[undone]) != 1
            return
        except ConflictError:
            assert self.contents[head] != self.contents[undone]
            return
        (parent,) = self.parents[undone]
        before, after = self.contents[parent], self.contents[undone]
        expected = dict(self.contents[head])
        for path in before.keys() | after.keys():
            if before.get(path) != after.get(path):
                assert expected.get(path) == after.get(path)
                expected.pop(path, None)
                if path in before:
                    expected[path] = before[path]
        if expected == self.contents[head]:
            assert outcome.id == head
        else:
            self.learn(branch, expected, head)

    @rule(branch=branches)
    def tag(self, branch):
        if branch in self.heads:
            name = f"v{len(self.tags)}"
            self.repo.create_tag(name, at=branch, message="say why" * (len(self.tags) % 2))
            self.tags[name] = self.heads[branch]

    @rule()
    def collect(self):
        """What nothing reaches is gone, for the model too."""
        self.repo.gc(grace=timedelta(0))
        kept = set().union(*map(self.behind, [*self.heads.values(), *self.tags.values()]))
        for oid in self.contents.keys() - kept:
            try:
                self.repo.resolve(oid)
            except NotFoundError:
                continue
            raise AssertionError(oid)
        self.contents = {oid: content for oid, content in self.contents.items() if oid in kept}

    @precondition(lambda self: self.heads)
    @rule(choice=st.integers(0, 1000))
    def pack(self, choice):
        self.repo._git._untidy = lambda: (True, bool(choice % 2))
        self.repo._git.tidy()
        del self.repo._git._untidy

    @invariant()
    def refs_are_where_the_model_says(self):
        assert self.repo.branches() == dict(sorted(self.heads.items()))
        assert self.repo.tags() == dict(sorted(self.tags.items()))

    @invariant()
    def trees_hold_what_the_model_holds(self):
        for name in (*self.heads, *self.tags):
            head = self.heads.get(name) or self.tags[name]
            read = {e.path: self.repo.read(e.path, at=head) for e in self.repo.entries(head)}
            assert read == self.contents[head]

    @invariant()
    def histories_are_those_of_the_model(self):
        for branch, head in self.heads.items():
            log = [commit.id for commit in self.repo.log(branch)]
            assert sorted(log) == sorted(self.behind(head))
            place = {oid: number for number, oid in enumerate(log)}
            assert all(place[oid] < place[p] for oid in log for p in self.parents[oid])

    @rule(one=branches, two=branches)
    def compare(self, one, two):
        if one in self.heads and two in self.heads:
            before, after = self.contents[self.heads[one]], self.contents[self.heads[two]]
            differing = {p for p in PATHS if before.get(p) != after.get(p)}
            assert {change.path for change in self.repo.diff(one, two)} == differing

    @rule(branch=branches)
    def view(self, branch):
        if branch in self.heads:
            root = self.repo.locate(branch).path
            files = {
                str(file.relative_to(root)): file.read_bytes()
                for file in root.rglob("*") if file.is_file()
            }  # fmt: skip
            assert files == self.contents[self.heads[branch]]

    @rule()
    def check(self):
        assert list(self.repo.fsck()) == []
        outcome = subprocess.run(
            ["git", "-C", str(self.repo._layout.root), "fsck", "--full", "--strict",
             "--no-dangling"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")


TestHistory = History.TestCase
TestHistory.settings = settings(max_examples=20, stateful_step_count=20)
