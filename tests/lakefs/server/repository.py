"""One repository: its refs, what is staged on its branches, and everything that moves them."""

import re
import threading
import time
from fnmatch import fnmatchcase

from tests.lakefs.server import hooks
from tests.lakefs.server.history import History, Tree
from tests.lakefs.server.merging import merged, three_dot, two_dot
from tests.lakefs.server.refusals import Refusal, missing

__all__ = ["Branch", "Repository"]

_BRANCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")
_TAG = re.compile(r"(?!-)(?!.*\.\.)(?!.*@\{)[^\x00-\x20\x7f~^:?*\[\\/]+(?<!\.)(?<!\.lock)")
_EXPRESSION = re.compile(r"([^~^@]+)((?:[~^]\d*|@)*)")
_STEP = re.compile(r"([~^])(\d*)")


class Branch:
    """A head, and objects that are staged upon it; None is staged for a deletion."""

    def __init__(self, head, *, hidden=False):
        self.head = head
        self.hidden = hidden
        self.staged = {}


class Repository:
    """Call anything below while holding ``lock``."""

    def __init__(self, name, *, namespace, default_branch, committer, protection_delay):
        self.name = name
        self.namespace = namespace
        self.default_branch = default_branch
        self.committer = committer
        self.creation_date = int(time.time())
        self.lock = threading.RLock()
        self.history = History()
        self.tags = {}
        self.protection = []
        self._protection_before = []
        self._protection_from = 0.0
        self._protection_delay = protection_delay
        first = self._record((), "Repository created", {}, Tree())
        self.branches = {default_branch: Branch(first.id)}

    # ------------------------------------------------------------------ refs
    def branch(self, name):
        if name not in self.branches:
            raise missing(f"branch {name}")
        return self.branches[name]

    def resolve(self, expression):
        """Return the commit of a branch, tag, id, unique prefix, or one of these with ~, ^, @."""
        matched = _EXPRESSION.fullmatch(expression)
        if not matched:
            raise missing(f"ref {expression}")
        commit = self._named(matched[1])
        for kind, digits in _STEP.findall(matched[2]):
            commit = self._step(commit, kind, int(digits or 1), expression)
        return commit

    def tree(self, ref):
        """Return what a ref shows; of a branch by its bare name, with what is staged."""
        commit = self.history.commits[self.resolve(ref)].tree
        if ref not in self.branches or not self.branches[ref].staged:
            return commit
        entries = {**commit.entries, **self.branches[ref].staged}
        return Tree({path: stored for path, stored in entries.items() if stored is not None})

    def create_branch(self, name, source, *, hidden):
        if not _BRANCH.fullmatch(name):
            raise Refusal(400, f"branch name {name!r}: invalid value: validation error")
        commit = self.resolve(source)
        if name in self.branches or name in self.tags:
            raise Refusal(409, f"branch already exists: {name}")
        self.branches[name] = Branch(commit, hidden=hidden)
        return commit

    def delete_branch(self, name):
        self.branch(name)
        if name == self.default_branch:
            raise Refusal(403, "cannot delete repository default branch")
        del self.branches[name]

    def create_tag(self, name, ref):
        if not _TAG.fullmatch(name):
            raise Refusal(400, f"tag id {name!r}: invalid value: validation error")
        commit = self.resolve(ref)
        if name in self.tags or name in self.branches:
            raise Refusal(409, f"tag already exists: {name}")
        self.tags[name] = commit
        return commit

    def protect(self, patterns):
        """The rule is answered at once, and obeyed a while later."""
        self._protection_before = self._obeyed()
        self.protection = patterns
        self._protection_from = time.monotonic() + self._protection_delay

    def refuse_protected(self, name):
        if any(fnmatchcase(name, pattern) for pattern in self._obeyed()):
            raise Refusal(403, "cannot write to protected branch", code="ErrWriteToProtectedBranch")

    # --------------------------------------------------------------- staging
    def stage(self, name, path, stored, *, only_new=False):
        branch = self.branch(name)
        self.refuse_protected(name)
        if only_new and path in self.tree(name).entries:
            raise Refusal(412, "path already exists", code="PreconditionFailed")
        branch.staged[path] = stored

    def unstage(self, name, path):
        """Stage a deletion; deleting nothing is nothing."""
        branch = self.branch(name)
        self.refuse_protected(name)
        branch.staged.pop(path, None)
        if path in self.history.commits[branch.head].tree.entries:
            branch.staged[path] = None

    def uncommitted(self, name):
        head = self.history.commits[self.branch(name).head].tree
        return two_dot(head, self.tree(name))

    # --------------------------------------------------------------- history
    def commit(self, name, *, message, metadata, date, allow_empty, source_metarange):
        branch = self.branch(name)
        self.refuse_protected(name)
        head = self.history.commits[branch.head].tree
        if source_metarange:
            self._refuse_dirty(branch)
            if source_metarange not in self.history.trees:
                raise missing(f"metarange {source_metarange}")
            tree = self.history.trees[source_metarange]
        else:
            tree = self.tree(name)
        hooks.before_commit(tree)
        if tree.id == head.id and not allow_empty:
            raise Refusal(400, "commit: no changes")
        made = self._record((branch.head,), message, metadata, tree, date=date)
        self._move(branch, made)
        return made

    def merge(self, source, name, *, message, metadata, strategy, squash, allow_empty):
        branch = self.branch(name)
        theirs = self.resolve(source)
        self._refuse_dirty(branch)
        base = self.history.merge_base(theirs, branch.head).tree
        ours = self.history.commits[branch.head].tree
        tree = merged(base, ours, self.history.commits[theirs].tree, strategy)
        if tree.id == ours.id and not allow_empty:
            raise Refusal(400, f"update branch {name}: no changes")
        metadata = {**metadata, ".lakefs.merge.strategy": strategy or "default"}
        hooks.before_merge(self, source=theirs, branch=name, metadata=metadata)
        parents = (branch.head,) if squash else (branch.head, theirs)
        made = self._record(parents, message or f"Merge '{source}' into '{name}'", metadata, tree)
        self._move(branch, made)
        return made

    def replay(self, name, ref, *, parent_number, backwards, overrides, allow_empty=False):
        """Revert a commit or pick it, object by object: blind to what a Delta log needs."""
        branch = self.branch(name)
        self._refuse_dirty(branch)
        commit = self.history.commits[self.resolve(ref)]
        if len(commit.parents) > 1 and not parent_number:
            raise Refusal(409, "merge commit: a parent number is needed")
        if not 0 < (parent_number or 1) <= len(commit.parents):
            raise Refusal(400, f"commit has no parent {parent_number}")
        parent = self.history.commits[commit.parents[(parent_number or 1) - 1]]
        before, after = (commit, parent) if backwards else (parent, commit)
        ours = self.history.commits[branch.head].tree
        tree = merged(before.tree, ours, after.tree)
        if tree.id == ours.id and not allow_empty:
            raise Refusal(400, f"update branch {name}: no changes")
        message = overrides.get("message") or (
            f"Revert {commit.id}" if backwards else commit.message
        )
        metadata = overrides.get("metadata") or ({} if backwards else dict(commit.metadata))
        made = self._record((branch.head,), message, metadata, tree)
        self._move(branch, made)
        return made

    def hard_reset(self, name, ref):
        branch = self.branch(name)
        self.refuse_protected(name)
        self._refuse_dirty(branch)
        branch.head = self.resolve(ref)

    def diff(self, left, right, *, two_dots):
        one, other = self.resolve(left), self.resolve(right)
        trees = [self.history.commits[commit].tree for commit in (one, other)]
        if two_dots:
            return two_dot(*trees)
        return three_dot(self.history.merge_base(one, other).tree, *trees)

    # --------------------------------------------------------------- private
    def _record(self, parents, message, metadata, tree, *, date=None):
        return self.history.add(
            parents=parents,
            committer=self.committer,
            message=message,
            date=int(time.time()) if date is None else date,
            metadata=dict(metadata),
            tree=tree,
        )

    def _move(self, branch, commit):
        branch.head = commit.id
        branch.staged = {}

    def _refuse_dirty(self, branch):
        if branch.staged:
            raise Refusal(400, "uncommitted changes (dirty branch)")

    def _obeyed(self):
        settled = time.monotonic() >= self._protection_from
        return self.protection if settled else self._protection_before

    def _named(self, name):
        if name in self.branches:
            return self.branches[name].head
        if name in self.tags:
            return self.tags[name]
        found = [commit for commit in self.history.commits if commit.startswith(name)]
        if len(found) != 1 or len(name) < 6:
            raise missing(f"ref {name}")
        return found[0]

    def _step(self, commit, kind, count, expression):
        parents = self.history.commits[commit].parents
        if kind == "^":
            if count and count > len(parents):
                raise missing(f"ref {expression}")
            return parents[count - 1] if count else commit
        for _ in range(count):
            if not self.history.commits[commit].parents:
                raise missing(f"ref {expression}")
            commit = self.history.commits[commit].parents[0]
        return commit
