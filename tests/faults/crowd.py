"""Many processes that commit at once, and what their history must look like."""

import itertools
import os
import time

from registry import lake


def in_children(count, work):
    """Run ``work(number)`` in so many children at once; all must end well."""
    children = []
    for number in range(count):
        child = os.fork()
        if not child:
            code = 1
            try:
                work(number)
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert codes == [0] * count


def check_history(repo, branch, expected):
    """Each commit follows one that it names, and all are there once."""
    commits = list(repo.log(branch))
    assert len(commits) == expected
    for newer, older in itertools.pairwise(commits):
        assert newer.parents == (older.id,)
    return commits


def commit_on_one_branch(address, *, writers, commits):
    """Let every writer commit files of its own on ``main``; nothing may be lost or doubled."""

    def work(number):
        own = lake.connect(address).repository("ships")
        for turn in range(commits):
            with own.transaction("main", message=f"{number} {turn}") as transaction:
                transaction.put(f"w{number}/{turn}", f"{number} {turn}".encode())

    in_children(writers, work)
    repo = lake.connect(address).repository("ships")
    log = check_history(repo, "main", writers * commits + 1)
    assert {entry.path for entry in repo.entries("main")} == {
        f"w{number}/{turn}" for number in range(writers) for turn in range(commits)
    }
    said = [commit.message for commit in reversed(log)][1:]
    for number in range(writers):  # each writer's own commits are in its own order
        mine = [message for message in said if message.startswith(f"{number} ")]
        assert mine == [f"{number} {turn}" for turn in range(commits)]
    assert len(list(repo.reflog("main"))) == writers * commits + 1
    assert list(repo.fsck()) == []


def commit_on_a_branch_each(address, *, writers, commits):
    """Let every writer commit on a branch of its own."""

    def work(number):
        own = lake.connect(address).repository("ships")
        own.create_branch(f"w/{number}", at="main")
        for turn in range(commits):
            with own.transaction(f"w/{number}", message=f"{turn}") as transaction:
                transaction.put("same", f"{number} {turn}".encode())

    in_children(writers, work)
    repo = lake.connect(address).repository("ships")
    before = len(list(repo.log("main")))
    for number in range(writers):
        check_history(repo, f"w/{number}", commits + before)
        assert repo.read("same", at=f"w/{number}") == f"{number} {commits - 1}".encode()
    assert list(repo.fsck()) == []


def crowd(folder, *, writers, commits):
    """Do both in lakes of their own.

    Returns:
        How fast that was.
    """
    told = {"writers": writers, "commits_each": commits}
    for name, do in (
        ("one_branch", commit_on_one_branch), ("a_branch_each", commit_on_a_branch_each),
    ):  # fmt: skip
        home = lake.init(str(folder / name))
        home.create("ships")
        began = time.monotonic()
        do(home.address, writers=writers, commits=commits)
        told[f"{name}_commits_per_s"] = round(writers * commits / (time.monotonic() - began))
    return told
