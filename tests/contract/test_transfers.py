"""A dataset that goes from an embedded lake to any other lake and back is the same."""

import pytest

from registry import lake
from registry.lake.transfer import DivergedError, clone, copy, pull, push


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def home(tmp_path):
    return lake.init(str(tmp_path / "home"))


def commit(repository, files, branch="main", message="change", **options):
    with repository.transaction(branch, message=message, **options) as transaction:
        for path, data in files.items():
            if data is None:
                transaction.remove(path)
            else:
                transaction.put(path, data)
    return transaction.commit.id


@pytest.fixture
def boats(home):
    """A dataset with versions, a merge, a tag that says something, and derived branches."""
    repository = home.create("boats")
    author = "Ada <ada@example.org>"
    commit(repository, {"README.md": b"boats", "a": b"1", "empty": b""}, author=author)
    repository.create_tag("v1", at="main", message="first release")
    repository.create_branch("anna/fix.2", at="main")
    commit(repository, {"b": b"2"}, "anna/fix.2", "fix", metadata={"verdict": "passed", "a": "b"})
    commit(repository, {"a": b"3", "x/y/z": b"deep"}, message="more\n\nand why")
    repository.merge("anna/fix.2", into="main", message="bring it in")
    commit(repository, {"a": None}, message="less")
    repository.create_tag("v2", at="main", message="second release")
    repository.create_branch("derived/v1", at="v1")
    commit(repository, {"slices/1.parquet": b"ids"}, "derived/v1", "slice")
    repository.create_branch(f"derived/{repository.resolve('anna/fix.2')}", at="anna/fix.2")
    repository.create_branch("source/port", at="v1")
    repository.protect("main")
    return repository


def told(repository, at):
    """What a history says, without the ids that are one lake's own."""
    return [
        (c.message, c.author, c.at, dict(c.metadata), len(c.parents)) for c in repository.log(at)
    ]


def test_a_version_is_the_same_after_a_way_through_any_lake(home, boats, any_lake, tmp_path):
    push(home, "boats", to=any_lake)
    there = any_lake.repository("boats")
    third = lake.init(str(tmp_path / "third"))
    clone(any_lake, "boats", into=third)
    back = third.repository("boats")
    for at in ("main", "v1", "v2", "derived/v1"):
        assert there.content_id(at) == boats.content_id(at)
        assert told(there, at) == told(boats, at)
        assert back.commit(at) == boats.commit(at)  # the same ids, whoever brought it
    assert back.tags() == boats.tags()
    assert back.branches() == {
        name: at for name, at in boats.branches().items() if name != "anna/fix.2"
    }
    assert [back.tag_message(tag) for tag in back.tags()] == ["first release", "second release"]
    assert there.protected() == back.protected() == {"main"}
    assert list(back.fsck()) == []
    assert list(there.fsck()) == []


def test_nothing_travels_twice(home, boats, any_lake):
    first = push(home, "boats", to=any_lake)
    assert first.objects == 6
    assert not push(home, "boats", to=any_lake)
    assert not pull(home, "boats", origin=any_lake)
    boats.create_branch("work", at="main")
    head = commit(boats, {"again": b"2", "new": b"new"}, "work")
    boats.advance("main", to=head, expected=boats.resolve("main"))
    second = push(home, "boats", to=any_lake)
    assert (second.commits, second.objects, second.size) == (1, 1, 3)
    assert any_lake.repository("boats").read("new", at="main") == b"new"


def test_work_on_the_other_side_comes_back(home, boats, any_lake):
    copy(home, "boats", to=any_lake, at="v1")
    copy(home, "boats", to=any_lake, at="v2")
    there = any_lake.repository("boats")
    there.create_branch("work", at="main")
    head = commit(there, {"c": b"made there"}, "work", author="Ben <ben@example.org>")
    there.advance("main", to=head, expected=there.resolve("main"))
    there.create_tag("v3", at="main", message="third")
    come = pull(home, "boats", origin=any_lake)
    assert (come.commits, come.objects, come.tags) == (1, 1, ("v3",))
    assert boats.content_id("v3") == there.content_id("v3")
    assert boats.commit("main").author == "Ben <ben@example.org>"
    assert boats.resolve("v3") == boats.resolve("main")


def test_what_diverged_is_left_alone_on_any_lake(home, boats, any_lake):
    push(home, "boats", to=any_lake)
    there = any_lake.repository("boats")
    for repository, data in ((boats, b"ours"), (there, b"theirs")):
        repository.create_branch("work", at="main")
        head = commit(repository, {"mine": data}, "work", "mine")
        repository.advance("main", to=head, expected=repository.resolve("main"))
    before = boats.branches(), there.branches()
    with pytest.raises(DivergedError):
        push(home, "boats", to=any_lake)
    with pytest.raises(DivergedError):
        pull(home, "boats", origin=any_lake)
    assert (boats.branches(), there.branches()) == before
    pull(home, "boats", origin=any_lake, aside=True)
    assert boats.read("mine", at="theirs/main") == b"theirs"
