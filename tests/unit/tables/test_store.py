"""What is written comes back, in order, in files that are what the data model says."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from registry import tables
from registry.errors import ConflictError, InvalidInputError, UnavailableError
from registry.tables import chips as chips_module
from registry.tables import store
from registry.tables.errors import DuplicateKeyError, SchemaMismatchError, UnsafeTableError
from registry.tables.log import snapshot
from registry.tables.schemas import (
    ASSETS,
    FINDINGS,
    PIXELS,
    SAMPLES,
    SPLITS,
    TableSchema,
    features_schema,
    reports_schema,
    splits_schema,
)

KINDS = {
    "s": (pa.string(), ["ä", "", None]),
    "b": (pa.binary(), [b"\0\xff", b"", None]),
    "l": (pa.int64(), [-(2**63), 2**63 - 1, None]),
    "i": (pa.int32(), [-1, 0, None]),
    "h": (pa.int16(), [-1, 0, None]),
    "y": (pa.int8(), [-1, 0, None]),
    "d": (pa.float64(), [0.1, -0.0, None]),
    "f": (pa.float32(), [0.5, float("inf"), None]),
    "t": (pa.bool_(), [True, False, None]),
    "ts": (pa.timestamp("us", "UTC"), [0, 1_500_000_000_123_456, None]),
    "day": (pa.date32(), [0, 19_000, None]),
    "ls": (pa.list_(pa.string()), [["a", None], [], None]),
    "st": (pa.struct([("x", pa.float64()), ("y", pa.string())]), [{"x": 1.0, "y": None}, {}, None]),
    "ll": (pa.list_(pa.list_(pa.int32())), [[[1], []], [], None]),
    "lst": (pa.list_(pa.struct([("x", pa.int32())])), [[{"x": 1}, None], [], None]),
}


def wide():
    return features_schema("wide", [pa.field(name, kind) for name, (kind, _) in KINDS.items()])


def wide_rows():
    columns = {name: pa.array(values, kind) for name, (kind, values) in KINDS.items()}
    return pa.table({"sample": ["a", "b", "c"], **columns})


def test_rows_of_every_type_come_back_as_they_were(tmp_path):
    tables.append(tmp_path, wide(), wide_rows())
    assert tables.read(tmp_path, "features/wide").to_pylist() == wide_rows().to_pylist()
    streamed = tables.scan(tmp_path, "features/wide").read_all()
    assert streamed.to_pylist() == wide_rows().to_pylist()


@pytest.mark.parametrize(
    "kind",
    [
        pa.uint8(),
        pa.uint64(),
        pa.timestamp("us"),
        pa.timestamp("ns", "UTC"),
        pa.null(),
        pa.large_string(),
        pa.binary(4),
        pa.decimal128(9, 2),
        pa.time64("us"),
        pa.map_(pa.string(), pa.string()),
    ],
)
def test_a_type_that_delta_cannot_hold_is_refused_by_name(tmp_path, kind):
    with pytest.raises(SchemaMismatchError, match=r"column 'x' is .* cannot hold"):
        tables.create(tmp_path, features_schema("odd", [pa.field("x", kind)]))


def test_a_table_says_what_its_columns_mean(root):
    schema = tables.schema_of(root, "samples")
    assert schema.arrow.field("bbox").metadata[b"unit"] == b"degree"
    geometry = tables.read(root, "samples", columns=["geometry"]).schema.field("geometry")
    assert geometry.metadata[b"ARROW:extension:name"] == b"geoarrow.wkb"
    assert b"OGC:CRS84" in geometry.metadata[b"ARROW:extension:metadata"]
    assert schema.key == ("id",)
    assert schema.derived == ("bbox", "hilbert")


def test_a_split_remembers_how_it_was_made(tmp_path):
    made = splits_schema("fair", [("method", "blocks"), ("seed", "7")])
    tables.append(tmp_path, made, pa.table({"sample": ["a"], "subset": ["train"]}))
    assert dict(tables.schema_of(tmp_path, "splits/fair").properties) == {
        "method": "blocks",
        "seed": "7",
    }


def test_tables_are_listed_with_their_folders(root):
    tables.create(root, SPLITS)
    tables.create(root, reports_schema("quality"))
    assert tables.names(root) == [
        "annotations",
        "assets",
        "pixels",
        "reports/quality",
        "samples",
        "splits/default",
    ]
    assert tables.exists(root, "splits/default")
    assert not tables.exists(root, "splits/other")
    with pytest.raises(ConflictError):
        tables.create(root, SPLITS)


def test_an_empty_table_reads_as_its_schema(tmp_path):
    tables.create(tmp_path, FINDINGS)
    assert tables.read(tmp_path, "reports/quality").schema.names == FINDINGS.arrow.names
    assert tables.count(tmp_path, "reports/quality") == 0
    assert tables.scan(tmp_path, "reports/quality").read_all().num_rows == 0


def test_columns_come_in_the_order_asked_for_and_filters_choose_rows(root):
    rows = tables.read(
        root, "samples", columns=["label", "id"], filter=pc.field("id") == "Forest_3"
    )
    assert rows.to_pylist() == [{"label": ["Forest"], "id": "Forest_3"}]


def test_a_misspelt_column_is_refused_with_the_near_ones(root):
    with pytest.raises(SchemaMismatchError, match=r"no column 'labl'[^$]*did you mean label\?"):
        tables.read(root, "samples", columns=["labl"])
    with pytest.raises(SchemaMismatchError, match="cannot be filtered"):
        tables.read(root, "samples", filter=pc.field("labl") == "x")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ({"sample": ["a"], "subst": ["x"]}, "no column 'subst'"),
        ({"sample": [None]}, "must not be null"),
        ({"subset": ["train"]}, "must not be null"),
        ({"sample": ["a"], "fold": ["1"]}, "is int32, not string"),
        ({"sample": ["a"], "fold": [2**40]}, "is int32, not int64"),
        ({"sample": [1]}, "is string, not int64"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_nothing_is_written(tmp_path, rows, problem):
    tables.create(tmp_path, SPLITS)
    with pytest.raises(SchemaMismatchError, match=problem):
        tables.append(tmp_path, SPLITS, pa.table(rows))
    assert tables.count(tmp_path, "splits/default") == 0
    assert not list((tmp_path / "splits" / "default").glob("*part-*"))


def test_a_key_never_comes_twice(tmp_path):
    tables.append(tmp_path, SPLITS, pa.table({"sample": ["a", "c"]}))
    with pytest.raises(DuplicateKeyError, match="'b'"):
        tables.append(tmp_path, SPLITS, pa.table({"sample": ["b", "b"]}))
    with pytest.raises(DuplicateKeyError, match="'c'"):
        tables.append(tmp_path, SPLITS, pa.table({"sample": ["b", "c"]}))
    assert tables.read(tmp_path, "splits/default")["sample"].to_pylist() == ["a", "c"]
    assert len(list((tmp_path / "splits" / "default").glob("part-*"))) == 1


def test_an_error_in_the_middle_of_a_stream_leaves_no_trace(tmp_path):
    tables.append(tmp_path, SPLITS, pa.table({"sample": ["a"]}))

    def stream():
        yield pa.record_batch({"sample": [f"s{n}" for n in range(9000)]})
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tables.append(tmp_path, SPLITS, stream())
    assert tables.count(tmp_path, "splits/default") == 1
    assert len(list((tmp_path / "splits" / "default").iterdir())) == 2


def test_overwriting_replaces_every_row(tmp_path):
    tables.append(tmp_path, SPLITS, pa.table({"sample": ["a", "b"]}))
    assert tables.overwrite(tmp_path, SPLITS, pa.table({"sample": ["b", "c"]})) == 2
    assert tables.read(tmp_path, "splits/default")["sample"].to_pylist() == ["b", "c"]
    assert tables.overwrite(tmp_path, SPLITS, pa.table({"sample": ["b", "c"]})) == 2
    assert tables.count(tmp_path, "splits/default") == 2


def test_overwriting_leaves_no_file_of_what_was_there(tmp_path):
    tables.append(tmp_path, SPLITS, pa.table({"sample": ["a"]}))
    tables.overwrite(tmp_path, SPLITS, pa.table({"sample": ["b"]}))
    there = set((tmp_path / "splits" / "default").glob("*.parquet"))
    assert there == set(tables.files(tmp_path, "splits/default"))


def test_an_append_that_fails_leaves_neither_file_nor_index(root, monkeypatch):
    before = set((root / "pixels").rglob("*"))
    fresh = tables.encode(np.full((1, 2, 2), 7, np.uint8))
    row = {"sha256": [fresh.sha256], "codec": [fresh.codec], "data": [fresh.data]}

    def refuse(*_: object) -> None:
        raise ConflictError("somebody came first", hint="retry")

    monkeypatch.setattr("registry.tables.store.append_entry", refuse)
    with pytest.raises(ConflictError):
        tables.append(root, PIXELS, pa.table(row, schema=PIXELS.arrow))
    assert set((root / "pixels").rglob("*")) == before


@pytest.mark.parametrize(
    ("given", "column"),
    [([[1, 2]], "label"), ([["a"]], "times"), ([[1.5]], "label")],
)
def test_elements_of_lists_are_not_turned_into_something_else(tmp_path, given, column):
    schema, key = (
        (SAMPLES, {"id": ["a"]})
        if column == "label"
        else (ASSETS, {"sample": ["a"], "asset": ["b"]})
    )
    with pytest.raises(SchemaMismatchError, match=column):
        tables.append(tmp_path, schema, pa.table({**key, column: given}))


def test_text_may_come_as_a_dictionary(tmp_path):
    words = pa.array(["train", "test", "train"]).dictionary_encode()
    tables.append(tmp_path, SPLITS, pa.table({"sample": ["a", "b", "c"], "subset": words}))
    read = tables.read(tmp_path, "splits/default")["subset"].to_pylist()
    assert read == ["train", "test", "train"]


def test_equal_rows_are_equal_bytes_however_they_come(tmp_path):
    rows = pa.table({"sample": [f"s{n:06}" for n in range(30_000)], "fold": range(30_000)})
    for name, size in (("one", 30_000), ("two", 777)):
        batches = rows.to_batches(max_chunksize=size)
        tables.append(tmp_path / name, SPLITS, iter(batches))
    files = [tables.files(tmp_path / name, "splits/default") for name in ("one", "two")]
    assert [f.name for f in files[0]] == [f.name for f in files[1]]
    logs = [f.parent / "_delta_log" / f"{1:020d}.json" for f, *_ in files]
    assert logs[0].read_bytes() == logs[1].read_bytes()


def test_pixels_lie_plain_uncompressed_and_without_statistics(root):
    (file,) = tables.files(root, "pixels")
    column = pq.read_metadata(file).row_group(0).column(2)
    assert column.compression == "UNCOMPRESSED"
    assert "PLAIN" in column.encodings
    assert not column.has_dictionary_page
    assert not column.is_stats_set


def test_row_groups_of_pixels_are_cut_by_their_bytes(tmp_path):
    noise = np.random.default_rng(0)
    made = [tables.encode(noise.integers(0, 2**16, (1, 1024, 2048), np.uint16)) for _ in range(16)]
    tables.append(tmp_path, PIXELS, pixel_rows(made))
    metadata = pq.read_metadata(tables.files(tmp_path, "pixels")[0])
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    assert sum(group.num_rows for group in groups) == 16
    assert all(16 * 2**20 < group.total_byte_size < 32 * 2**20 for group in groups[:-1])


def test_small_columns_have_bounds_and_times_and_geometries_none(root):
    (file,) = snapshot(root, "samples").files
    assert file.stats["minValues"]["id"] == "Forest_0"
    assert file.stats["maxValues"]["id"] == "Forest_5"
    assert "geometry" not in file.stats["minValues"]
    assert "datetime" not in file.stats["minValues"]


def test_equal_arrays_are_stored_once(root, chips):
    assert tables.append(root, PIXELS, pixel_rows([*chips, chips[0]])) == 0
    other = tables.encode(np.ones((1, 1, 1), np.uint8))
    assert tables.append(root, PIXELS, pixel_rows([other, other, chips[1]])) == 1
    assert tables.count(root, "pixels") == 7


def test_a_new_nullable_column_joins_the_table(tmp_path):
    tables.append(tmp_path, SPLITS, pa.table({"sample": ["a"]}))
    wider = SPLITS.with_columns([pa.field("weight", pa.float64())])
    tables.append(tmp_path, wider, pa.table({"sample": ["b"], "weight": [0.5]}))
    tables.append(tmp_path, SPLITS, pa.table({"sample": ["c"]}))
    rows = tables.read(tmp_path, "splits/default", columns=["sample", "weight"]).to_pylist()
    assert [row["weight"] for row in rows] == [None, 0.5, None]
    assert tables.scan(tmp_path, "splits/default").read_all().num_rows == 3


def test_a_new_field_of_the_properties_joins_the_table(root, schema):
    kind = pa.struct([("eo:cloud_cover", pa.float64()), ("gsd", pa.int32())])
    later = tables.samples_schema(kind)
    rows = pa.table({"id": ["x"], "properties": pa.array([{"gsd": 10}], kind)})
    tables.append(root, later, rows)
    found = tables.read(root, "samples", columns=["id", "properties"]).to_pylist()
    assert found[0]["properties"] == {"eo:cloud_cover": 0.0, "orbit": "up", "gsd": None}
    assert found[-1]["properties"] == {"eo:cloud_cover": None, "orbit": None, "gsd": 10}
    assert tables.scan(root, "samples", ["properties"]).read_all().num_rows == 7


def test_a_column_that_changes_its_type_is_refused(tmp_path):
    one = features_schema("f", [pa.field("x", pa.float64())])
    two = features_schema("f", [pa.field("x", pa.string())])
    tables.append(tmp_path, one, pa.table({"sample": ["a"], "x": [1.0]}))
    with pytest.raises(SchemaMismatchError, match="double on one side and string on the other"):
        tables.append(tmp_path, two, pa.table({"sample": ["b"], "x": ["1"]}))


def test_rows_come_back_in_the_order_of_files_after_many_appends(tmp_path):
    for n in range(40):
        tables.append(tmp_path, SPLITS, pa.table({"sample": [f"s{(n * 17) % 40:02}"]}))
    found = tables.read(tmp_path, "splits/default")["sample"].to_pylist()
    assert found == [f"s{(n * 17) % 40:02}" for n in range(40)]
    assert len(list((tmp_path / "splits" / "default" / "_delta_log").iterdir())) < 40


def test_a_cut_log_says_the_same(root):
    before = tables.read(root, "samples")
    tables.checkpoint(root, "samples")
    tables.checkpoint(root, "samples")
    assert tables.read(root, "samples").equals(before)
    log = sorted(path.name for path in (root / "samples" / "_delta_log").iterdir())
    assert len([name for name in log if name.endswith(".checkpoint.parquet")]) == 1
    assert len([name for name in log if name.endswith(".json")]) == 1


def test_an_unknown_table_keeps_its_key(tmp_path):
    schema = TableSchema(
        name="notes", arrow=pa.schema([pa.field("n", pa.int64(), nullable=False)]), key=("n",)
    )
    tables.append(tmp_path, schema, pa.table({"n": [1]}))
    assert tables.schema_of(tmp_path, "notes").key == ("n",)


def test_a_schema_that_speaks_of_absent_columns_is_refused():
    with pytest.raises(InvalidInputError, match="does not have"):
        TableSchema(name="x", arrow=pa.schema([("a", pa.int64())]), key=("b",))


def test_a_damaged_data_file_is_reported_as_such(root):
    (file,) = tables.files(root, "samples")
    raw = bytearray(file.read_bytes())
    raw[-20:] = bytes(20)
    file.write_bytes(raw)
    with pytest.raises(UnsafeTableError, match="cannot be read"):
        tables.scan(root, "samples").read_all()
    with pytest.raises(UnsafeTableError, match="cannot be read"):
        tables.read(root, "samples")


def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    tables.create(tmp_path, SPLITS)
    monkeypatch.setattr("registry.tables.writing.tempfile.mkstemp", full)
    with pytest.raises(UnavailableError, match="No space left"):
        tables.append(tmp_path, SPLITS, pa.table({"sample": ["a"]}))


def test_a_chip_is_found_by_its_digest(root, chips):
    index = tables.ChipIndex.open(root)
    assert len(index) == 6
    assert chips[2].sha256 in index
    assert bytes(32) not in index
    assert tables.read_chip(root, chips[3].sha256) == chips[3].data
    asked = [chips[5].sha256, chips[0].sha256, chips[5].sha256]
    assert [chip.data for chip in tables.read_chips(root, asked)] == [
        chips[5].data,
        chips[0].data,
        chips[5].data,
    ]
    np.testing.assert_array_equal(
        tables.load(root, "Forest_4", "s2"), np.full((2, 4, 4), 4, np.uint16)
    )


def test_a_chip_that_is_not_there_is_not_found(root):
    with pytest.raises(chips_module.ChipNotFoundError, match="00000000"):
        tables.read_chip(root, bytes(32))
    with pytest.raises(chips_module.ChipNotFoundError, match="'s1'"):
        tables.load(root, "Forest_4", "s1")


@pytest.mark.parametrize("damage", ["gone", "empty", "nonsense", "far"])
def test_an_index_that_is_lost_or_damaged_is_made_again(root, chips, damage):
    (file,) = (root / "pixels" / "_index").iterdir()
    chips_module.entries_of.cache_clear()
    if damage == "gone":
        file.unlink()
    elif damage == "far":
        entries = np.load(file)
        entries["offset"] += 2**40
        np.save(file, entries)
    else:
        file.write_bytes(b"" if damage == "empty" else b"\x93NUMPY nonsense")
    assert tables.read_chip(root, chips[3].sha256) == chips[3].data


def test_chips_in_compressed_files_are_read_through_parquet(root, chips):
    (file,) = tables.files(root, "pixels")
    found = snapshot(root, "pixels")
    table = pq.read_table(file)
    other = root / "pixels" / "part-other.parquet"
    pq.write_table(table, other, compression="zstd")
    part = chips_module.DataFile(path=other.name, size=other.stat().st_size)
    index = chips_module.ChipIndex(files=((other, chips_module.entries_of(found.folder, part)),))
    assert [c.data for c in index.read([chips[1].sha256])] == [chips[1].data]


def test_the_log_is_cut_now_and_then():
    assert store.LOG_ENTRIES == 32


def pixel_rows(chips):
    columns = ("sha256", "codec", "data")
    return pa.table({name: [getattr(chip, name) for chip in chips] for name in columns})
