"""Whoever wrote a side's files, its merge is right, or it is refused before anything is written."""

import importlib
import json
import os
from pathlib import Path
from shutil import copytree

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from deltalake import CommitProperties, DeltaTable, Field, TableFeatures, write_deltalake
from deltalake.schema import PrimitiveType

from registry import tables
from registry.errors import RegistryError
from registry.tables import edit, merge
from registry.tables.errors import DuplicateKeyError, SchemaMismatchError, UnsafeTableError
from registry.tables.schemas import ANNOTATIONS, SPLITS

NAME = "splits/default"
PLAIN = pa.schema([("sample", pa.string()), ("subset", pa.string()), ("fold", pa.int32())])
START = dict.fromkeys("abcdef", ("train", None))


@pytest.fixture
def sides(tmp_path):
    """Three folders of one split of six samples in two data files."""
    base, ours, theirs = (tmp_path / side for side in ("base", "ours", "theirs"))
    for names in ("abc", "def"):
        tables.append(base, SPLITS, pa.table({"sample": list(names), "subset": ["train"] * 3}))
    for side in (ours, theirs):
        copytree(base, side, copy_function=os.link)
    return base, ours, theirs


def merged(sides, name=NAME, **how):
    base, ours, theirs = sides
    return merge.merge_table(base, ours, theirs, into=ours, name=name, **how)


def table(root, name=NAME):
    return DeltaTable(root / name)


def rows(*said):
    return pa.Table.from_pylist(
        [dict(zip(PLAIN.names, row, strict=True)) for row in said], schema=PLAIN
    )


def append(root):
    write_deltalake(table(root), rows(("x", "test", 1)), mode="append")
    return {"x": ("test", 1)}


def delete(root):
    table(root).delete("sample = 'e'")
    return {"e": None}


def update(root):
    table(root).update(updates={"subset": "'test'"}, predicate="sample in ('b', 'f')")
    return {"b": ("test", None), "f": ("test", None)}


def upsert(root):
    source = rows(("c", "test", 2), ("y", "validate", 3))
    (
        table(root)
        .merge(source, "s.sample = t.sample", source_alias="s", target_alias="t")
        .when_matched_update_all()
        .when_not_matched_insert_all()
        .execute()
    )
    return {"c": ("test", 2), "y": ("validate", 3)}


def compact(root):
    append(root)
    table(root).optimize.compact()
    table(root).vacuum(0, enforce_retention_duration=False, dry_run=False)
    return {"x": ("test", 1)}


def z_order(root):
    table(root).optimize.z_order(["subset"])
    return {}


def overwrite(root):
    kept = [row for row in table(root).to_pyarrow_table().to_pylist() if row["sample"] != "d"]
    write_deltalake(table(root), pa.Table.from_pylist(kept, schema=PLAIN), mode="overwrite")
    return {"d": None}


def checkpoint(root):
    changed = update(root)
    table(root).create_checkpoint()
    return changed


def clean_log(root):
    changed = update(root)
    properties = CommitProperties(custom_metadata={"by": "another program"})
    table(root).delete("sample = 'd'", commit_properties=properties)
    table(root).create_checkpoint()
    for path in sorted((root / NAME / "_delta_log").glob("*.json"))[:-1]:
        path.unlink()
    return changed | {"d": None}


def rename_files(root):
    """Give every data file another name, as a tool that copies tables may."""
    changed = append(root)
    for number, path in enumerate(sorted((root / NAME).glob("*.parquet"))):
        path.rename(path.with_name(f"copy-{number}.parquet"))
        for entry in (root / NAME / "_delta_log").glob("*.json"):
            text = entry.read_text().replace(path.name, f"copy-{number}.parquet")
            entry.unlink()
            entry.write_text(text)
    return changed


def write_by_hand(root):
    """Write a Parquet file and the log entry that adds it, with nothing but Arrow."""
    folder = root / NAME
    pq.write_table(rows(("z", "test", 7)), folder / "mine.parquet", compression="gzip")
    size = (folder / "mine.parquet").stat().st_size
    add = {"path": "mine.parquet", "partitionValues": {}, "size": size, "dataChange": True}
    add["modificationTime"] = 0
    newest = max(int(path.stem) for path in (folder / "_delta_log").glob("*.json"))
    entry = folder / "_delta_log" / f"{newest + 1:020d}.json"
    entry.write_text(json.dumps({"add": add}) + "\n")
    return {"z": ("test", 7)}


WRITERS = [
    append, delete, update, upsert, compact, z_order, overwrite, checkpoint, clean_log,
    rename_files, write_by_hand,
]  # fmt: skip


def edit_by_the_lab(root):
    edit.update(root, NAME, set={"fold": "9"}, where="sample in ('a', 'b')")
    tables.append(root, SPLITS, pa.table({"sample": ["o"], "subset": ["test"]}))
    return {"a": ("train", 9), "b": ("train", 9), "o": ("test", None)}


def by_the_lab(root, name=NAME):
    return tables.read(root, name).to_pylist()


def by_delta_rs(root, name=NAME):
    return table(root, name).to_pyarrow_table().to_pylist()


def by_duckdb(root, name=NAME):
    with duckdb.connect(":memory:") as engine:
        module = importlib.import_module("duckdb_extension_delta")
        folder = Path(module.__file__).parent / "extensions" / f"v{duckdb.__version__}"
        engine.execute(f"load '{folder / 'delta'}.duckdb_extension'")
        return engine.sql(f"from delta_scan('{root / name}')").to_arrow_table().to_pylist()


def states(listed):
    found = {row["sample"]: (row["subset"], row["fold"]) for row in listed}
    assert len(found) == len(listed)
    return found


def files(root):
    """Return what lies in a folder: name, size and inode of every file."""
    return {
        (path.relative_to(root).as_posix(), path.stat().st_size, path.stat().st_ino)
        for path in root.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("back", [False, True], ids=["into ours", "into theirs"])
@pytest.mark.parametrize("writer", WRITERS)
def test_what_another_program_wrote_merges_with_what_the_lab_wrote(sides, writer, back):
    base, ours, theirs = sides
    changes = [edit_by_the_lab(ours), writer(theirs)]
    order = (base, theirs, ours) if back else (base, ours, theirs)
    mixed = "b" in changes[1]  # both changed this row's coupled columns
    done = merged(order, prefer="theirs")
    assert done.resolved["sample"].to_pylist() == (["b"] if mixed else [])
    last = changes if not back else changes[::-1]
    expected = START | last[0] | last[1]
    expected = {sample: row for sample, row in expected.items() if row is not None}
    assert states(by_the_lab(order[1])) == expected
    assert states(by_delta_rs(order[1])) == expected
    assert states(by_duckdb(order[1])) == expected


@pytest.mark.parametrize("mine", [append, update, compact, checkpoint])
@pytest.mark.parametrize("writer", [upsert, delete, clean_log])
def test_two_other_programs_merge_with_each_other(sides, mine, writer):
    changes = [mine(sides[1]), writer(sides[2])]
    done = merged(sides, prefer="ours")
    assert done.conflicts.num_rows == 0
    expected = {s: row for s, row in (START | changes[1] | changes[0]).items() if row is not None}
    assert states(by_the_lab(sides[1])) == states(by_duckdb(sides[1])) == expected


def add_column(root, name="note", kind=None):
    kind = kind or PrimitiveType("string")
    table(root).alter.add_columns([Field(name, kind)])
    value = "'seen'" if kind == PrimitiveType("string") else "7"
    table(root).update(updates={name: value}, predicate="sample = 'd'")


def test_a_column_that_another_program_added_comes_with_its_values(sides):
    edit_by_the_lab(sides[1])
    add_column(sides[2])
    merged(sides)
    found = {row["sample"]: row for row in by_delta_rs(sides[1])}
    assert {row["sample"] for row in found.values() if row["note"] == "seen"} == {"d"}
    assert found["a"]["fold"] == 9
    assert len(found) == len(by_the_lab(sides[1])) == len(by_duckdb(sides[1]))
    assert all(found[row["sample"]] == row for row in by_the_lab(sides[1]))


def test_one_column_that_both_sides_added_is_one(sides):
    add_column(sides[1])
    add_column(sides[2])
    table(sides[2]).update(updates={"note": "'theirs'"}, predicate="sample = 'a'")
    assert merged(sides).conflicts.num_rows == 0
    assert {row["sample"]: row["note"] for row in by_the_lab(sides[1]) if row["note"]} == {
        "a": "theirs",
        "d": "seen",
    }


def test_one_column_of_two_types_is_refused_before_anything_is_written(sides):
    add_column(sides[1])
    add_column(sides[2], kind=PrimitiveType("long"))
    before = files(sides[1])
    with pytest.raises(SchemaMismatchError, match="string on one side and int64 on the other"):
        merged(sides)
    assert files(sides[1]) == before


def doubled(root):
    write_deltalake(table(root), rows(("a", "test", 1)), mode="append")


def keyless(root):
    """Append a row without a key; engines refuse that unless the schema lets it be null."""
    log = root / NAME / "_delta_log"
    for entry in log.glob("*.json"):
        text = entry.read_text()
        entry.unlink()
        was = '\\"name\\":\\"sample\\",\\"type\\":\\"string\\",\\"nullable\\":false'
        entry.write_text(text.replace(was, was.replace("false", "true")))
    write_deltalake(table(root), rows((None, "test", 1)), mode="append")


@pytest.mark.parametrize("wrong", [doubled, keyless])
@pytest.mark.parametrize("side", [1, 2], ids=["ours", "theirs"])
@pytest.mark.parametrize("other", [append, edit_by_the_lab, update, compact])
def test_a_key_that_is_there_twice_or_missing_is_refused(sides, wrong, side, other):
    wrong(sides[side])
    other(sides[3 - side])
    before = files(sides[1])
    with pytest.raises(DuplicateKeyError, match=r"two rows of sample 'a'|row with no sample"):
        merged(sides)
    assert files(sides[1]) == before


def constraint(root):
    table(root).alter.add_constraint({"positive": "fold is null or fold >= 0"})


def change_feed(root):
    table(root).alter.set_table_properties({"delta.enableChangeDataFeed": "true"})


def feature(name):
    def add(root):
        table(root).alter.add_feature(name, allow_protocol_versions_increase=True)

    add.__name__ = str(name).rpartition(".")[2]
    return add


def generated(root):
    add_to_log(root, {"delta.generationExpression": "length(sample)"})


def identity(root):
    add_to_log(root, {"delta.identity.start": 1, "delta.identity.step": 1})


def mapping(root):
    add_to_log(root, {"delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "x"})


def add_to_log(root, said):
    """State a column's feature, as Spark does."""
    log = root / NAME / "_delta_log"
    first = json.loads(next(log.glob("*0.json")).read_text().splitlines()[1])
    schema = json.loads(first["metaData"]["schemaString"])
    schema["fields"].append({"name": "n", "type": "long", "nullable": True, "metadata": said})
    first["metaData"]["schemaString"] = json.dumps(schema)
    newest = max(int(path.stem) for path in log.glob("*.json"))
    (log / f"{newest + 1:020d}.json").write_text(json.dumps(first) + "\n")


FEATURES = [
    (constraint, "checkConstraints|writer version 3"),
    (change_feed, "changeDataFeed|writer version 4"),
    (feature(TableFeatures.DeletionVectors), "deletionVectors"),
    (feature(TableFeatures.TimestampWithoutTimezone), "timestampNtz"),
    (feature(TableFeatures.V2Checkpoint), "v2Checkpoint"),
    (feature(TableFeatures.RowTracking), "rowTracking"),
    (generated, "generationExpression"),
    (identity, "identity"),
    (mapping, "columnMapping"),
]


@pytest.mark.parametrize(("add", "said"), FEATURES)
@pytest.mark.parametrize("side", [1, 2], ids=["ours", "theirs"])
def test_a_feature_that_the_lab_does_not_know_is_named_and_refused(sides, add, said, side):
    edit_by_the_lab(sides[3 - side])
    add(sides[side])
    before = files(sides[1])
    with pytest.raises(UnsafeTableError, match=said):
        merged(sides)
    assert files(sides[1]) == before


def test_computed_columns_that_another_program_left_stale_are_computed_anew(sides, tmp_path):
    small, large = (shapely.box(0, 0, n, n) for n in (1, 3))
    start = {"id": ["a", "b"], "sample": ["s", "s"], "geometry": [small.wkb] * 2}
    tables.append(sides[0], ANNOTATIONS, pa.table(start))
    for side in sides[1:]:
        copytree(sides[0] / "annotations", side / "annotations")
    edit.update(sides[1], "annotations", set={"score": "0.5"}, where="id = 'a'")
    theirs = table(sides[2], "annotations")
    bent = f"decode('{large.wkb.hex()}', 'hex')"
    theirs.update(updates={"geometry": bent}, predicate="id = 'a'")
    plain = pa.schema([
        pa.field(f.name, f.type) for f in tables.read(sides[0], "annotations").schema
    ])
    new = {"id": "c", "sample": "s", "geometry": large.wkb, "area": 77.0}
    write_deltalake(theirs, pa.Table.from_pylist([new], schema=plain), mode="append")
    merged(sides, "annotations")
    found = {row["id"]: row for row in by_the_lab(sides[1], "annotations")}
    assert {name: row["area"] for name, row in found.items()} == {"a": 9.0, "b": 1.0, "c": 9.0}
    assert found["a"]["score"] == 0.5


def test_a_damaged_data_file_is_refused_and_ours_stay(sides):
    edit_by_the_lab(sides[1])
    update(sides[2])
    for path in (sides[2] / NAME).glob("part-0*.parquet"):
        path.write_bytes(os.urandom(path.stat().st_size))
    before = files(sides[1])
    with pytest.raises(RegistryError):
        merged(sides)
    assert files(sides[1]) == before
