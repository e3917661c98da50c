import math
from dataclasses import replace
from datetime import UTC, datetime
from shutil import copytree

import numpy as np
import pyarrow as pa
import pytest
import shapely
from deltalake import DeltaTable, write_deltalake

from registry import tables
from registry.tables import edit, store
from registry.tables.changes import table_diff
from registry.tables.errors import DuplicateKeyError, SchemaMismatchError
from registry.tables.log import table_folder
from registry.tables.schemas import ANNOTATIONS, TableSchema


@pytest.fixture
def after(root, tmp_path):
    copytree(root, tmp_path / "after")
    return tmp_path / "after"


def notes(*fields, key=("id",)):
    return TableSchema(name="notes", arrow=pa.schema([("id", pa.string()), *fields]), key=key)


def both(tmp_path, field, before, now, *, other=None):
    """Return a table's difference between two lists of values by id; None has no row."""
    for name, values, kind in (("one", before, field), ("two", now, other or field)):
        held = {f"k{i}": v for i, v in enumerate(values) if v != "absent"}
        rows = pa.table({
            "id": pa.array(list(held), pa.string()),
            kind.name: pa.array(list(held.values()), kind.type),
        })
        store.create(tmp_path / name, notes(kind))
        store.append(tmp_path / name, notes(kind), rows)
    return table_diff(tmp_path / "one", tmp_path / "two", "notes")


def test_counts_keys_and_values_of_each_change(root, after, schema):
    edit.upsert(after, schema, pa.table({"id": ["Forest_1", "new"], "label": [["River"], None]}))
    edit.delete(after, "samples", where="id = 'Forest_0'")

    found = table_diff(root, after, "samples")

    assert (found.inserted, found.updated, found.deleted, found.total) == (1, 1, 1, 3)
    assert found.keys("updated").to_pylist() == [{"id": "Forest_1"}]
    rows = {row["id"]: row for row in found.to_table().to_pylist()}
    assert rows["Forest_1"]["columns"] == ["label"]
    assert rows["Forest_1"]["before"]["label"] == ["Forest"]
    assert rows["Forest_1"]["after"]["label"] == ["River"]
    assert rows["Forest_0"]["after"] is None
    assert rows["new"]["before"] is None


def test_nothing_differs_from_itself_and_a_checkpoint_is_no_change(root, after):
    store.checkpoint(after, "samples")

    found = table_diff(root, after, "samples")

    assert not found
    assert found.to_table().num_rows == 0


def test_a_table_that_only_one_side_has_came_or_went_whole(root, tmp_path):
    assert table_diff(None, root, "samples").inserted == 6
    assert table_diff(root, None, "samples").deleted == 6
    assert table_diff(root, tmp_path / "empty", "annotations").deleted == 6


def test_rows_of_pixels_are_compared_by_hash_and_their_bytes_left_out(root, after):
    more = tables.encode(np.ones((1, 2, 2), np.uint8))
    rows = {name: [getattr(more, name)] for name in ("sha256", "codec", "data")}
    tables.append(after, tables.PIXELS, pa.table(rows))

    found = table_diff(root, after, "pixels")

    assert (found.inserted, found.updated, found.deleted) == (1, 0, 0)
    assert "data" not in found.to_table().schema.field("after").type


def test_memory_holds_a_part_at_a_time(root, after, schema, monkeypatch):
    edit.upsert(
        after, schema, pa.table({"id": [f"Forest_{n}" for n in range(6)], "group": ["g"] * 6})
    )
    monkeypatch.setattr("registry.tables.changes._ROWS", 2)

    found = table_diff(root, after, "samples")

    assert [batch.num_rows for batch in found.batches()] == [2, 2, 2]
    assert found.to_table()["id"].to_pylist() == [f"Forest_{n}" for n in range(6)]


def test_long_values_make_small_parts(tmp_path):
    field = pa.field("text", pa.string())
    found = both(tmp_path, field, ["a"] * 40, [f"{n}" + "x" * 1_000_000 for n in range(40)])

    assert found.updated == 40
    parts = [part.rows.num_rows for part in found.parts()]
    assert sum(parts) == 40
    assert max(parts) < 40


HOSTILE = [
    (pa.float64(), math.nan, 1.0),
    (pa.float64(), math.inf, -math.inf),
    (pa.float64(), None, math.nan),
    (pa.string(), "", None),
    (pa.string(), "<b>&\"'\u202e\x00", "\x00"),
    (pa.binary(), b"\x00\xff", b""),
    (pa.list_(pa.float64()), [math.nan, None], [math.nan]),
    (pa.list_(pa.float64()), [], None),
    (pa.struct([("a", pa.struct([("b", pa.float64())]))]), {"a": {"b": math.nan}}, {"a": None}),
    (pa.struct([("a", pa.list_(pa.string()))]), {"a": ["x", None]}, None),
    (pa.timestamp("us", "UTC"), datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)),
]


@pytest.mark.parametrize(("kind", "one", "other"), HOSTILE)
@pytest.mark.parametrize("last", ["same", "absent"], ids=["side by side", "by key"])
def test_every_value_equals_itself_and_differs_from_another(tmp_path, kind, one, other, last):
    now = [one, other, one, one if last == "same" else "absent"]
    found = both(tmp_path, pa.field("value", kind), [one, one, other, one], now)

    assert sorted(found.keys("updated")["id"].to_pylist()) == ["k1", "k2"]
    assert found.deleted == (last == "absent")


def test_an_outline_says_how_far_it_moved(root, after):
    moved = pa.table({"id": ["a0"], "geometry": [shapely.box(3, 4, 5, 6).wkb]})
    framed = pa.table({"id": [f"a{n}" for n in range(6)], "frame": ["pixel"] * 6})
    for folder in (root, after):
        edit.upsert(folder, ANNOTATIONS, framed)
    edit.upsert(after, ANNOTATIONS, moved)

    (row,) = table_diff(root, after, "annotations").to_table().to_pylist()

    assert row["shape"] == {"iou": 0.0, "distance": 5.0, "unit": "pixel", "note": ""}
    assert "geometry" in row["columns"]


def test_an_outline_in_a_sample_s_system_is_measured_in_its_unit(root, after):
    framed = pa.table({"id": ["a0"], "frame": ["crs"]})
    for folder in (root, after):
        edit.upsert(folder, ANNOTATIONS, framed)
    edit.upsert(
        after, ANNOTATIONS, pa.table({"id": ["a0"], "geometry": [shapely.box(1, 0, 3, 2).wkb]})
    )
    found = table_diff(root, after, "annotations")
    asked = []

    def systems(samples):
        asked.extend(samples)
        return {"Forest_0": "EPSG:32633"}

    (row,) = found.to_table(systems).to_pylist()
    assert asked == ["Forest_0"]
    assert (row["shape"]["distance"], row["shape"]["unit"]) == (1.0, "metre")
    (row,) = found.to_table().to_pylist()
    assert row["shape"]["note"] == "the coordinate system is unknown"


def test_a_footprint_is_measured_on_the_ellipsoid(root, after, schema):
    moved = pa.table({"id": ["Forest_0"], "geometry": [shapely.box(0.5, 50, 1.5, 51).wkb]})
    edit.upsert(after, schema, moved)

    (row,) = table_diff(root, after, "samples").to_table().to_pylist()

    assert row["shape"]["unit"] == "metre"
    assert row["shape"]["distance"] == pytest.approx(35_500, rel=0.01)


# -------------------------------------------------------------------- columns
def test_columns_that_came_went_or_mean_something_else_are_said(tmp_path):
    meant = pa.field("v", pa.int32(), metadata={"meaning": "a count", "unit": "m"})
    now = pa.field("v", pa.int64(), nullable=True, metadata={"meaning": "a sum", "unit": "m"})
    found = both(tmp_path, meant, [1, 2], [1, 3], other=now)

    assert [(c.what, c.before, c.after) for c in found.columns] == [
        ("type", "int32", "int64"),
        ("meaning", "a count", "a sum"),
    ]
    assert found.keys("updated")["id"].to_pylist() == ["k1"]
    assert found.uncompared == ()


def test_columns_of_two_kinds_are_said_and_not_compared(tmp_path):
    found = both(
        tmp_path,
        pa.field("v", pa.string()),
        ["1", "absent"],
        [1, 2],
        other=pa.field("v", pa.int64()),
    )

    assert found.uncompared == ("v",)
    assert (found.inserted, found.updated) == (1, 0)
    assert found.to_table().to_pylist()[0]["after"] == {"id": "k1"}


def test_fields_of_properties_are_columns_of_their_own(root, after, schema):
    kind = pa.struct([*schema.arrow.field("properties").type, pa.field("relief", pa.float64())])
    wider = replace(
        schema,
        arrow=schema.arrow.set(
            schema.arrow.get_field_index("properties"), pa.field("properties", kind)
        ),
    )
    edit.upsert(
        after,
        wider,
        pa.table({"id": ["Forest_0"], "properties": pa.array([{"relief": 1.0}], kind)}),
    )

    found = table_diff(root, after, "samples")

    assert [(c.column, c.what, c.after) for c in found.columns] == [
        ("properties.relief", "column", "double")
    ]
    assert "properties.relief" in found.to_table()["columns"][0].as_py()


# ----------------------------------------------------------------- bad tables
def test_rows_of_one_key_twice_are_refused(root, after):
    folder = table_folder(after, "samples")
    again = DeltaTable(folder).to_pyarrow_table().slice(0, 1)
    write_deltalake(folder, again, mode="append")
    write_deltalake(folder, again, mode="append")

    with pytest.raises(DuplicateKeyError, match="Forest_0"):
        table_diff(root, after, "samples")


def test_a_row_without_a_key_is_refused(tmp_path):
    store.create(tmp_path / "one", notes(("v", pa.int64())))
    copytree(tmp_path / "one", tmp_path / "two")
    rows = pa.table({"id": pa.array([None], pa.string()), "v": [1]})
    write_deltalake(tmp_path / "two" / "notes", rows, mode="append")

    with pytest.raises((DuplicateKeyError, SchemaMismatchError), match="id"):
        table_diff(tmp_path / "one", tmp_path / "two", "notes")


def test_a_table_without_a_key_is_refused(tmp_path):
    for name in ("one", "two"):
        write_deltalake(tmp_path / name / "notes", pa.table({"v": [1]}))

    with pytest.raises(SchemaMismatchError, match="no key"):
        table_diff(tmp_path / "one", tmp_path / "two", "notes")
