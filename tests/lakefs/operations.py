"""What is done to a repository of a lake while something goes wrong, and how it is looked at.

Each operation is done once for each number, on branches and tags that carry the number.
"""

import os

from registry.lake import connect


def put(repo, branch, files, message="change"):
    with repo.transaction(branch, message=message) as transaction:
        for path, data in files.items():
            if data is None:
                transaction.remove(path)
            else:
                transaction.put(path, data)
    return transaction.commit.id


def content(repo, at):
    return {entry.path: repo.read(entry.path, at=at) for entry in repo.entries(at)}


def prepare(repo, number):
    """Make the branch that operations change."""
    repo.create_branch(f"work-{number}", at="main")
    put(repo, f"work-{number}", {"own": b"w"})


def state(repo, number):
    """All that an operation may change."""
    names = f"work-{number}", f"new-{number}"
    branches = {name.partition("-")[0]: name for name in names if name in repo.branches()}
    return {
        "content": {kind: content(repo, name) for kind, name in branches.items()},
        "log": {kind: [one.message for one in repo.log(name)] for kind, name in branches.items()},
        "tag": content(repo, f"tag-{number}") if f"tag-{number}" in repo.tags() else None,
    }


def workspace(repo, number):
    with repo.workspace(f"work-{number}") as opened:
        (opened.path / "d").write_bytes(b"4")
        opened.commit("by workspace")


def move(repo, number):
    """Move a branch and make a tag, both or none."""
    branch = f"work-{number}"
    moves = {
        f"branch/{branch}": (repo.resolve(branch), repo.resolve("anna/fix")),
        f"tag/tag-{number}": (None, repo.resolve("main")),
    }
    repo.move_refs(moves, operation="move")


OPERATIONS = {
    "transaction": lambda repo, n: put(repo, f"work-{n}", {"d": b"4", "a": None, "e": b"5"}),
    "workspace": workspace,
    "merge": lambda repo, n: repo.merge("anna/fix", into=f"work-{n}", message="merge"),
    "create_branch": lambda repo, n: repo.create_branch(f"new-{n}", at="anna/fix"),
    "delete_branch": lambda repo, n: repo.delete_branch(f"work-{n}"),
    "create_tag": lambda repo, n: repo.create_tag(f"tag-{n}", at="main", message="first"),
    "move_refs": move,
    "undo": lambda repo, n: repo.undo(f"work-{n}"),
    "reset": lambda repo, n: repo.reset(f"work-{n}", to="anna/fix"),
}


DONE = 42


def client(environment, place, name, number):
    """Do one operation in a process of its own, and say with ``DONE`` that it was done."""
    os.environ.update(environment)
    OPERATIONS[name](connect(place).repository("ships"), number)
    os._exit(DONE)
