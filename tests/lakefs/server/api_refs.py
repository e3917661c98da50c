"""Branches, tags, commits, diffs and merges."""

from tests.lakefs.server.messages import Answer
from tests.lakefs.server.paging import page, paged
from tests.lakefs.server.refusals import Refusal, missing

__all__ = [
    "branch",
    "branches",
    "cherry_pick",
    "commit",
    "create_branch",
    "create_tag",
    "delete_branch",
    "delete_tag",
    "diff",
    "get_commit",
    "hard_reset",
    "log",
    "merge",
    "merge_base",
    "reset",
    "revert",
    "tag",
    "tags",
    "uncommitted",
]


def branches(state, request, repository):
    found = state.repository(repository)
    hidden = request.flag("show_hidden")
    with found.lock:
        heads = {name: at.head for name, at in found.branches.items() if hidden or not at.hidden}
    return _refs(request, heads)


def create_branch(state, request, repository):
    found, said = state.repository(repository), request.json()
    with found.lock:
        made = found.create_branch(said["name"], said["source"], hidden=said.get("hidden", False))
    return Answer(201, body=made.encode(), headers={"Content-Type": "text/html"})


def branch(state, request, repository, branch):
    found = state.repository(repository)
    with found.lock:
        return Answer(document={"id": branch, "commit_id": found.branch(branch).head})


def delete_branch(state, request, repository, branch):
    found = state.repository(repository)
    with found.lock:
        found.delete_branch(branch)
    return Answer(204)


def reset(state, request, repository, branch):
    found, said = state.repository(repository), request.json()
    with found.lock:
        staged = found.branch(branch).staged
        found.refuse_protected(branch)
        for path in list(staged):
            kind, asked = said["type"], said.get("path", "")
            one = kind == "object" and path == asked
            if kind == "reset" or one or (kind == "common_prefix" and path.startswith(asked)):
                del staged[path]
    return Answer(204)


def hard_reset(state, request, repository, branch):
    found = state.repository(repository)
    with found.lock:
        found.hard_reset(branch, request.query["ref"])
    return Answer(204)


def tags(state, request, repository):
    found = state.repository(repository)
    with found.lock:
        return _refs(request, dict(found.tags))


def create_tag(state, request, repository):
    found, said = state.repository(repository), request.json()
    with found.lock:
        made = found.create_tag(said["id"], said["ref"])
    return Answer(201, document={"id": said["id"], "commit_id": made})


def tag(state, request, repository, tag):
    found = state.repository(repository)
    with found.lock:
        if tag not in found.tags:
            raise missing(f"tag {tag}")
        return Answer(document={"id": tag, "commit_id": found.tags[tag]})


def delete_tag(state, request, repository, tag):
    found = state.repository(repository)
    with found.lock:
        if tag not in found.tags:
            raise missing(f"tag {tag}")
        del found.tags[tag]
    return Answer(204)


def commit(state, request, repository, branch):
    found, said = state.repository(repository), request.json()
    with found.lock:
        made = found.commit(
            branch,
            message=said["message"],
            metadata=said.get("metadata") or {},
            date=said.get("date"),
            allow_empty=said.get("allow_empty", False),
            source_metarange=request.query.get("source_metarange"),
        )
    return Answer(201, document=made.document())


def get_commit(state, request, repository, ref):
    found = state.repository(repository)
    with found.lock:
        return Answer(document=found.history.commits[found.resolve(ref)].document())


def log(state, request, repository, ref):
    found = state.repository(repository)
    paths, prefixes = request.many("objects"), request.many("prefixes")
    after, stop_at = request.query.get("after", ""), request.query.get("stop_at")
    amount, listed = page(request), []
    with found.lock:
        commits = found.history.behind(
            found.resolve(ref), first_parent=request.flag("first_parent")
        )
        skipping = bool(after)
        for one in commits:
            if skipping:
                skipping = one.id != after
                continue
            if not (paths or prefixes) or _touches(found, one, paths, prefixes):
                listed.append(one.document())
            if one.id == stop_at or len(listed) > amount:
                break
    return Answer(document=paged(request, listed, name=lambda document: document["id"]))


def diff(state, request, repository, ref, right):
    found = state.repository(repository)
    kind = request.query.get("type") or "three_dot"
    with found.lock:
        differences = found.diff(ref, right, two_dots=kind == "two_dot")
    return _differences(request, differences)


def uncommitted(state, request, repository, branch):
    found = state.repository(repository)
    with found.lock:
        differences = found.uncommitted(branch)
    return _differences(request, differences)


def merge_base(state, request, repository, ref, branch):
    found = state.repository(repository)
    with found.lock:
        source, destination = found.resolve(ref), found.resolve(branch)
        base = found.history.merge_base(source, destination).id
    # The real server's answer has the two the wrong way round.
    document = {
        "source_commit_id": destination,
        "destination_commit_id": source,
        "base_commit_id": base,
    }
    return Answer(document=document)


def merge(state, request, repository, ref, branch):
    found, said = state.repository(repository), request.json()
    with found.lock:
        made = found.merge(
            ref,
            branch,
            message=said.get("message"),
            metadata=said.get("metadata") or {},
            strategy=said.get("strategy") or "",
            squash=said.get("squash_merge", False),
            allow_empty=said.get("allow_empty", False) or said.get("force", False),
        )
    return Answer(document={"reference": made.id})


def revert(state, request, repository, branch):
    found, said = state.repository(repository), request.json()
    with found.lock:
        found.replay(
            branch,
            said["ref"],
            parent_number=said.get("parent_number", 0),
            backwards=True,
            overrides=said.get("commit_overrides") or {},
            allow_empty=said.get("allow_empty", False),
        )
    return Answer(204)


def cherry_pick(state, request, repository, branch):
    found, said = state.repository(repository), request.json()
    with found.lock:
        made = found.replay(
            branch,
            said["ref"],
            parent_number=said.get("parent_number") or 1,
            backwards=False,
            overrides=said.get("commit_overrides") or {},
        )
    return Answer(201, document=made.document())


def _refs(request, heads):
    prefix, after = request.query.get("prefix", ""), request.query.get("after", "")
    found = [
        {"id": name, "commit_id": heads[name]}
        for name in sorted(heads)
        if name.startswith(prefix) and name > after
    ]
    return Answer(document=paged(request, found, name=lambda document: document["id"]))


def _differences(request, differences):
    prefix, after = request.query.get("prefix", ""), request.query.get("after", "")
    if request.query.get("delimiter"):
        raise Refusal(501, "this server compares without a delimiter only")
    found = [
        difference.document()
        for difference in differences
        if difference.path.startswith(prefix) and difference.path > after
    ]
    return Answer(document=paged(request, found, name=lambda document: document["path"]))


def _touches(repository, commit, paths, prefixes):
    before = repository.history.commits[commit.parents[0]].tree if commit.parents else None
    entries = commit.tree.entries
    mentioned = set(paths)
    for prefix in prefixes:
        both = entries.keys() | (before.entries.keys() if before else set())
        mentioned |= {path for path in both if path.startswith(prefix)}
    return any(
        commit.tree.identity(path) != (before.identity(path) if before else None)
        for path in mentioned
    )
