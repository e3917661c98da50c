"""Two people's work on one table comes together, or the table says where it cannot."""

import json
import os
from pathlib import Path
from shutil import copytree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely
from deltalake import DeltaTable, write_deltalake

from registry import tables
from registry.errors import ConflictError, InvalidInputError, RejectedError
from registry.tables import edit, merge, references
from registry.tables.commit import Change, append_entry
from registry.tables.compact import compact
from registry.tables.diff import diff
from registry.tables.errors import DuplicateKeyError, SchemaMismatchError
from registry.tables.log import snapshot
from registry.tables.schemas import PIXELS, SPLITS, features_schema, splits_schema


@pytest.fixture
def sides(root, tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for side in (ours, theirs):
        copytree(root, side, copy_function=os.link)
    return root, ours, theirs


def merged(sides, name="samples", **how):
    base, ours, theirs = sides
    return merge.merge_table(base, ours, theirs, into=ours, name=name, **how)


def set_label(root, number, label, **more):
    cells = {"label": f"['{label}']"} | more
    edit.update(root, "samples", set=cells, where=f"id = 'Forest_{number}'")


def labels(root):
    rows = tables.read(root, "samples", columns=["id", "label"]).to_pylist()
    return {row["id"]: row["label"] for row in rows}


def files_read(monkeypatch):
    """Names of the data files that are opened from now on."""
    seen = set()
    for module in ("rows", "rewritten"):
        real = __import__(f"registry.tables.{module}", fromlist=["pq"]).pq.ParquetFile

        def opened(path, *args, real=real, **kwargs):
            seen.add(Path(path).name)
            return real(path, *args, **kwargs)

        monkeypatch.setattr(f"registry.tables.{module}.pq.ParquetFile", opened)
    return seen


def test_a_diff_names_rows_and_columns(sides):
    base, ours, _ = sides
    set_label(ours, 1, "River", **{"properties.orbit": "'down'"})
    edit.delete(ours, "samples", where="id = 'Forest_2'")
    edit.upsert(ours, tables.schema_of(ours, "samples"), pa.table({"id": ["new"]}))
    rows = {row["id"]: row for row in diff(base, ours, "samples").to_pylist()}
    assert set(rows) == {"Forest_1", "Forest_2", "new"}
    assert rows["Forest_1"]["change"] == "updated"
    assert rows["Forest_1"]["columns"] == ["label", "properties.orbit"]
    assert rows["Forest_1"]["before"]["label"] == ["Forest"]
    assert rows["Forest_1"]["after"]["label"] == ["River"]
    assert rows["Forest_2"]["change"] == "deleted"
    assert rows["Forest_2"]["after"] is None
    assert rows["new"]["change"] == "inserted"
    assert rows["new"]["before"] is None


def test_a_diff_backwards_is_the_diff_turned_round(sides):
    base, ours, _ = sides
    set_label(ours, 1, "River")
    edit.delete(ours, "samples", where="id = 'Forest_2'")
    there, back = (diff(*pair, "samples").to_pylist() for pair in ((base, ours), (ours, base)))
    assert [row["before"] for row in there] == [row["after"] for row in back]
    assert [row["change"] for row in back] == ["updated", "inserted"]


def test_a_table_that_one_side_lacks_counts_as_empty(sides, tmp_path):
    base, _, _ = sides
    rows = diff(tmp_path / "nothing", base, "samples").to_pylist()
    assert {row["change"] for row in rows} == {"inserted"}
    rows = diff(base, tmp_path / "nothing", "samples").to_pylist()
    assert {row["change"] for row in rows} == {"deleted"}


def test_files_that_two_versions_share_are_not_read_for_their_diff(tmp_path, monkeypatch):
    base, ours = tmp_path / "base", tmp_path / "ours"
    for n in range(4):
        tables.append(base, SPLITS, pa.table({"sample": [f"s{n}"], "fold": [n]}))
    copytree(base, ours)
    edit.update(ours, "splits/default", set={"fold": "9"}, where="sample = 's2'")
    shared = {one.path for one in snapshot(base, "splits/default").files[:2]}
    seen = files_read(monkeypatch)
    assert diff(base, ours, "splits/default").num_rows == 1
    assert len(seen) == 2
    assert not seen & shared


def test_the_packed_bytes_of_pixels_are_left_out_of_a_diff(sides):
    base, ours, _ = sides
    tables.append(ours, PIXELS, pixel_rows([tables.encode(np.ones((1, 1, 1), np.uint8))]))
    (row,) = diff(base, ours, "pixels").to_pylist()
    assert row["change"] == "inserted"
    assert set(row["after"]) == {"sha256", "codec"}


def test_different_labels_of_different_people_both_stay(sides):
    set_label(sides[1], 1, "River")
    set_label(sides[2], 4, "Lake")
    done = merged(sides)
    assert done.conflicts.num_rows == 0
    assert (done.inserted, done.updated, done.deleted) == (0, 1, 0)
    assert labels(sides[1])["Forest_1"] == ["River"]
    assert labels(sides[1])["Forest_4"] == ["Lake"]


def test_the_same_label_of_two_people_is_no_conflict(sides):
    set_label(sides[1], 1, "River")
    set_label(sides[2], 1, "River")
    assert merged(sides).conflicts.num_rows == 0
    assert labels(sides[1])["Forest_1"] == ["River"]


def test_two_labels_for_one_sample_are_a_conflict_and_nothing_is_written(sides):
    set_label(sides[1], 1, "River")
    set_label(sides[2], 1, "Lake")
    set_label(sides[2], 3, "Lake")
    done = merged(sides)
    (row,) = done.conflicts.to_pylist()
    assert row["id"] == "Forest_1"
    assert row["columns"] == ["label"]
    said = {side: json.loads(row[side])["label"] for side in ("base", "ours", "theirs")}
    assert said == {"base": ["Forest"], "ours": ["River"], "theirs": ["Lake"]}
    assert labels(sides[1])["Forest_3"] == ["Forest"]


@pytest.mark.parametrize(
    ("how", "label"),
    [
        ({"prefer": "ours"}, "River"),
        ({"prefer": "theirs"}, "Lake"),
        ({"decisions": {("Forest_1",): "theirs"}}, "Lake"),
        ({"decisions": {("Forest_1",): "ours"}, "prefer": "theirs"}, "River"),
    ],
)
def test_a_conflict_is_decided_by_side_or_by_key(sides, how, label):
    set_label(sides[1], 1, "River")
    set_label(sides[2], 1, "Lake")
    set_label(sides[2], 3, "Lake")
    done = merged(sides, **how)
    assert done.conflicts.num_rows == 0
    assert done.resolved["id"].to_pylist() == ["Forest_1"]
    assert labels(sides[1])["Forest_1"] == [label]
    assert labels(sides[1])["Forest_3"] == ["Lake"]


def test_different_columns_of_one_row_come_together(sides):
    set_label(sides[1], 1, "River")
    edit.update(
        sides[2],
        "samples",
        set={"target": "3", "properties.orbit": "'down'"},
        where="id = 'Forest_1'",
    )
    edit.update(
        sides[1], "samples", set={"properties.eo:cloud_cover": "99"}, where="id = 'Forest_1'"
    )
    assert merged(sides).conflicts.num_rows == 0
    rows = tables.read(sides[1], "samples", filter=pc.field("id") == "Forest_1").to_pylist()
    assert rows[0]["label"] == ["River"]
    assert rows[0]["target"] == 3
    assert rows[0]["properties"] == {"eo:cloud_cover": 99.0, "orbit": "down"}


def test_coupled_columns_are_never_mixed_from_two_sides(sides):
    edit.update(sides[1], "assets", set={"shape": "[1, 2, 16]"}, where="sample = 'Forest_1'")
    edit.update(sides[2], "assets", set={"dtype": "'int16'"}, where="sample = 'Forest_1'")
    done = merged(sides, "assets")
    (row,) = done.conflicts.to_pylist()
    assert row["columns"] == ["shape", "dtype"]
    assert (row["sample"], row["asset"]) == ("Forest_1", "s2")
    merged(sides, "assets", prefer="theirs")
    rows = tables.read(sides[1], "assets", filter=pc.field("sample") == "Forest_1").to_pylist()
    assert (rows[0]["shape"], rows[0]["dtype"]) == ([2, 4, 4], "int16")


def test_what_follows_from_a_geometry_follows_the_side_that_moved_it(sides):
    place = shapely.box(100, -10, 101, -9)
    there = f"unhex('{place.wkb_hex}')"
    edit.update(sides[2], "samples", set={"geometry": there}, where="id = 'Forest_1'")
    set_label(sides[1], 1, "River")
    assert merged(sides).conflicts.num_rows == 0
    rows = tables.read(sides[1], "samples", filter=pc.field("id") == "Forest_1").to_pylist()
    assert rows[0]["bbox"]["xmin"] == 100
    assert rows[0]["label"] == ["River"]


def test_deleted_here_and_changed_there_is_a_conflict(sides):
    edit.delete(sides[1], "samples", where="id = 'Forest_1'")
    set_label(sides[2], 1, "Lake")
    (row,) = merged(sides).conflicts.to_pylist()
    assert row["ours"] is None
    assert json.loads(row["theirs"]) == {"label": ["Lake"]}
    merged(sides, prefer="theirs")
    assert labels(sides[1])["Forest_1"] == ["Lake"]


def test_changed_here_and_deleted_there_is_a_conflict(sides):
    set_label(sides[1], 1, "Lake")
    edit.delete(sides[2], "samples", where="id = 'Forest_1'")
    (row,) = merged(sides).conflicts.to_pylist()
    assert row["theirs"] is None
    assert row["columns"] == ["label"]
    merged(sides, prefer="theirs")
    assert "Forest_1" not in labels(sides[1])


def test_appends_with_other_keys_are_replayed_by_their_keys_alone(tmp_path, monkeypatch):
    base, ours, theirs = (tmp_path / side for side in ("base", "ours", "theirs"))
    tables.append(base, SPLITS, pa.table({"sample": ["m"]}))
    for side in (ours, theirs):
        copytree(base, side)
    tables.append(ours, SPLITS, pa.table({"sample": ["a", "b"]}))
    tables.append(theirs, SPLITS, pa.table({"sample": ["x", "y", "z"]}))
    fresh = snapshot(theirs, "splits/default").files[-1].path
    read = files_read(monkeypatch)
    done = merge.merge_table(base, ours, theirs, into=ours, name="splits/default")
    assert done.inserted == 3
    assert read == {fresh}
    found = tables.read(ours, "splits/default")["sample"].to_pylist()
    assert sorted(found) == ["a", "b", "m", "x", "y", "z"]


def test_one_key_inserted_on_both_sides_is_compared(tmp_path):
    base, ours, theirs = (tmp_path / side for side in ("base", "ours", "theirs"))
    for side in (base, ours, theirs):
        tables.create(side, SPLITS)
    tables.append(ours, SPLITS, pa.table({"sample": ["a", "b", "c"], "subset": ["x", "y", None]}))
    tables.append(theirs, SPLITS, pa.table({"sample": ["a", "b", "c"], "subset": ["x", "z", "v"]}))
    done = merge.merge_table(base, ours, theirs, into=ours, name="splits/default")
    assert done.conflicts["sample"].to_pylist() == ["b"]
    merge.merge_table(base, ours, theirs, into=ours, name="splits/default", prefer="ours")
    rows = tables.read(ours, "splits/default", columns=["sample", "subset"]).to_pylist()
    assert {r["sample"]: r["subset"] for r in rows} == {"a": "x", "b": "y", "c": "v"}


def test_sides_that_never_met_are_merged_by_key(tmp_path):
    for side, sample in (("ours", "a"), ("theirs", "b")):
        tables.append(tmp_path / side, SPLITS, pa.table({"sample": [sample]}))
    ours = tmp_path / "ours"
    done = merge.merge_table(None, ours, tmp_path / "theirs", into=ours, name="splits/default")
    assert done.inserted == 1
    assert tables.count(ours, "splits/default") == 2


def test_a_table_that_only_theirs_has_comes_whole(sides):
    schema = splits_schema("new")
    tables.append(sides[2], schema, pa.table({"sample": ["a"]}))
    assert merged(sides, "splits/new").inserted == 1
    assert tables.count(sides[1], "splits/new") == 1


def test_columns_that_each_side_added_are_both_there(sides):
    rows = pa.table({"sample": ["a", "b"]})
    ours, theirs = sides[1:]
    narrow = features_schema("f", [])
    for side in sides:
        tables.append(side, narrow, rows)
    for side, name in ((ours, "x"), (theirs, "y")):
        wide = features_schema("f", [pa.field(name, pa.int32())])
        edit.upsert(side, wide, pa.table({"sample": ["a"], name: pa.array([1], pa.int32())}))
    assert merged(sides, "features/f").conflicts.num_rows == 0
    found = tables.read(ours, "features/f").to_pylist()
    assert {"sample": "a", "x": 1, "y": 1} in found
    assert {"sample": "b", "x": None, "y": None} in found


def test_one_column_of_two_types_is_refused(sides):
    for side, kind in ((sides[1], pa.int32()), (sides[2], pa.string())):
        tables.create(side, features_schema("f", [pa.field("x", kind)]))
    with pytest.raises(SchemaMismatchError, match="int32 on one side and string on the other"):
        merged(sides, "features/f")


def test_a_split_that_both_sides_made_in_two_ways_is_refused(tmp_path):
    for side, seed in (("ours", "1"), ("theirs", "2")):
        schema = splits_schema("default", [("seed", seed)])
        tables.append(tmp_path / side, schema, pa.table({"sample": [side]}))
    ours = tmp_path / "ours"
    with pytest.raises(SchemaMismatchError, match="seed='1' on one side and '2' on the other"):
        merge.merge_table(None, ours, tmp_path / "theirs", into=ours, name="splits/default")


def test_numbers_that_json_does_not_have_are_told_as_text(sides):
    for side, number in ((sides[1], "'nan'::double"), (sides[2], "'-inf'::double")):
        edit.update(side, "samples", set={"target": number}, where="id = 'Forest_1'")
    (row,) = merged(sides).conflicts.to_pylist()
    assert json.loads(row["ours"], parse_constant=pytest.fail) == {"target": "nan"}
    assert json.loads(row["theirs"], parse_constant=pytest.fail) == {"target": "-inf"}


def test_a_table_without_a_key_is_refused(tmp_path):
    for side in ("ours", "theirs"):
        write_deltalake(tmp_path / side / "notes", pa.table({"text": [side]}))
    ours = tmp_path / "ours"
    with pytest.raises(SchemaMismatchError, match="key"):
        merge.merge_table(None, ours, tmp_path / "theirs", into=ours, name="notes")


def test_a_key_that_a_side_has_twice_is_refused(sides):
    set_label(sides[1], 1, "River")
    table = DeltaTable(sides[2] / "samples")
    row = tables.read(sides[2], "samples").slice(0, 1)
    plain = pa.schema([pa.field(f.name, f.type) for f in row.schema])
    write_deltalake(table, row.cast(plain), mode="append")
    edit.upsert(sides[1], tables.schema_of(sides[1], "samples"), pa.table({"id": ["Forest_0"]}))
    table.optimize.compact()
    with pytest.raises(DuplicateKeyError, match="Forest_0"):
        merged(sides)


def test_a_side_that_was_compacted_and_vacuumed_merges_the_same(sides):
    set_label(sides[1], 1, "River")
    set_label(sides[2], 4, "Lake")
    edit.upsert(sides[2], tables.schema_of(sides[2], "samples"), pa.table({"id": ["new"]}))
    table = DeltaTable(sides[2] / "samples")
    table.optimize.compact()
    table.create_checkpoint()
    table.vacuum(0, enforce_retention_duration=False, dry_run=False)
    assert merged(sides).conflicts.num_rows == 0
    assert labels(sides[1])["Forest_4"] == ["Lake"]
    assert labels(sides[1])["Forest_1"] == ["River"]
    assert "new" in labels(sides[1])


def test_merging_twice_changes_nothing_more(sides):
    set_label(sides[1], 1, "River")
    set_label(sides[2], 4, "Lake")
    merged(sides)
    after = labels(sides[1])
    done = merge.merge_table(sides[2], sides[1], sides[2], into=sides[1], name="samples")
    assert (done.inserted, done.updated, done.deleted) == (0, 0, 0)
    assert labels(sides[1]) == after


def test_a_folder_that_is_not_ours_is_refused(sides):
    set_label(sides[1], 1, "River")
    set_label(sides[2], 4, "Lake")
    with pytest.raises(ConflictError, match="not ours"):
        merge.merge_table(sides[0], sides[1], sides[2], into=sides[2], name="samples")


def test_a_side_must_be_one(sides):
    with pytest.raises(InvalidInputError, match="no side"):
        merged(sides, prefer="mine")


def pixel_rows(chips):
    columns = ("sha256", "codec", "data")
    return pa.table({name: [getattr(chip, name) for chip in chips] for name in columns})


def some_chips(*values):
    return [tables.encode(np.full((1, 2, 2), value, np.uint8)) for value in values]


def test_pixels_of_both_sides_are_there_once(sides):
    tables.append(sides[1], PIXELS, pixel_rows(some_chips(1, 2)))
    tables.append(sides[2], PIXELS, pixel_rows(some_chips(2, 3)))
    tables.append(sides[2], PIXELS, pixel_rows(some_chips(4)))
    done = merged(sides, "pixels")
    assert done.inserted == 2
    digests = tables.read(sides[1], "pixels", columns=["sha256"])["sha256"].to_pylist()
    assert len(digests) == len(set(digests)) == 10
    for chip in some_chips(1, 2, 3, 4):
        assert tables.read_chip(sides[1], chip.sha256) == chip.data


def test_every_pointer_has_its_row_or_is_told_and_can_be_restored(sides):
    assert references.check_pointers(sides[1]).num_rows == 0
    kept = tables.read(sides[1], "pixels").slice(0, 4)
    tables.overwrite(sides[1], PIXELS, kept)
    missing = references.check_pointers(sides[1])
    assert missing["sample"].to_pylist() == ["Forest_4", "Forest_5"]
    assert references.restore_pixels(sides[1], [sides[1], sides[2]]) == 2
    assert references.check_pointers(sides[1]).num_rows == 0


def test_what_speaks_of_a_sample_that_is_gone_is_told(sides):
    tables.append(sides[1], SPLITS, pa.table({"sample": ["Forest_1", "nobody"]}))
    edit.delete(sides[1], "samples", where="id = 'Forest_3'")
    rows = references.foreign_key_conflicts(sides[1]).to_pylist()
    assert [(row["table"], row["key"], row["value"]) for row in rows] == [
        ("annotations", "a3", "Forest_3"),
        ("assets", "Forest_3/s2", "Forest_3"),
        ("splits/default", "nobody", "nobody"),
    ]


def test_one_object_that_both_sides_drew_is_told(sides):
    schema = tables.schema_of(sides[1], "annotations")
    boxes = {1: shapely.box(0, 0, 10, 10), 2: shapely.box(1, 0, 11, 10)}
    for n, box in boxes.items():
        rows = {"id": [f"ship{n}"], "sample": ["Forest_1"], "category": ["ship"]}
        tables.append(sides[n], schema, pa.table(rows | {"geometry": [box.wkb]}))
    (row,) = references.probable_duplicates(*sides).to_pylist()
    assert (row["ours"], row["theirs"]) == ("ship1", "ship2")
    assert row["iou"] == pytest.approx(90 / 110)


def test_compacting_drops_what_nothing_points_to_and_nothing_else(sides, chips):
    ours = sides[1]
    tables.append(ours, PIXELS, pixel_rows(some_chips(1, 2)))
    edit.delete(ours, "assets", where="sample = 'Forest_2'")
    done = compact(ours)
    assert done.rows == 3
    assert done.size > 0
    assert compact(ours).rows == 0
    assert references.check_pointers(ours).num_rows == 0
    assert chips[2].sha256 not in tables.ChipIndex.open(ours)
    np.testing.assert_array_equal(
        tables.load(ours, "Forest_4", "s2"), np.full((2, 4, 4), 4, np.uint16)
    )
    assert tables.count(sides[0], "pixels") == 6


def test_what_a_compaction_dropped_is_brought_back_by_the_merge_that_needs_it(sides, chips):
    edit.delete(sides[1], "assets", where="sample = 'Forest_2'")
    compact(sides[1])
    point = f"unhex('{chips[2].sha256.hex()}')"
    edit.update(sides[2], "assets", set={"pixels": point}, where="sample = 'Forest_3'")
    merged(sides, "assets")
    merged(sides, "pixels")
    assert references.restore_pixels(sides[1], [sides[2]]) == 1
    assert references.check_pointers(sides[1]).num_rows == 0


def test_compacting_with_a_broken_pointer_is_refused(sides):
    tables.overwrite(sides[1], PIXELS, tables.read(sides[1], "pixels").slice(1))
    with pytest.raises(RejectedError, match="1 assets"):
        compact(sides[1])


def test_of_two_writers_of_one_log_entry_one_wins(sides):
    before = snapshot(sides[1], "samples")
    schema = tables.schema_of(sides[1], "samples")
    tables.append(sides[1], schema, pa.table({"id": ["new"]}))
    with pytest.raises(ConflictError, match="somebody else"):
        append_entry(before, Change(removed=before.files))
