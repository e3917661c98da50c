"""What a machine keeps of a server: asked for once, only when needed, and never too much."""

import os

import pytest

from registry.errors import CorruptError, InvalidInputError
from registry.lake import lazy
from registry.lake.lakefs import cache

TABLE = {"t/_delta_log/0.json": b"{}", "t/p0.parquet": b"p" * 1000, "card.md": b"c"}


def reads(asked):
    return [one for one in asked if one.startswith("GET") and "/objects?" in one]


def test_what_is_known_is_not_asked_for_again(repo, other, put, content, asked):
    put(repo, {f"d/{number}": b"x" for number in range(30)})
    assert len(content(other, "main")) == 30
    del asked[:]
    assert len(content(other, other.resolve("main"))) == 30
    assert not reads(asked)
    assert not [one for one in asked if "/ls" in one]


def test_of_a_commit_near_a_known_one_only_the_difference_is_asked_for(repo, other, put, asked):
    put(repo, {f"d/{number}": b"x" for number in range(30)})
    list(other.entries("main"))
    head = put(repo, {"d/1": b"y", "d/2": None, "e": b"z"})
    del asked[:]
    assert [entry.path for entry in other.entries(head)][-1] == "e"
    listings = [one for one in asked if "/ls?" in one and "notes" not in one]
    assert not listings
    assert sum("/stat?" in one for one in asked) == 2


def test_data_files_of_tables_come_when_they_are_read(repo, other, put, asked):
    put(repo, TABLE)
    view = other.locate("main").path
    assert (view / "card.md").read_bytes() == b"c"
    assert (view / "t/p0.parquet").stat().st_size == 1000
    assert lazy.is_placeholder(view / "t/p0.parquet")
    lazy.ensure(view / "t/p0.parquet")
    assert (view / "t/p0.parquet").read_bytes() == TABLE["t/p0.parquet"]


def test_a_workspace_commits_without_what_was_not_read(repo, other, put, content):
    put(repo, TABLE)
    with other.workspace("main") as workspace:
        (workspace.path / "t/_delta_log/1.json").write_bytes(b"{1}")
        (workspace.path / "t/p1.parquet").write_bytes(b"q")
        workspace.commit("append")
    assert content(repo, "main") == {**TABLE, "t/_delta_log/1.json": b"{1}", "t/p1.parquet": b"q"}


def test_an_empty_object_is_there_in_every_view(repo, other, put, tmp_path):
    put(repo, {"empty": b"", "t/_delta_log/0.json": b"{}", "t/none.parquet": b""})
    assert (other.locate("main").path / "empty").read_bytes() == b""
    assert (other.locate("main").path / "t/none.parquet").read_bytes() == b""
    other.mount("main", tmp_path / "out")
    assert (tmp_path / "out" / "empty").read_bytes() == b""


def test_a_cache_may_be_deleted(repo, put, content, machine, tmp_path):
    import shutil

    put(repo, TABLE)
    shutil.rmtree(tmp_path / "one")
    assert content(machine().repository("ships"), "main") == TABLE


def test_a_changed_object_in_the_cache_is_found(repo, put):
    put(repo, {"a": b"1"})
    (file,) = [f for f in repo._layout.objects.rglob("*") if f.is_file()]
    file.chmod(0o644)
    file.write_bytes(b"2")
    assert [damage.problem for damage in repo.fsck()] == ["is not what its hash says"]


def test_a_cache_shrinks_by_what_was_used_longest_ago(repo, other, put, content):
    put(repo, {str(number): bytes([number]) * 1000 for number in range(10)})
    content(other, "main")
    layout = other._layout
    files = sorted(f for f in layout.objects.rglob("*") if f.is_file())
    for age, file in enumerate(files):
        os.utime(file, (1_000_000 + age, 1_000_000 + age))
    assert cache.shrink(layout, 100_000) == 0
    assert cache.shrink(layout, 4_000) == 6_000
    assert [file.exists() for file in files] == [False] * 6 + [True] * 4
    assert len(content(other, "main")) == 10
    assert cache.shrink(layout, 0) == 0  # what was just read stays


@pytest.mark.parametrize("said", ["much", "0", "-1", "nan", "inf"])
def test_a_cache_has_a_size(monkeypatch, said):
    monkeypatch.setenv("EOLAB_CACHE_GIB", said)
    with pytest.raises(InvalidInputError, match="EOLAB_CACHE_GIB"):
        cache.limit()


def test_an_object_cannot_be_a_folder_too(repo, other, client):
    branch = client.branch("theirs").create("main")
    branch.object("a").upload(b"1", mode="wb")
    branch.object("a/b").upload(b"2", mode="wb")
    branch.commit("both")
    with pytest.raises(CorruptError, match="at once"):
        list(other.entries("theirs"))


def test_engines_read_a_commit_directly_and_no_message_shows_their_keys(repo, put, fake):
    import pyarrow.fs

    head = put(repo, {"t/a": b"1"})
    at = repo.direct("main").child("t")
    assert at.uri == f"s3://ships/{head}/t"
    assert fake.secret not in repr(at)
    options = at.storage_options
    files = pyarrow.fs.S3FileSystem(
        access_key=options["AWS_ACCESS_KEY_ID"], secret_key=options["AWS_SECRET_ACCESS_KEY"],
        endpoint_override=options["AWS_ENDPOINT_URL"].removeprefix("http://"), scheme="http",
        region=options["AWS_REGION"],
    )  # fmt: skip
    with files.open_input_stream(f"ships/{head}/t/a") as stream:
        assert stream.read() == b"1"
