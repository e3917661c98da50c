"""Hooks, read from the source of a merge. No Lua runs here: two scripts are known by their look.

One compares the destination with the commit that the merge's metadata expects; the other always
refuses.
"""

import re
import uuid
from fnmatch import fnmatchcase

import yaml

from tests.lakefs.server.merging import three_dot
from tests.lakefs.server.refusals import Refusal

__all__ = ["FOLDER", "before_commit", "before_merge"]

FOLDER = "_lakefs_actions/"
_NAME = re.compile(r"^\w[\w\-. ]+$")
_EXPECTED = re.compile(r"action\.commit\.metadata\[[\"']([^\"']+)[\"']\]")
_REFUSES = re.compile(r"^\s*error\([\"']([^\"']*)[\"']\)")


def before_commit(tree):
    """One action file that cannot be read stops every commit on its branch."""
    _actions(tree, "prepare-commit")


def before_merge(repository, *, source, branch, metadata):
    """Run the source's pre-merge hooks; the destination is held still meanwhile."""
    for action in _actions(repository.history.commits[source].tree, "pre-merge"):
        # YAML 1.1 reads a bare `on` as true.
        events = action.get("on", action.get(True)) or {}
        if "pre-merge" not in events or not _concerns(events["pre-merge"], branch):
            continue
        for hook in action["hooks"]:
            said = _run(repository, hook["properties"]["script"], branch, metadata)
            if said:
                run = uuid.uuid4().hex
                raise Refusal(
                    412,
                    f"update branch {branch}: pre-merge hook aborted, run id '{run}': 1 error "
                    f"occurred:\n\t* hook run id '0000_0000' failed on action '{action['name']}' "
                    f"hook '{hook['id']}': runtime error: {said}\n\n",
                )


def _run(repository, script, branch, metadata):
    if refused := _REFUSES.match(script):
        return refused[1]
    key = _EXPECTED.search(script)
    if not key or "diff_refs" not in script:
        raise Refusal(500, "this server runs no Lua; it knows the expected-head hook only")
    expected = metadata.get(key[1])
    if expected is None:
        return ""
    try:
        left = repository.resolve(expected)
    except Refusal:
        return "cannot compare with the expected head: 404"
    right = repository.resolve(branch)
    trees = [repository.history.commits[commit].tree for commit in (left, right)]
    base = repository.history.merge_base(left, right).tree
    return f"STALE: destination moved since {expected}" if three_dot(base, *trees) else ""


def _actions(tree, phase):
    files = [path for path in tree.paths if path.startswith(FOLDER)]
    return [
        _parsed(path, tree.entries[path].file.read_bytes(), phase)
        for path in files
        if path.endswith((".yaml", ".yml"))
    ]


def _parsed(path, text, phase):
    try:
        action = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _malformed(path, phase, error) from error
    if not isinstance(action, dict) or not _NAME.match(str(action.get("name", ""))):
        raise _malformed(path, phase, "'name' is invalid")
    return action


def _malformed(path, phase, why):
    return Refusal(500, f"{phase} hook aborted: parsing file {path}: {why}")


def _concerns(event, branch):
    patterns = (event or {}).get("branches")
    return not patterns or any(fnmatchcase(branch, pattern) for pattern in patterns)
