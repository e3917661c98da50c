"""What every lake does, whichever backend it has."""

import hashlib
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry import lake
from registry.errors import ConflictError, ForbiddenError, InvalidInputError, NotFoundError
from registry.lake import ChangeKind

BAD_KEYS = {
    "": "empty",
    "/a": "starts with '/'",
    "a/": "ends with '/'",
    "a//b": "'//'",
    "..": "'..'",
    "a/../b": "'..'",
    "./a": "'.'",
    "a/.": "'.'",
    "a\nb": "control character",
    "a\x00b": "control character",
    "a\x7fb": "control character",
    "a\\b": "backslash",
    ".git/config": "Git keeps",
    "a/.GIT": "Git keeps",
    "a/.g\u200cit/b": "Git keeps",
    "git~1/x": "Git keeps",
    ".git. ": "Git keeps",
    ".gitmodules": "Git reads",
    "a" * 256: "256 bytes",
    "ä" * 128: "256 bytes",
    "a/" * 512 + "b": "characters",
    "/".join(["😀" * 60] * 16): "bytes",
    "a\ud800": "UTF-8",
}
GOOD_KEYS = [
    "a", "a b/c d", "ü/日本語.tif", "=+,;:@!#%&()[]{}'\"<>|*?$^~`", "-rf", ".hidden", "...",
    ".gitignore", ".gitattributes", "a.git", "x" * 255, "CON", "aux.txt", "a.lock", "e\u0301",
]  # fmt: skip


# ------------------------------------------------------------------ the lake itself
def test_a_lake_lists_what_was_created(any_lake):
    assert any_lake.repositories() == []
    any_lake.create("ships")
    any_lake.create("a-2")
    assert any_lake.repositories() == ["a-2", "ships"]
    assert any_lake.repository("ships").name == "ships"


def test_a_lake_is_found_again_by_its_address(any_lake):
    any_lake.create("ships")
    assert lake.connect(any_lake.address).repositories() == ["ships"]
    assert lake.init(any_lake.address).repositories() == ["ships"]


def test_a_repository_of_a_taken_name_is_a_conflict(any_lake, repo):
    with pytest.raises(ConflictError, match="ships"):
        any_lake.create("ships")


@pytest.mark.parametrize("name", ["ab", "A-b-c", "-abc", "a_b_c", "a" * 64, "a/b", "..", ""])
def test_a_repository_has_a_plain_name(any_lake, name):
    with pytest.raises(InvalidInputError):
        any_lake.create(name)


def test_a_repository_is_there_with_what_it_was_prepared_with_or_not_at_all(any_lake):
    def spoil(repository):
        fill(repository)
        assert any_lake.repositories() == []
        raise ZeroDivisionError

    def fill(repository):
        with repository.transaction("main", message="prepared") as transaction:
            transaction.put("a", b"1")
        repository.protect("main")

    with pytest.raises(ZeroDivisionError):
        any_lake.create("ships", prepare=spoil)
    assert any_lake.repositories() == []
    made = any_lake.create("ships", prepare=fill)
    assert made.read("a", at="main") == b"1"
    assert made.protected() == {"main"}
    assert next(commit.message for commit in made.log("main")) == "prepared"
    assert list(made.fsck()) == []


def test_a_repository_that_somebody_changed_is_not_deleted_unawares(any_lake, repo):
    seen = repo.branches()
    repo.create_branch("theirs", at="main")
    with pytest.raises(ConflictError, match="somebody changed"):
        any_lake.delete("ships", expected=seen)
    any_lake.delete("ships", expected=repo.branches())
    assert any_lake.repositories() == []


def test_a_deleted_repository_is_gone(any_lake, repo):
    any_lake.delete("ships")
    assert any_lake.repositories() == []
    with pytest.raises(NotFoundError):
        any_lake.repository("ships")
    with pytest.raises(NotFoundError):
        any_lake.delete("ships")
    any_lake.create("ships")


def test_a_new_repository_has_one_empty_commit_on_main(repo):
    assert list(repo.branches()) == ["main"]
    assert list(repo.entries("main")) == []
    (first,) = repo.log("main")
    assert first.parents == ()


# --------------------------------------------------------------------- transactions
def test_what_is_put_is_read_back(repo, put, content):
    files = {"a": b"1", "b/c": b"22", "b/d/e": b"", "b.c": b"\x00" * 70_000}
    put(files)
    assert content("main") == files


def test_an_entry_says_hash_and_size(repo, put):
    put({"a/b": b"hello"})
    entry = repo.entry("a/b", at="main")
    assert (entry.path, entry.size) == ("a/b", 5)
    assert entry.sha256 == hashlib.sha256(b"hello").hexdigest()


def test_entries_come_sorted_and_by_prefix(repo, put):
    put(dict.fromkeys(["b/c", "b.c", "b/a", "a", "b0", "bb/x", "ü"], b"x"))
    paths = [entry.path for entry in repo.entries("main")]
    assert paths == sorted(paths, key=str.encode)
    assert [entry.path for entry in repo.entries("main", "b")] == ["b/a", "b/c"]
    assert [entry.path for entry in repo.entries("main", "b/")] == ["b/a", "b/c"]
    assert [entry.path for entry in repo.entries("main", "b/a")] == ["b/a"]
    assert list(repo.entries("main", "nothing")) == []


def test_streams_and_files_are_put_as_bytes_are(repo, content, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"from a file")
    taken = tmp_path / "taken"
    taken.write_bytes(b"taken over")
    with repo.transaction("main", message="three ways") as transaction:
        transaction.put("stream", io.BytesIO(b"from a stream"))
        transaction.put_file("file", file)
        transaction.put_file("taken", taken, move=True)
    assert content("main") == {
        "stream": b"from a stream", "file": b"from a file", "taken": b"taken over",
    }  # fmt: skip
    assert file.read_bytes() == b"from a file"


def test_a_file_changed_after_it_was_put_does_not_change_the_object(repo, content, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"before")
    with repo.transaction("main", message="put") as transaction:
        transaction.put_file("file", file)
        file.write_bytes(b"after!")
    file.write_bytes(b"later!")
    assert content("main") == {"file": b"before"}
    assert list(repo.fsck()) == []


def test_many_files_are_put_at_once(repo, content, tmp_path):
    files = {}
    for number in range(50):
        files[f"f/{number}"] = tmp_path / str(number)
        files[f"f/{number}"].write_text(str(number % 7))
    with repo.transaction("main", message="many") as transaction:
        entries = transaction.put_files(files)
    assert [entry.path for entry in entries] == list(files)
    assert content("main") == {path: file.read_bytes() for path, file in files.items()}


def test_the_last_word_on_a_path_counts(repo, put, content):
    put({"a": b"1", "b/c": b"2", "b/d": b"3"})
    with repo.transaction("main", message="back and forth") as transaction:
        transaction.put("a", b"x")
        transaction.put("a", b"y")
        transaction.remove("b")
        transaction.put("b", b"a file now")
        transaction.put("e/f", b"1")
        transaction.remove("e")
        transaction.put("e", b"2")
    assert content("main") == {"a": b"y", "b": b"a file now", "e": b"2"}


def test_a_file_may_become_a_folder(repo, put, content):
    put({"a": b"1"})
    with repo.transaction("main", message="turn") as transaction:
        transaction.remove("a")
        transaction.put("a/b", b"2")
    assert content("main") == {"a/b": b"2"}


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("x/a", "x/a/b/c")])
def test_an_object_cannot_be_a_folder_too(repo, put, content, first, second):
    with pytest.raises(InvalidInputError, match="at once"):
        put({first: b"1", second: b"2"})
    put({first: b"1"})
    with pytest.raises(InvalidInputError, match="at once"):
        put({second: b"2"})
    assert content("main") == {first: b"1"}


def test_removal_of_what_is_not_there_is_said(repo, put):
    put({"a/b": b"1"})
    with pytest.raises(NotFoundError):
        put({"a/c": None})


def test_a_folder_is_removed_whole(repo, put, content):
    put({"a/b": b"1", "a/c/d": b"2", "ab": b"3"})
    put({"a": None})
    assert content("main") == {"ab": b"3"}
    put({"ab": None})
    assert content("main") == {}


def test_a_linked_object_is_not_read(repo, put, content):
    put({"a": b"1"})
    entry = repo.entry("a", at="main")
    with repo.transaction("main", message="copy") as transaction:
        transaction.link(entry, path="b/c")
        transaction.remove("a")
    assert content("main") == {"b/c": b"1"}


def test_an_error_leaves_no_trace(repo, put, content):
    before = put({"a": b"1"})

    def change():
        with repo.transaction("main", message="never") as transaction:
            transaction.put("a", b"2")
            transaction.put("b", b"3")
            raise KeyError("mine")

    with pytest.raises(KeyError):
        change()
    assert repo.resolve("main") == before
    assert content("main") == {"a": b"1"}
    assert repo.gc(grace=timedelta(0)).objects == 0


def test_a_transaction_that_changes_nothing_makes_no_commit(repo, put):
    before = put({"a": b"1"})
    assert put({"a": b"1"}) == before
    assert put({}) == before
    assert put({"a": b"1"}, allow_empty=True) != before


def test_a_commit_keeps_all_that_was_said(repo, put):
    message = "Füge hinzu\n\nkey: value\n\nEolab-Metadata: 1\nnot: mine"
    metadata = {"content-id": "a: b", "run.id/x": "", "n": " spaced "}
    began = datetime.now(tz=UTC) - timedelta(seconds=2)
    head = put({"a": b"1"}, message=message, metadata=metadata, author="Ada L. <ada@example.org>")
    commit = repo.commit("main")
    assert commit.id == head
    assert commit.message == message
    assert commit.metadata == metadata
    assert commit.author == "Ada L. <ada@example.org>"
    assert began < commit.at <= datetime.now(tz=UTC) + timedelta(seconds=2)
    put({"a": b"2"}, message=message)
    assert repo.commit("main").message == message
    assert repo.commit("main").metadata == {}


@pytest.mark.parametrize("metadata", [{"a b": "x"}, {"a": "x\ny"}, {"": "x"}, {"a": "\x00"}])
def test_metadata_are_single_lines_under_plain_keys(repo, put, metadata):
    with pytest.raises(InvalidInputError):
        put({"a": b"1"}, metadata=metadata)


@pytest.mark.parametrize("author", ["", "Ada", "<a@b>", "Ada <a b>", "A\nB <a@b>", "A <B> <c>"])
def test_an_author_is_a_name_and_an_address(repo, put, author):
    with pytest.raises(InvalidInputError):
        put({"a": b"1"}, author=author)


@pytest.mark.parametrize("message", ["", "  \n", "a\x00b"])
def test_a_message_says_something(repo, put, message):
    with pytest.raises(InvalidInputError):
        put({"a": b"1"}, message=message)


@pytest.mark.parametrize(("key", "reason"), BAD_KEYS.items(), ids=[ascii(k)[:20] for k in BAD_KEYS])
def test_a_key_that_cannot_be_held_is_refused_with_its_reason(repo, key, reason):
    with (
        repo.transaction("main", message="bad") as transaction,
        pytest.raises(InvalidInputError, match=reason.replace(".", r"\.")),
    ):
        transaction.put(key, b"1")


def test_every_key_that_can_be_held_is_held(repo, put, content, tmp_path):
    files = {key: key.encode() for key in GOOD_KEYS} | {"/".join(["d" * 100] * 9): b"deep"}
    put(files)
    assert content("main") == files
    repo.mount("main", tmp_path / "out")
    assert (tmp_path / "out" / "-rf").read_bytes() == b"-rf"
    assert list(repo.fsck()) == []


def test_only_plain_files_are_put(repo, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    with repo.transaction("main", message="link") as transaction:
        for name in ("link", "missing", "."):
            with pytest.raises(InvalidInputError):
                transaction.put_file("x", tmp_path / name)


# ---------------------------------------------------------------- several writers
def test_transactions_on_different_paths_build_on_each_other(repo, put, content):
    put({"a": b"1", "d/x": b"1"})
    with repo.transaction("main", message="outer") as transaction:
        transaction.put("d/y", b"outer")
        inner = put({"d/z": b"inner", "a": b"2"})
    assert content("main") == {"a": b"2", "d/x": b"1", "d/y": b"outer", "d/z": b"inner"}
    assert repo.commit("main").parents == (inner,)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [
        ({"a": b"o"}, {"a": b"i"}),
        ({"a": b"o"}, {"a": None}),
        ({"a": None}, {"a": b"i"}),
        ({"d": None}, {"d/x": b"i"}),
        ({"d": None}, {"d/new": b"i"}),
        ({"n/o": b"o"}, {"n": b"i"}),
        ({"n": b"o"}, {"n/o": b"i"}),
        ({"t/_delta_log/2.json": b"o"}, {"t/_delta_log/3.json": b"i"}),
    ],
)
def test_transactions_on_one_path_conflict(repo, put, content, outer, inner):
    put({"a": b"1", "d/x": b"1", "t/_delta_log/1.json": b"{}"})

    def both():
        with repo.transaction("main", message="outer") as transaction:
            for path, data in outer.items():
                if data is None:
                    transaction.remove(path)
                else:
                    transaction.put(path, data)
            put(inner)

    with pytest.raises(ConflictError):
        both()
    assert next(commit.message for commit in repo.log("main")) == "change"


def test_the_same_change_twice_is_no_conflict(repo, put, content):
    put({"a": b"1"})
    with repo.transaction("main", message="outer") as transaction:
        transaction.put("a", b"2")
        transaction.put("b", b"3")
        put({"a": b"2"})
    assert content("main") == {"a": b"2", "b": b"3"}


def test_an_expected_head_is_compared_and_swapped(repo, put):
    first = put({"a": b"1"})
    put({"b": b"1"}, expected=first)
    with pytest.raises(ConflictError):
        put({"c": b"1"}, expected=first)


def test_a_transaction_needs_its_branch(repo, put):
    with pytest.raises(NotFoundError):
        put({"a": b"1"}, branch="nowhere")


# ------------------------------------------------------------------------------ refs
def test_a_branch_moves_alone(repo, put, content):
    put({"a": b"1"})
    repo.create_branch("anna/fix", at="main")
    put({"a": b"2"}, branch="anna/fix")
    assert content("main") == {"a": b"1"}
    assert content("anna/fix") == {"a": b"2"}
    assert list(repo.branches()) == ["anna/fix", "main"]
    assert list(repo.branches("anna/")) == ["anna/fix"]


def test_refs_are_resolved(repo, put):
    head = put({"a": b"1"})
    repo.create_tag("v1", at="main")
    for ref in ("main", "v1", head, head[:7], head[:20]):
        assert repo.resolve(ref) == head
    for ref in ("nothing", "v2", "0" * 40, "0" * 7, head[:6], "", "../x", "refs/heads/main", "-x"):
        with pytest.raises(NotFoundError):
            repo.resolve(ref)


@pytest.mark.parametrize(
    "name",
    ["", "a b", "a..b", "/a", "a/", "a//b", ".a", "a.", "a.lock", "-a", "a~b", "a^b", "a:b", "HEAD",
     "a\\b", "a\nb", "a" * 201, "a/.b", "@", "ä"],
)  # fmt: skip
def test_bad_names_of_branches_and_tags_are_refused(repo, name):
    with pytest.raises(InvalidInputError):
        repo.create_branch(name, at="main")
    with pytest.raises(InvalidInputError):
        repo.create_tag(name, at="main")


def test_names_are_taken_once(repo):
    repo.create_branch("a", at="main")
    repo.create_tag("v1", at="main")
    with pytest.raises(ConflictError):
        repo.create_branch("a", at="main")
    with pytest.raises(ConflictError):
        repo.create_branch("a/b", at="main")
    with pytest.raises(ConflictError):
        repo.create_tag("v1", at="main")
    repo.delete_branch("a")
    repo.create_branch("a/b", at="main")
    with pytest.raises(ConflictError):
        repo.create_branch("a", at="main")
    repo.delete_branch("a/b")
    repo.create_branch("a", at="main")


def test_a_deleted_branch_is_gone(repo, put):
    repo.create_branch("b", at="main")
    repo.delete_branch("b")
    assert list(repo.branches()) == ["main"]
    with pytest.raises(NotFoundError):
        repo.delete_branch("b")


def test_a_tag_never_moves(repo, put):
    head = put({"a": b"1"})
    repo.create_tag("v1", at="main", message="first release")
    put({"a": b"2"})
    assert repo.tags() == {"v1": head}
    assert repo.resolve("v1") == head
    with pytest.raises(NotFoundError):
        put({"a": b"3"}, branch="v1")
    with pytest.raises(NotFoundError):
        repo.reset("v1", to="main")


def test_a_protected_branch_moves_by_advance_alone(repo, put):
    first = put({"a": b"1"})
    repo.create_branch("b", at="main")
    repo.protect("main")
    assert repo.protected() == {"main"}
    second = put({"a": b"2"}, branch="b")
    for forbidden in (
        lambda: put({"a": b"3"}),
        lambda: repo.reset("main", to="b"),
        lambda: repo.delete_branch("main"),
        lambda: repo.merge("b", into="main", message="no"),
        lambda: repo.revert(first, branch="main"),
        lambda: repo.undo("main"),
    ):
        with pytest.raises(ForbiddenError, match="protected"):
            forbidden()
    assert repo.resolve("main") == first
    repo.advance("main", to="b", expected=first)
    assert repo.resolve("main") == second


def test_advance_goes_forward_from_where_it_is_expected(repo, put):
    first = put({"a": b"1"})
    repo.create_branch("b", at="main")
    repo.create_branch("c", at="main")
    second = put({"a": b"2"}, branch="b")
    other = put({"a": b"3"}, branch="c")
    repo.advance("main", to=second, expected=first)
    with pytest.raises(ConflictError):
        repo.advance("main", to=second, expected=first)
    with pytest.raises(ConflictError, match="descend"):
        repo.advance("main", to=other, expected=second)
    with pytest.raises(NotFoundError):
        repo.advance("nowhere", to=second, expected=first)


def test_reset_moves_anywhere_and_undo_brings_back(repo, put, content):
    first = put({"a": b"1"})
    second = put({"a": b"2"})
    repo.reset("main", to=first)
    assert content("main") == {"a": b"1"}
    update = repo.undo("main")
    assert (update.before, update.after, update.operation) == (first, second, "undo")
    assert content("main") == {"a": b"2"}
    repo.undo("main")
    assert content("main") == {"a": b"1"}


def test_undo_takes_back_a_commit_a_deletion_and_a_creation(repo, put):
    first = put({"a": b"1"})
    second = put({"a": b"2"})
    repo.undo("main")
    assert repo.resolve("main") == first
    repo.create_branch("b", at=second)
    repo.delete_branch("b")
    repo.undo("b")
    assert repo.branches()["b"] == second
    repo.undo("b")
    assert "b" not in repo.branches()
    with pytest.raises(NotFoundError):
        repo.undo("never")


def test_the_reflog_tells_every_movement_newest_first(repo, put):
    first = put({"a": b"1"}, author="Ada <ada@example.org>")
    repo.create_tag("v1", at="main", message="why")
    repo.create_branch("b", at="main")
    repo.reset("b", to=repo.commit(first).parents[0])
    repo.delete_branch("b")
    told = [(update.ref, update.operation) for update in repo.reflog()]
    assert told == [
        ("branch/b", "delete"), ("branch/b", "reset"), ("branch/b", "branch"), ("tag/v1", "tag"),
        ("branch/main", "commit"), ("branch/main", "create"),
    ]  # fmt: skip
    (newest, *_) = repo.reflog("branch/main")
    assert (newest.after, newest.author) == (first, "Ada <ada@example.org>")
    assert next(repo.reflog("tag/v1")).after == first
    assert [update.operation for update in repo.reflog("branch/b")] == ["delete", "reset", "branch"]


# --------------------------------------------------------------------------- history
def test_history_does_not_change_when_the_branch_moves_on(repo, put, content):
    seen = [
        (put({"a": str(number).encode(), f"f{number}": b"x"}), content("main"))
        for number in range(5)
    ]
    for commit, before in seen:
        assert content(commit) == before


def test_the_log_tells_children_before_parents(repo, put):
    ids = [put({"a": str(number).encode()}) for number in range(30)]
    repo.create_branch("b", at=ids[3])
    side = [put({"b": str(number).encode()}, branch="b") for number in range(3)]
    merged = repo.merge("b", into="main", message="merge").id
    log = [commit.id for commit in repo.log("main")]
    assert log[0] == merged
    assert set(log) == {merged, *ids, *side, repo.commit(ids[0]).parents[0]}
    place = {commit: number for number, commit in enumerate(log)}
    for commit in repo.log("main"):
        assert all(place[parent] > place[commit.id] for parent in commit.parents)


def test_the_log_of_a_path_tells_what_changed_it(repo, put):
    put({"a/x": b"1", "b": b"1"}, message="one")
    put({"b": b"2"}, message="two")
    put({"a/y": b"2"}, message="three")
    put({"a": None}, message="four")
    put({"b": b"3"}, message="five")

    def told(path):
        return [commit.message for commit in repo.log("main", path=path)]

    assert told("a") == ["four", "three", "one"]
    assert told("a/x") == ["four", "one"]
    assert told("b") == ["five", "two", "one"]
    assert told("c") == []


def test_a_merge_is_told_for_a_path_only_if_it_decided_something(repo, put):
    put({"a": b"1", "b": b"1"})
    repo.create_branch("b", at="main")
    put({"a": b"2"}, message="ours")
    put({"b": b"2"}, branch="b", message="theirs")
    repo.merge("b", into="main", message="merge")
    assert [commit.message for commit in repo.log("main", path="a")] == ["ours", "change"]


def test_diff_tells_what_differs(repo, put):
    first = put({"a": b"1", "b/c": b"2", "b/d": b"3", "e": b"4"})
    second = put({"a": b"9", "b/c": None, "b/n/o": b"5", "z": b"6"})
    changes = {change.path: change for change in repo.diff(first, second)}
    assert {path: change.kind for path, change in changes.items()} == {
        "a": ChangeKind.CHANGED, "b/c": ChangeKind.REMOVED,
        "b/n/o": ChangeKind.ADDED, "z": ChangeKind.ADDED,
    }  # fmt: skip
    assert changes["a"].before == repo.entry("a", at=first)
    assert changes["a"].after == repo.entry("a", at=second)
    assert changes["b/c"].after is None
    assert list(changes) == sorted(changes)
    assert [change.path for change in repo.diff(first, second, prefix="b")] == ["b/c", "b/n/o"]
    assert list(repo.diff(second, second)) == []


def test_diff_sees_a_file_that_became_a_folder(repo, put):
    first = put({"a": b"1"})
    second = put({"a": None})
    third = put({"a/b": b"1"})
    assert [(c.path, c.kind) for c in repo.diff(first, third)] == [
        ("a", ChangeKind.REMOVED), ("a/b", ChangeKind.ADDED),
    ]  # fmt: skip
    assert [c.path for c in repo.diff(second, third)] == ["a/b"]


def test_the_content_id_names_the_data_and_nothing_else(repo, put):
    files = {"b/c": b"1", "b.d": b"2", "a": b"3"}
    first = put(files)
    lines = b"".join(
        path.encode() + b"\x00" + hashlib.sha256(data).hexdigest().encode() + b"\n"
        for path, data in sorted(files.items())
    )
    assert repo.content_id("main") == hashlib.sha256(lines).hexdigest()
    put({"a": b"4"})
    second = put({"a": b"3"})
    assert first != second
    assert repo.content_id(first) == repo.content_id(second)
    assert repo.content_id(first, "b", "a") != repo.content_id(first)
    assert repo.content_id(first, "b", "b.d", "a", "b") == repo.content_id(first)


def test_what_is_not_there_is_not_found(repo, put):
    put({"a/b": b"1"})
    for path in ("a", "b", "a/b/c", "", "a/", "../x"):
        with pytest.raises(NotFoundError):
            repo.entry(path, at="main")
        with pytest.raises(NotFoundError):
            repo.read(path, at="main")


def test_an_object_is_read_from_anywhere(repo, put):
    put({"a": bytes(range(256))})
    with repo.open("a", at="main") as stream:
        stream.seek(100)
        assert stream.read(2) == b"de"
        assert stream.seek(0, io.SEEK_END) == 256


# ----------------------------------------------------------------------------- merge
@pytest.fixture
def parted(repo, put):
    """Two branches that changed different and equal things."""
    base = put({"same": b"0", "ours": b"0", "theirs": b"0", "both": b"0", "gone/x": b"0"})
    repo.create_branch("b", at="main")
    put({"theirs": b"t", "both": b"equal", "gone": None, "new/t": b"t"}, branch="b")
    put({"ours": b"o", "both": b"equal", "new/o": b"o"})
    return base


def test_a_merge_takes_each_sides_changes(repo, content, parted):
    plan = repo.plan_merge("b", into="main")
    assert plan.base == parted == repo.merge_base("main", "b")
    assert [change.path for change in plan.changes] == ["gone/x", "new/t", "theirs"]
    assert plan.conflicts == ()
    ours, theirs = repo.resolve("main"), repo.resolve("b")
    merged = repo.merge("b", into="main", message="merge b", metadata={"k": "v"})
    assert merged.parents == (ours, theirs)
    assert merged.metadata == {"k": "v"}
    assert content("main") == {
        "same": b"0", "ours": b"o", "theirs": b"t", "both": b"equal", "new/o": b"o", "new/t": b"t",
    }  # fmt: skip
    assert repo.merge_base("main", "b") == theirs


def test_conflicts_are_listed_and_nothing_is_written(repo, put, content):
    put({"a": b"0", "b": b"0", "c": b"0", "d": b"0"})
    repo.create_branch("b", at="main")
    put({"a": b"t", "b": None, "c": b"t", "n": b"t", "f": b"t"}, branch="b")
    head = put({"a": b"o", "b": b"o", "c": None, "n": b"o", "f/g": b"o"})
    plan = repo.plan_merge("b", into="main")
    assert [conflict.path for conflict in plan.conflicts] == ["a", "b", "c", "f", "n"]
    by_path = {conflict.path: conflict for conflict in plan.conflicts}
    assert by_path["b"].theirs is None
    assert by_path["n"].base is None
    assert by_path["a"].ours == repo.entry("a", at="main")
    with pytest.raises(ConflictError) as caught:
        repo.merge("b", into="main", message="merge")
    assert caught.value.conflicts == plan.conflicts
    assert repo.resolve("main") == head


def test_conflicts_are_resolved_by_path_and_by_side(repo, put, content):
    put({"a": b"0", "b": b"0", "c": b"0", "d/e": b"0"})
    repo.create_branch("b", at="main")
    put({"a": b"t", "b": b"t", "c": b"t", "d/e": b"t"}, branch="b")
    put({"a": b"o", "b": b"o", "c": None, "d/e": b"o"})
    with pytest.raises(ConflictError):
        repo.merge("b", into="main", message="m", resolve={"a": "theirs"})
    for wrong in ({"a": "mine"}, {"zzz": "ours"}):
        with pytest.raises(InvalidInputError):
            repo.merge("b", into="main", message="m", resolve=wrong, side="ours")
    resolve = {"a": "theirs", "c": "base", "d": "theirs"}
    repo.merge("b", into="main", message="m", resolve=resolve, side="ours")
    assert content("main") == {"a": b"t", "b": b"o", "c": b"0", "d/e": b"t"}


def test_a_merge_by_side_keeps_both_parents_even_if_nothing_changes(repo, put, content):
    put({"a": b"0"})
    repo.create_branch("b", at="main")
    theirs = put({"a": b"t"}, branch="b")
    ours = put({"a": b"o"})
    merged = repo.merge("b", into="main", message="m", side="ours")
    assert merged.parents == (ours, theirs)
    assert content("main") == {"a": b"o"}
    assert repo.merge("b", into="main", message="again").id == merged.id


def test_a_branch_that_is_behind_moves_forward(repo, put):
    put({"a": b"0"})
    repo.create_branch("b", at="main")
    head = put({"a": b"1"}, branch="b")
    assert repo.merge("b", into="main", message="forward").id == head
    assert repo.merge("b", into="main", message="again").id == head


def test_a_delta_table_that_both_sides_wrote_is_one_conflict(repo, put, content):
    log = "t/_delta_log/0000000000000000000"
    put({f"{log}0.json": b"0", "t/p0": b"0", "x": b"0"})
    repo.create_branch("b", at="main")
    put({f"{log}1.json": b"t", "t/p1t": b"t", f"{log}2.json": b"t", "x": b"t"}, branch="b")
    put({f"{log}1.json": b"o", "t/p1o": b"o"})
    plan = repo.plan_merge("b", into="main")
    assert [change.path for change in plan.changes] == ["x"]
    assert {conflict.path for conflict in plan.conflicts} == {
        f"{log}1.json", f"{log}2.json", "t/p1t", "t/p1o",
    }  # fmt: skip
    with pytest.raises(InvalidInputError, match="mixed"):
        repo.merge("b", into="main", message="m", resolve={"t/p1o": "theirs"}, side="ours")
    repo.merge("b", into="main", message="m", resolve={"t": "theirs"})
    assert content("main") == content("b")


def test_a_merge_that_the_caller_decides_has_two_parents(repo, put, content):
    put({"a": b"0"})
    repo.create_branch("b", at="main")
    theirs = put({"a": b"t"}, branch="b")
    ours = put({"a": b"o"})
    merged = put({"a": b"both"}, merging="b", expected=ours)
    assert repo.commit(merged).parents == (ours, theirs)
    assert content("main") == {"a": b"both"}
    assert repo.merge_base("main", "b") == theirs


# ---------------------------------------------------------------------------- revert
def test_a_revert_takes_one_commit_back(repo, put, content):
    put({"a": b"0", "b": b"0"})
    undone = put({"a": b"1", "c/d": b"1", "b": None}, message="bad idea")
    put({"e": b"2"})
    commit = repo.revert(undone, branch="main")
    assert content("main") == {"a": b"0", "b": b"0", "e": b"2"}
    assert "bad idea" in commit.message
    assert commit.metadata["reverts"] == undone
    repo.revert("main", branch="main", message="after all")
    assert content("main") == {"a": b"1", "c/d": b"1", "e": b"2"}


def test_a_commit_that_was_built_upon_is_not_reverted(repo, put, content):
    put({"a": b"0"})
    undone = put({"a": b"1"})
    put({"a": b"2"})
    with pytest.raises(ConflictError):
        repo.revert(undone, branch="main")
    assert content("main") == {"a": b"2"}


def test_only_the_newest_write_to_a_delta_table_is_reverted(repo, put, content):
    put({"t/_delta_log/0.json": b"0"})
    first = put({"t/_delta_log/1.json": b"1", "t/p1": b"1"})
    second = put({"t/_delta_log/2.json": b"2", "t/p2": b"2"})
    with pytest.raises(ConflictError):
        repo.revert(first, branch="main")
    repo.revert(second, branch="main")
    assert sorted(content("main")) == ["t/_delta_log/0.json", "t/_delta_log/1.json", "t/p1"]


def test_only_a_single_commit_of_this_history_is_reverted(repo, put, parted):
    elsewhere = repo.resolve("main")
    merged = repo.merge("b", into="main", message="merge").id
    with pytest.raises(InvalidInputError):
        repo.revert(merged, branch="main")
    with pytest.raises(ConflictError):
        repo.revert(elsewhere, branch="b")


# ----------------------------------------------------------------------------- views
def files_in(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in Path(folder).rglob("*") if path.is_file()
    }  # fmt: skip


def test_a_located_view_shows_the_commit_for_ever(repo, put, content):
    files = {"a": b"1", "t/_delta_log/0.json": b"{}", "t/p": b"p", "e": b""}
    head = put(files)
    location = repo.locate("main")
    assert files_in(location.path) == files
    put({"a": b"2", "t": None})
    assert files_in(location.path) == files
    assert repo.locate(head) == location
    assert repo.locate("main") != location
    assert location.child("t", "x").uri == f"{location.uri}/t/x"


def test_a_mounted_view_is_its_holders_own(repo, put, content, tmp_path):
    files = {"a": b"1", "t/_delta_log/0.json": b"{}", "t/p": b"p"}
    put(files)
    (tmp_path / "empty").mkdir()
    for folder in (tmp_path / "new" / "deep", tmp_path / "empty"):
        repo.mount("main", folder)
        assert files_in(folder) == files
        for path in files:
            (folder / path).write_bytes(b"scribble")
    assert list(repo.fsck()) == []
    assert content("main") == files
    with pytest.raises(InvalidInputError, match="not empty"):
        repo.mount("main", tmp_path / "empty")


def test_a_workspace_commits_what_differs(repo, put, content):
    head = put({"a": b"1", "b": b"2", "t/_delta_log/0.json": b"{}", "t/p0": b"p"})
    with repo.workspace("main") as workspace:
        assert workspace.head == head
        assert workspace.commit("nothing").id == head
        (workspace.path / "a").write_bytes(b"9")
        (workspace.path / "b").unlink()
        (workspace.path / "t/_delta_log/1.json").write_bytes(b"{1}")
        (workspace.path / "t/p1").write_bytes(b"q")
        (workspace.path / "new" / "deep").mkdir(parents=True)
        (workspace.path / "new" / "deep" / "c").write_bytes(b"3")
        first = workspace.commit("first", metadata={"k": "v"})
        assert (first.parents, first.metadata, workspace.head) == ((head,), {"k": "v"}, first.id)
        (workspace.path / "a").write_bytes(b"8")
        (workspace.path / "t/p0").unlink()
        workspace.commit("second")
    assert not workspace.path.exists()
    assert content("main") == {
        "a": b"8", "new/deep/c": b"3", "t/_delta_log/0.json": b"{}", "t/_delta_log/1.json": b"{1}",
        "t/p1": b"q",
    }  # fmt: skip
    assert content(head)["t/p0"] == b"p"
    assert list(repo.fsck()) == []


def test_a_workspace_sees_an_edit_of_the_same_size(repo, put, content):
    put({"a": b"1"})
    with repo.workspace("main") as workspace:
        for number in range(20):
            (workspace.path / "a").write_bytes(b"%02d" % number)
            workspace.commit("edit")
            assert content("main") == {"a": b"%02d" % number}


def test_a_workspace_turns_a_file_into_a_folder(repo, put, content):
    put({"a": b"1", "d/x": b"2"})
    with repo.workspace("main") as workspace:
        (workspace.path / "a").unlink()
        (workspace.path / "a").mkdir()
        (workspace.path / "a" / "b").write_bytes(b"3")
        (workspace.path / "d" / "x").unlink()
        (workspace.path / "d").rmdir()
        (workspace.path / "d").write_bytes(b"4")
        workspace.commit("turn")
    assert content("main") == {"a/b": b"3", "d": b"4"}


def test_two_workspaces_do_not_see_each_other(repo, put, content):
    put({"a": b"1", "b": b"1"})
    repo.create_branch("b", at="main")
    with repo.workspace("main") as one, repo.workspace("b") as two:
        (one.path / "a").write_bytes(b"one")
        (two.path / "a").write_bytes(b"two")
        assert (one.path / "a").read_bytes() == b"one"
        one.commit("one")
        two.commit("two")
    assert content("main")["a"] == b"one"
    assert content("b")["a"] == b"two"


def test_a_workspace_whose_branch_moved_keeps_its_files(repo, put, content):
    put({"a": b"1"})
    with repo.workspace("main") as workspace:
        (workspace.path / "a").write_bytes(b"mine")
        put({"b": b"theirs"})
        with pytest.raises(ConflictError):
            workspace.commit("late")
        assert (workspace.path / "a").read_bytes() == b"mine"
    assert content("main") == {"a": b"1", "b": b"theirs"}


def test_what_a_workspace_does_not_commit_goes_with_it(repo, put, content):
    put({"a": b"1"})
    with repo.workspace("main") as workspace:
        (workspace.path / "a").write_bytes(b"2")
    assert content("main") == {"a": b"1"}
    assert not workspace.path.exists()


def test_a_workspace_refuses_links(repo, put, tmp_path):
    with repo.workspace("main") as workspace:
        (workspace.path / "link").symlink_to(tmp_path)
        with pytest.raises(InvalidInputError, match="link"):
            workspace.commit("link")


# ----------------------------------------------------------------------- maintenance
def test_garbage_is_what_nothing_reaches(repo, put, content):
    put({"kept": b"kept"})
    repo.create_branch("b", at="main")
    lost = put({"lost": b"lost" * 100}, branch="b")
    pinned = put({"pinned": b"pinned" * 100}, branch="b")
    repo.reset("b", to="main")
    assert repo.gc().objects == 0
    assert repo.gc().kept_by_grace == 0  # the reflog can still take it back
    counted = repo.gc(grace=timedelta(0), dry_run=True, keep=[lost])
    assert (counted.objects, counted.size) == (1, 600)
    assert content(pinned)["pinned"] == b"pinned" * 100
    swept = repo.gc(grace=timedelta(0), keep=[lost])
    assert swept == counted
    assert content(lost)["lost"] == b"lost" * 100
    assert repo.gc(grace=timedelta(0)).objects == 1
    assert content("main") == {"kept": b"kept"}
    assert list(repo.fsck()) == []
    with pytest.raises(NotFoundError):
        repo.resolve(lost)


def test_a_tag_keeps_what_it_names(repo, put, content):
    put({"a": b"1"})
    repo.create_branch("b", at="main")
    put({"b": b"2"}, branch="b")
    repo.create_tag("v1", at="b")
    repo.delete_branch("b")
    repo.gc(grace=timedelta(0))
    assert content("v1") == {"a": b"1", "b": b"2"}


def test_garbage_collection_spares_open_transactions_and_workspaces(repo, put, content):
    put({"old": b"unreachable soon"})
    repo.create_branch("b", at="main")
    entry = repo.entry("old", at="main")
    put({"old": None})
    with repo.transaction("main", message="open") as transaction, repo.workspace("b") as workspace:
        transaction.put("new", b"staged")
        transaction.link(entry, path="again")
        repo.delete_branch("b")
        repo.reset("main", to=repo.commit("main").id)
        repo.gc(grace=timedelta(0))
        assert (workspace.path / "old").read_bytes() == b"unreachable soon"
    assert content("main") == {"new": b"staged", "again": b"unreachable soon"}
    assert list(repo.fsck()) == []


def test_a_located_view_outlives_garbage_collection(repo, put):
    put({"a": b"1"})
    repo.create_branch("b", at="main")
    put({"a": b"2"}, branch="b")
    location = repo.locate("b")
    repo.delete_branch("b")
    repo.gc(grace=timedelta(0))
    assert files_in(location.path) == {"a": b"2"}


def test_a_negative_grace_is_refused(repo):
    with pytest.raises(InvalidInputError):
        repo.gc(grace=timedelta(days=-1))


def test_statistics_count(repo, put):
    put({"a": b"12345", "b": b"12345", "c": b"1"})
    put({"a": b"123"})
    repo.create_branch("b", at="main")
    repo.create_tag("v1", at="main")
    counted = repo.statistics()
    assert (counted.commits, counted.branches, counted.tags) == (3, 2, 1)
    assert (counted.objects, counted.size) == (3, 9)
