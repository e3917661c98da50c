"""A table whose log says what it should not is opened by nobody."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from registry import tables
from registry.errors import InvalidInputError
from registry.tables.errors import TableNotFoundError, UnsafeTableError
from registry.tables.log import snapshot, verify_log
from registry.tables.schemas import SPLITS

NAME = "splits/default"


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "dataset"
    for subset in ("train", "test"):
        tables.append(folder, SPLITS, pa.table({"sample": [subset], "subset": [subset]}))
    return folder


def entry(root, number):
    return root / NAME / "_delta_log" / f"{number:020d}.json"


def with_action(root, action, number=3):
    entry(root, number).write_text(json.dumps(action) + "\n")


def a_file(path, **more):
    return {"add": {"path": path, "partitionValues": {}, "size": 4, "dataChange": True, **more}}


HOSTILE_PATHS = [
    "../other/part.parquet",
    "a/../../x.parquet",
    "/etc/passwd",
    "file:///etc/passwd",
    "s3://bucket/x",
    "https://host/x.parquet",
    "..%2f..%2fetc/passwd",
    "%2e%2e/x",
    "part%20x.parquet",
    "a\\..\\x",
    "a//b",
    "./x.parquet",
    ".hidden",
    "a/.hidden",
    "_delta_log/00000000000000000000.json",
    "x\n.parquet",
    "x\0",
    "",
    "é.parquet",
    "C:x",
    "x" * 300,
    None,
    7,
    ["x"],
]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
@pytest.mark.parametrize("kind", ["add", "remove"])
def test_a_path_that_could_leave_the_table_is_refused(root, kind, path):
    with_action(root, {kind: a_file(path)["add"]})
    with pytest.raises(UnsafeTableError, match="no plain path"):
        tables.read(root, NAME)


def test_a_path_in_an_older_entry_that_is_removed_later_is_refused_too(root):
    with_action(root, a_file("../x"), 3)
    with_action(root, {"remove": {"path": "../x", "dataChange": True}}, 4)
    with pytest.raises(UnsafeTableError):
        verify_log(root, NAME)


def test_a_file_that_is_not_there_is_refused(root):
    with_action(root, a_file("part-x.parquet"))
    with pytest.raises(UnsafeTableError, match="not there"):
        verify_log(root, NAME)


def test_a_file_behind_a_symbolic_link_is_refused(root, tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(b"1234")
    (root / NAME / "part-x.parquet").symlink_to(secret)
    with_action(root, a_file("part-x.parquet"))
    with pytest.raises(UnsafeTableError, match="symbolic link"):
        verify_log(root, NAME)


def test_a_folder_behind_a_symbolic_link_is_refused(root, tmp_path):
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "x.parquet").write_bytes(b"1234")
    (root / NAME / "inner").symlink_to(tmp_path / "secrets")
    with_action(root, a_file("inner/x.parquet"))
    with pytest.raises(UnsafeTableError, match="symbolic link"):
        verify_log(root, NAME)


def test_a_table_that_is_a_symbolic_link_is_refused(root, tmp_path):
    other = tmp_path / "other"
    (other / "splits").mkdir(parents=True)
    (other / "splits" / "default").symlink_to(root / NAME)
    with pytest.raises(UnsafeTableError, match="symbolic link"):
        verify_log(other, NAME)


def test_a_log_entry_that_is_a_symbolic_link_is_refused(root, tmp_path):
    target = tmp_path / "entry.json"
    target.write_text("{}")
    entry(root, 3).symlink_to(target)
    with pytest.raises(UnsafeTableError, match="belongs to no log"):
        verify_log(root, NAME)


@pytest.mark.parametrize("size", [0, -1, 2**60, "4", None, 4.5, 5])
def test_a_size_that_cannot_be_or_is_not_is_refused(root, size):
    (root / NAME / "part-x.parquet").write_bytes(b"1234")
    with_action(root, a_file("part-x.parquet", size=size))
    with pytest.raises(UnsafeTableError, match="bytes"):
        verify_log(root, NAME)


@pytest.mark.parametrize(
    "action",
    [
        {"sidecar": {"path": "x"}},
        {"cdc": {"path": "x"}},
        {"checkpointMetadata": {"version": 1}},
        {"domainMetadata": {"domain": "x"}},
        {"unheard": {}},
        {"add": []},
        {"add": {}, "remove": {}},
        {},
        [],
        "add",
        a_file("x", deletionVector={"storageType": "p", "pathOrInlineDv": "/etc/passwd"}),
        a_file("x", partitionValues={"a": "b"}),
        {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}},
        {"protocol": {"minReaderVersion": 3, "readerFeatures": ["deletionVectors"]}},
        {"protocol": {"minReaderVersion": 3, "readerFeatures": ["unheard"]}},
        {"protocol": {"minReaderVersion": None}},
    ],
)
def test_what_the_lab_does_not_know_is_refused(root, action):
    with_action(root, action)
    with pytest.raises(UnsafeTableError):
        verify_log(root, NAME)


@pytest.mark.parametrize(
    "change",
    [
        {"partitionColumns": ["subset"]},
        {"schemaString": "nonsense"},
        {"schemaString": '{"type":"map"}'},
        {"schemaString": '{"type":"struct","fields":[{"name":"x","type":"variant"}]}'},
        {"schemaString": None},
        {"format": {"provider": "orc"}},
        {"configuration": {"delta.columnMapping.mode": "name"}},
    ],
)
def test_metadata_that_the_lab_does_not_know_are_refused(root, change):
    stated = dict(snapshot(root, NAME).metadata) | change
    with_action(root, {"metaData": stated})
    with pytest.raises(UnsafeTableError):
        verify_log(root, NAME)


@pytest.mark.parametrize("text", ["{", "[1,", "\x00", '{"add":'])
def test_an_entry_that_is_not_json_is_refused(root, text):
    entry(root, 3).write_text(text)
    with pytest.raises(UnsafeTableError, match="not JSON"):
        verify_log(root, NAME)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("00000000000000000009.checkpoint.0000000001.0000000002.parquet", "several parts"),
        (
            "00000000000000000009.checkpoint.3a0d65cd-4056-49b8-937b-95f9e3ee90e5.parquet",
            "a v2 checkpoint",
        ),
        ("00000000000000000001.00000000000000000002.compacted.json", "compacted entries"),
        ("notes.txt", "belongs to no log"),
    ],
)
def test_a_log_file_of_another_kind_is_refused(root, name, said):
    (root / NAME / "_delta_log" / name).write_text("{}")
    with pytest.raises(UnsafeTableError, match=said):
        verify_log(root, NAME)


def test_commits_that_wait_in_the_log_are_refused(root):
    (root / NAME / "_delta_log" / "_staged_commits").mkdir()
    verify_log(root, NAME)
    (root / NAME / "_delta_log" / "_staged_commits" / "x.json").write_text("{}")
    with pytest.raises(UnsafeTableError, match="waiting"):
        verify_log(root, NAME)


def test_a_gap_in_the_log_is_refused(root):
    entry(root, 1).unlink()
    with pytest.raises(UnsafeTableError, match="gap"):
        verify_log(root, NAME)


def test_a_hostile_path_in_a_checkpoint_is_refused(root):
    tables.checkpoint(root, NAME)
    file = next((root / NAME / "_delta_log").glob("*.checkpoint.parquet"))
    rows = pq.read_table(file).to_pylist(maps_as_pydicts="lossy")
    schema = pq.read_schema(file)
    for row in rows:
        if row["add"]:
            row["add"]["path"] = "../../" + row["add"]["path"]
    for row in rows:
        for body in row.values():
            for key, value in list((body or {}).items()):
                if isinstance(value, dict) and key in {"partitionValues", "tags", "configuration"}:
                    body[key] = list(value.items())
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), file)
    with pytest.raises(UnsafeTableError, match="no plain path"):
        verify_log(root, NAME)


def test_a_checkpoint_with_text_that_is_not_utf8_is_refused(root):
    tables.checkpoint(root, NAME)
    file = next((root / NAME / "_delta_log").glob("*.checkpoint.parquet"))
    file.write_bytes(file.read_bytes().replace(b"part-", b"\xff" * 5))
    with pytest.raises(UnsafeTableError, match="cannot be read"):
        tables.read(root, NAME)


def test_a_checkpoint_that_is_not_parquet_is_refused(root):
    tables.checkpoint(root, NAME)
    file = next((root / NAME / "_delta_log").glob("*.checkpoint.parquet"))
    file.write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(UnsafeTableError, match="cannot be read"):
        verify_log(root, NAME)


def test_checksums_beside_the_log_name_no_foreign_file(root):
    beside = root / NAME / "_delta_log" / f"{2:020d}.crc"
    beside.write_text(json.dumps({"allFiles": [a_file("part-x.parquet")["add"]]}))
    verify_log(root, NAME)
    beside.write_text(json.dumps({"allFiles": [a_file("/etc/passwd")["add"]]}))
    with pytest.raises(UnsafeTableError, match="no plain path"):
        verify_log(root, NAME)


@pytest.mark.parametrize("name", ["../x", "a/b/c", "", "/etc", "a\n", ".git", "splits/../x"])
def test_a_name_that_is_no_tables_is_refused(root, name):
    with pytest.raises(InvalidInputError, match="cannot name a table"):
        tables.read(root, name)


def test_a_table_that_is_not_there_is_not_found(root):
    with pytest.raises(TableNotFoundError, match="'splits/other'"):
        tables.read(root, "splits/other")


def test_the_lab_and_delta_rs_see_the_same_files(root):
    seen = {uri.rsplit("/", 1)[-1] for uri in DeltaTable(root / NAME).file_uris()}
    assert {one.path for one in snapshot(root, NAME).files} == seen
    tables.checkpoint(root, NAME)
    tables.append(root, SPLITS, pa.table({"sample": ["later"]}))
    seen = {uri.rsplit("/", 1)[-1] for uri in DeltaTable(root / NAME).file_uris()}
    assert {one.path for one in snapshot(root, NAME).files} == seen
