"""Placeholders: what was not fetched is never read as data."""

import concurrent.futures
import multiprocessing

import pytest

from registry import lake
from registry.errors import CorruptError
from registry.lake import lazy

DATA = {f"t/part-{number}.parquet": bytes([number]) * (1000 + number) for number in range(1, 5)}


@pytest.fixture
def left_out(tmp_path):
    """Return a folder of placeholders for what a repository holds."""
    home = lake.init(str(tmp_path / "lake"))
    repository = home.create("ships")
    with repository.transaction("main", message="add") as transaction:
        for path, data in DATA.items():
            transaction.put(path, data)
    folder = tmp_path / "view"
    folder.mkdir()
    lazy.leave_out(
        folder, repository.entries("main"),
        address=home.address, repository="ships", commit=repository.resolve("main"),
    )  # fmt: skip
    return folder


def test_a_placeholder_has_the_size_but_neither_bytes_nor_rights(left_out):
    for path, data in DATA.items():
        facts = (left_out / path).stat()
        assert (facts.st_size, facts.st_blocks, facts.st_mode & 0o777) == (len(data), 0, 0)
        assert lazy.is_placeholder(left_out / path)


def test_what_is_asked_for_is_fetched_and_nothing_else(left_out):
    first, *others = DATA
    lazy.ensure(left_out / first)
    assert (left_out / first).read_bytes() == DATA[first]
    assert not lazy.is_placeholder(left_out / first)
    assert all(lazy.is_placeholder(left_out / path) for path in others)
    lazy.ensure(*(str(left_out / path) for path in DATA))
    assert {path: (left_out / path).read_bytes() for path in DATA} == DATA


def test_a_plain_file_costs_nothing_and_a_missing_one_is_the_readers_to_say(tmp_path):
    (tmp_path / "plain").write_bytes(b"1")
    (tmp_path / "empty").touch(mode=0)
    lazy.ensure(tmp_path / "plain", tmp_path / "empty", tmp_path / "nowhere")


def test_a_placeholder_that_nobody_knows_is_said(left_out):
    moved = left_out / "t" / "moved.parquet"
    (left_out / "t/part-1.parquet").rename(moved)
    with pytest.raises(CorruptError, match="nothing says what it stands for"):
        lazy.ensure(moved)
    (lazy.companion(left_out) / "source.json").write_bytes(b'{"files": [')
    with pytest.raises(CorruptError, match=r"source\.json cannot be read"):
        lazy.ensure(left_out / "t/part-2.parquet")
    (lazy.companion(left_out) / "source.json").unlink()
    with pytest.raises(CorruptError, match="nothing says what it stands for"):
        lazy.ensure(left_out / "t/part-2.parquet")


def test_bytes_of_another_size_take_no_place(left_out, monkeypatch, tmp_path):
    from registry.lake.local.repository import LocalRepository

    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"short")
    monkeypatch.setattr(
        LocalRepository, "bring", lambda _, entries, **__: {one.sha256: wrong for one in entries}
    )
    with pytest.raises(CorruptError, match="instead of 1,001"):
        lazy.ensure(left_out / "t/part-1.parquet")
    assert lazy.is_placeholder(left_out / "t/part-1.parquet")


def test_many_at_once_may_ask_for_the_same(left_out):
    files = [left_out / path for path in DATA]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        for one in [pool.submit(lazy.ensure, *files) for _ in range(6)]:
            one.result()
    assert {path: (left_out / path).read_bytes() for path in DATA} == DATA
    assert [part.name for part in lazy.companion(left_out).iterdir()] == ["source.json"]


@pytest.mark.parametrize(
    ("path", "may"),
    [
        ("samples/part-0.parquet", True),
        ("splits/default/part-0.parquet", True),
        ("samples/_delta_log/0.checkpoint.parquet", False),
        ("samples/_delta_log/00000000000000000000.json", False),
        ("pixels/_index/part-0.npy", False),
        ("README.md", False),
        ("items.parquet", False),
        ("scenes/a.tif", False),
    ],
)
def test_only_data_files_of_tables_may_wait(path, may):
    tables = frozenset({"samples", "pixels", "splits/default"})
    assert lazy.may_wait(path, tables) is may


def test_a_dataset_cannot_say_itself_where_its_files_come_from(left_out):
    inner = lazy.companion(left_out / "t")
    inner.mkdir()
    (inner / "source.json").write_text(
        '{"address": "lakefs://elsewhere.invalid", "repository": "x", "commit": "0", '
        '"files": {"part-1.parquet": ["0", 1001]}}'
    )
    lazy.ensure(left_out / "t/part-1.parquet")
    assert (left_out / "t/part-1.parquet").read_bytes() == DATA["t/part-1.parquet"]
