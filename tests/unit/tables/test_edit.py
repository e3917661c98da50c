"""Edits change what was meant, in the files that hold it, or nothing at all."""

import time
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely

from registry import tables
from registry.errors import CorruptError, InvalidInputError
from registry.tables import edit
from registry.tables.diff import diff
from registry.tables.edit import EditSummary
from registry.tables.errors import DuplicateKeyError, SchemaMismatchError, UnsafeTableError
from registry.tables.expressions import ExpressionError
from registry.tables.schemas import PIXELS, SPLITS


def row(root, sample):
    return tables.read(root, "samples", filter=pc.field("id") == sample).to_pylist()[0]


def state(root):
    return sorted(path.name for path in (root / "samples").rglob("*"))


def test_a_label_is_set_as_the_user_writes_it(root):
    done = edit.update(root, "samples", set={"label": "['River']"}, where="id='Forest_3'")
    assert done == EditSummary(updated=1, files_rewritten=1)
    assert row(root, "Forest_3")["label"] == ["River"]
    assert row(root, "Forest_2")["label"] == ["Forest"]
    assert tables.read(root, "samples")["id"].to_pylist() == [f"Forest_{n}" for n in range(6)]


@pytest.mark.parametrize(
    ("set_", "cell", "value"),
    [
        ({"label": "[]"}, "label", []),
        ({"label": "null"}, "label", None),
        ({"label": "label || ['Wet']"}, "label", ["Forest", "Wet"]),
        ({"label": "list_transform(label, lambda x: upper(x))"}, "label", ["FOREST"]),
        ({"target": "1"}, "target", 1.0),
        ({"target": 'properties."eo:cloud_cover" * 2'}, "target", 6.0),
        ({"group": "'it''s ' || id"}, "group", "it's Forest_3"),
        ({"georeferenced": "true"}, "georeferenced", True),
        ({"datetime": "'2020-01-02'"}, "datetime", datetime(2020, 1, 2, tzinfo=UTC)),
        ({"properties.orbit": "'down'"}, "properties", {"eo:cloud_cover": 3.0, "orbit": "down"}),
        (
            {"properties.eo:cloud_cover": "null"},
            "properties",
            {"eo:cloud_cover": None, "orbit": "up"},
        ),
    ],
)
def test_a_value_of_each_type_is_set(root, set_, cell, value):
    assert edit.update(root, "samples", set=set_, where="id = 'Forest_3'").updated == 1
    assert row(root, "Forest_3")[cell] == value


def test_several_cells_are_set_from_the_old_row(root):
    edit.update(root, "samples", set={"group": "label[1]", "label": "[id]"}, where="true")
    assert row(root, "Forest_5")["group"] == "Forest"
    assert row(root, "Forest_5")["label"] == ["Forest_5"]


def test_a_new_geometry_brings_its_box_and_place_along(root):
    place = shapely.box(100, -10, 101, -9)
    edit.update(
        root, "samples", set={"geometry": f"unhex('{place.wkb_hex}')"}, where="id = 'Forest_3'"
    )
    assert row(root, "Forest_3")["bbox"] == {"xmin": 100, "ymin": -10, "xmax": 101, "ymax": -9}
    assert row(root, "Forest_3")["hilbert"] is not None


def test_an_edit_that_changes_nothing_writes_nothing(root):
    before = state(root)
    done = edit.update(root, "samples", set={"label": "['Forest']"}, where="true")
    assert done == EditSummary(unchanged=6)
    assert edit.update(root, "samples", set={"label": "['x']"}, where="false") == EditSummary()
    assert state(root) == before


BAD = [
    ({"labl": "['x']"}, "true", "no column 'labl'"),
    ({"label": "'x'"}, "true", "is VARCHAR; 'label' is VARCHAR"),
    ({"label": "Forest"}, "true", "no column 'Forest'"),
    ({"label": '["Forest"]'}, "true", "no column 'Forest'"),
    ({"label": "['x']"}, "idd = 'x'", "no column 'idd'"),
    ({"label": "['x']"}, "id", "not true or false"),
    ({"label": "['x']"}, "", "not SQL"),
    ({"label": "['x']"}, "id = 'x", "not SQL"),
    ({"label": "[1]"}, "true", "'label' is VARCHAR"),
    ({"target": "'1'"}, "true", "'target' is DOUBLE"),
    ({"target": "true"}, "true", "'target' is DOUBLE"),
    ({"group": "1"}, "true", "'group' is VARCHAR"),
    ({"id": "'x'"}, "true", "is the key"),
    ({"bbox": "null"}, "true", "computed from other columns"),
    ({"hilbert": "1"}, "true", "computed from other columns"),
    ({"properties.cloud": "1"}, "true", "no field 'cloud'"),
    ({"label.x": "1"}, "true", "no field 'x'"),
    ({"datetime": "'yesterday'"}, "true", "cannot be computed"),
    ({"target": "id::double"}, "true", "cannot be computed"),
    ({"label": "['x']), ('y'"}, "true", "not SQL"),
    ({"label": "['x'], ['y']"}, "true", "more than one expression"),
    ({"label": "['x'] union select ['y']"}, "true", "more than one expression"),
    ({"label": "['x'] order by 1"}, "true", "more than one expression"),
    ({"label": "distinct ['x']"}, "true", "more than one expression"),
    ({"label": "['x']) from read_text('/etc/passwd') --"}, "true", "not SQL"),
    ({"label": "['x'] as y"}, "true", "more than one expression"),
    ({"target": "1"}, "true) or (true", "not SQL"),
    ({"target": "1"}, "true; drop table rows", "not SQL"),
    ({"target": "1"}, "id in (select content from read_text('/etc/passwd'))", "subquery"),
    ({"target": "(select 1)"}, "true", "subquery"),
    ({"target": "1"}, "exists (from read_csv('/etc/passwd'))", "subquery"),
    ({"group": "getenv('HOME')"}, "true", "getenv"),
    ({"group": "current_setting('home_directory')"}, "true", "current_setting"),
    ({"target": "count(*)"}, "true", "may not be used|cannot be computed"),
    ({"target": "sum(target)"}, "true", "cannot be computed"),
    ({"target": "row_number() over ()"}, "true", "row_number"),
    ({"target": "?"}, "true", "parameter"),
    ({"target": "1"}, "columns(*) is null", "star"),
    ({"label": "read_text('/etc/passwd')"}, "true", "cannot be computed"),
    ({}, "true", "nothing is set"),
]


@pytest.mark.parametrize(("set_", "where", "problem"), BAD)
def test_a_fragment_that_cannot_be_meant_is_refused_and_nothing_changes(root, set_, where, problem):
    before = state(root)
    with pytest.raises(InvalidInputError, match=problem):
        edit.update(root, "samples", set=set_, where=where)
    assert state(root) == before


def test_a_misspelt_column_is_answered_with_the_near_ones(root):
    with pytest.raises(ExpressionError, match="did you mean label"):
        edit.update(root, "samples", set={"label": "['x']"}, where="list_contains(labels, 'x')")


def test_a_comment_at_the_end_is_harmless(root):
    assert (
        edit.update(root, "samples", set={"target": "1 -- one"}, where="true -- all").updated == 6
    )


def test_rows_are_deleted_by_condition_or_key(root):
    assert edit.delete(root, "samples", where="id > 'Forest_3'").deleted == 2
    keys = pa.table({"id": ["Forest_0", "nobody"]})
    assert edit.delete(root, "samples", keys=keys).deleted == 1
    left = tables.read(root, "samples")["id"].to_pylist()
    assert left == ["Forest_1", "Forest_2", "Forest_3"]
    assert edit.delete(root, "samples", where="true").deleted == 3
    assert tables.count(root, "samples") == 0


def test_a_deletion_says_which_rows(root):
    with pytest.raises(InvalidInputError):
        edit.delete(root, "samples")


def test_upsert_inserts_what_is_new_and_changes_only_given_columns(root, schema):
    rows = pa.table({"id": ["Forest_1", "Forest_2", "new"], "label": [["A"], ["Forest"], ["B"]]})
    done = edit.upsert(root, schema, rows)
    assert done == EditSummary(inserted=1, updated=1, unchanged=1, files_rewritten=1)
    assert row(root, "Forest_1")["label"] == ["A"]
    assert row(root, "Forest_1")["properties"]["orbit"] == "up"
    assert row(root, "new")["properties"] is None
    assert edit.upsert(root, schema, rows) == EditSummary(unchanged=3)


def test_upsert_changes_only_given_fields_of_properties(root, schema):
    part = pa.table({"id": ["Forest_1", "new"], "properties": [{"orbit": "down"}] * 2})
    done = edit.upsert(root, schema, part)
    assert (done.inserted, done.updated) == (1, 1)
    assert row(root, "Forest_1")["properties"] == {"eo:cloud_cover": 1.0, "orbit": "down"}
    assert row(root, "new")["properties"] == {"eo:cloud_cover": None, "orbit": "down"}


def test_upsert_makes_the_table_if_there_is_none(tmp_path):
    rows = pa.table({"sample": ["a"], "subset": ["train"]})
    assert edit.upsert(tmp_path, SPLITS, rows).inserted == 1
    assert edit.upsert(tmp_path, SPLITS, rows).unchanged == 1


def test_upsert_refuses_a_key_that_comes_twice_and_a_column_nobody_knows(root, schema):
    with pytest.raises(DuplicateKeyError, match="twice"):
        edit.upsert(root, schema, pa.table({"id": ["a", "a"]}))
    with pytest.raises(SchemaMismatchError, match="did you mean label"):
        edit.upsert(root, schema, pa.table({"id": ["a"], "labels": [["x"]]}))
    with pytest.raises(SchemaMismatchError, match="its key"):
        edit.upsert(root, schema, pa.table({"label": [["x"]]}))


def test_what_is_computed_is_not_taken_from_an_upsert(root, schema):
    before = tables.read(root, "samples", columns=["id", "hilbert"]).slice(0, 1)
    given = before.set_column(1, "hilbert", pa.array([7]))
    assert edit.upsert(root, schema, given).updated == 0
    assert tables.read(root, "samples", columns=["id", "hilbert"]).slice(0, 1).equals(before)


def test_a_deletion_by_keys_needs_the_keys(root):
    with pytest.raises(SchemaMismatchError, match="no 'id'"):
        edit.delete(root, "samples", keys=pa.table({"label": [["Forest"]]}))


@pytest.mark.parametrize(
    "doing",
    [
        lambda root, _: edit.update(root, "samples", set={"target": "1.0"}, where="true"),
        lambda root, _: edit.delete(root, "samples", where="id = 'Forest_1'"),
        lambda root, schema: edit.upsert(root, schema, pa.table({"id": ["Forest_1"]})),
        lambda root, schema: tables.append(root, schema, pa.table({"id": ["Forest_1"]})),
    ],
    ids=["update", "delete", "upsert", "append"],
)
def test_a_damaged_data_file_is_told_as_such(root, schema, doing):
    for file in tables.files(root, "samples"):
        file.write_bytes(b"x" * file.stat().st_size)
    with pytest.raises(UnsafeTableError, match="cannot be read"):
        doing(root, schema)


def test_only_the_file_that_holds_an_edited_row_is_rewritten(tmp_path):
    for n in range(5):
        rows = pa.table({"sample": [f"s{n}{i}" for i in range(3)], "fold": [n] * 3})
        tables.append(tmp_path, SPLITS, rows)
    before = [file.name for file in tables.files(tmp_path, "splits/default")]
    edit.update(tmp_path, "splits/default", set={"subset": "'test'"}, where="sample = 's21'")
    after = [file.name for file in tables.files(tmp_path, "splits/default")]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, True, False, True, True]
    folds = tables.read(tmp_path, "splits/default")["fold"].to_pylist()
    assert folds == sorted(folds)
    assert {path.name for path in (tmp_path / "splits/default").glob("part-*")} == set(after)


def test_pixels_are_never_edited(root):
    with pytest.raises(InvalidInputError, match="never change"):
        edit.update(root, "pixels", set={"codec": "'x'"}, where="true")
    with pytest.raises(InvalidInputError, match="never change"):
        edit.delete(root, "pixels", where="true")
    assert edit.upsert(root, PIXELS, tables.read(root, "pixels")).inserted == 0


def test_an_edit_that_does_something_else_is_taken_back(root, monkeypatch):
    before, rows = state(root), tables.read(root, "samples")
    monkeypatch.setattr(edit, "changed_places", lambda old, _: range(len(old)))
    monkeypatch.setattr(edit, "derive", lambda rows, _: rows)
    with pytest.raises(CorruptError, match="taken back"):
        edit.update(root, "samples", set={"label": "['Forest']"}, where="id = 'Forest_1'")
    assert state(root) == before
    assert tables.read(root, "samples").equals(rows)


def test_many_edits_leave_a_short_log_and_no_old_files(root):
    for n in range(40):
        edit.update(root, "samples", set={"target": str(n)}, where="id = 'Forest_1'")
    assert row(root, "Forest_1")["target"] == 39
    assert len(list((root / "samples").glob("part-*"))) == 1
    assert len(list((root / "samples" / "_delta_log").iterdir())) <= 40
    assert diff(root, root, "samples").num_rows == 0


def test_a_date_means_the_same_on_every_machine(root, monkeypatch):
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        edit.update(root, "samples", set={"datetime": "'2020-01-02'"}, where="id = 'Forest_3'")
        where = "datetime >= '2020-01-02' and datetime < '2020-01-02T00:00:01Z'"
        assert edit.update(root, "samples", set={"target": "1"}, where=where).updated == 1
    finally:
        monkeypatch.undo()
        time.tzset()
    assert row(root, "Forest_3")["datetime"] == datetime(2020, 1, 2, tzinfo=UTC)
