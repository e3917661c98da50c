"""A protected branch is seen to be so without leaving anything on it."""

from registry.lake.lakefs import protection


def test_seeing_that_a_branch_is_protected_changes_nothing_on_it(repo, put, client, asked):
    put(repo, {"a": b"1"})
    before = client.branch("main").head.id
    asked.clear()
    repo.protect("main")
    assert not [one for one in asked if "/branches/main/objects" in one]
    assert any(one.startswith("POST") and "/branches/main/commits" in one for one in asked)
    assert client.branch("main").head.id == before
    assert list(client.branch("main").uncommitted()) == []


def test_seeing_that_a_branch_is_protected_commits_nobodys_objects(repo, put, client, monkeypatch):
    put(repo, {"a": b"1"})
    before = client.branch("main").head.id
    client.branch("main").object("theirs").upload(b"staged", mode="wb")
    monkeypatch.setattr(protection, "OBEYED_WITHIN", 0.1)
    repo.protect("main")
    assert repo.protected() == {"main"}
    assert client.branch("main").head.id == before
    assert [one.path for one in client.branch("main").uncommitted()] == ["theirs"]
