"""What nobody edited comes back as it was; what was edited comes back as it was edited."""

import shutil
import sqlite3
from contextlib import closing

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely

from registry.curate.exchange import export, propose
from registry.errors import InvalidInputError
from registry.tables import diff

SUFFIXES = ("gpkg", "geojson", "csv", "parquet")
TABLES = ("samples", "assets", "features/size")


def sent(registry, path, table="annotations", **options):
    return export(registry, registry.resolve("ships@fix"), table, path, **options)


def brought(registry, path, ref="ships@fix", **options):
    with propose(registry, ref, path, **options) as proposal:
        return proposal.commit()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("table", TABLES)
def test_a_table_that_nobody_edited_is_as_before(ships, tmp_path, suffix, table):
    head = ships.resolve("ships@fix").commit.id
    sent(ships, tmp_path / f"out.{suffix}", table)
    done = brought(ships, tmp_path / f"out.{suffix}")
    assert done.changes.num_rows == 0
    assert done.missing == 0
    assert done.commit is None
    assert ships.resolve("ships@fix").commit.id == head


@pytest.mark.parametrize("suffix", [*SUFFIXES, "json"])
@pytest.mark.parametrize("frame", ["crs", "pixel"])
def test_annotations_that_nobody_edited_are_as_before(ships, tmp_path, suffix, frame):
    done = sent(ships, tmp_path / f"out.{suffix}", where=f"frame = '{frame}'")
    assert done.rows == (4 if frame == "crs" else 1)
    back = brought(ships, tmp_path / f"out.{suffix}", delete_missing=True)
    assert back.changes.num_rows == 0


def test_pixels_and_places_are_not_put_into_one_file(ships, tmp_path):
    with pytest.raises(InvalidInputError, match="in pixels and others in a CRS"):
        sent(ships, tmp_path / "out.gpkg")


def test_a_file_is_in_the_one_system_of_its_rows_else_in_degrees(ships, tmp_path):
    one = sent(ships, tmp_path / "one.gpkg", samples="s0,s1")
    two = sent(ships, tmp_path / "two.gpkg", where="frame = 'crs'")
    three = sent(ships, tmp_path / "three.geojson", samples="s0")
    assert (one.crs, two.crs, three.crs) == ("EPSG:32632", "OGC:CRS84", "OGC:CRS84")


def test_another_reader_sees_the_same_features(ships, tmp_path):
    from pyogrio.raw import read_arrow

    sent(ships, tmp_path / "out.gpkg", samples="s0,s1")
    about, rows = read_arrow(tmp_path / "out.gpkg")
    assert about["crs"] == "EPSG:32632"
    assert about["geometry_type"] == "Polygon"
    assert rows.column("id").to_pylist() == ["s0-1", "007", "=s1"]
    shapes = shapely.from_wkb(rows.column(about["geometry_name"]).to_numpy(zero_copy_only=False))
    wkb = ships.resolve("ships@fix").table("annotations").column("geometry").to_pylist()
    assert shapes.tolist() == shapely.from_wkb(wkb[:3]).tolist()


def in_gis(path, *statements):
    """Play a GIS that edits a layer in place."""
    with closing(sqlite3.connect(path)) as database, database:
        for (name,) in database.execute(
            "select name from sqlite_master where type = 'trigger'"
        ).fetchall():
            database.execute(f'drop trigger "{name}"')
        for statement, *values in statements:
            database.execute(statement, values)


def blob(path, fid):
    with closing(sqlite3.connect(path)) as database:
        return database.execute("select geom from annotations where fid = ?", [fid]).fetchone()[0]


def with_shape(old, shape):
    return old[: 8 + {0: 0, 1: 32}[(old[3] >> 1) & 7]] + shapely.to_wkb(shape)


def shape_in(old):
    return shapely.from_wkb(old[8 + {0: 0, 1: 32}[(old[3] >> 1) & 7] :])


def test_edits_of_a_gis_come_back_by_key(ships, tmp_path):
    path = tmp_path / "fix.gpkg"
    sent(ships, path, where="frame = 'crs'")
    moved = shapely.set_coordinates(
        shape := shape_in(blob(path, 2)),
        shapely.get_coordinates(shape) + np.array([[0.0005, 0], [0, 0], [0, 0], [0.0005, 0]]),
    )
    drawn = shapely.affinity.translate(shape_in(blob(path, 1)), 0.0001, 0.0001)
    in_gis(
        path,
        ("update annotations set category = 'Ferry' where id = 's0-1'",),
        ("update annotations set geom = ? where fid = 2", with_shape(blob(path, 2), moved)),
        ("delete from annotations where id = '=s1'",),
        (
            "insert into annotations (geom, category, sample, id) values (?, 'Boat', 's2', '')",
            with_shape(blob(path, 1), drawn),
        ),
    )
    before = ships.resolve("ships@fix").table("annotations")
    done = brought(ships, path)
    assert (done.inserted, done.updated, done.deleted, done.missing) == (1, 2, 0, 1)
    rows = {row["id"]: row for row in done.changes.to_pylist()}
    assert rows["s0-1"]["columns"] == ["category"]
    assert set(rows["007"]["columns"]) == {"geometry", "area"}
    new = next(row["after"] for row in rows.values() if row["change"] == "inserted")
    assert new["frame"] == "crs"
    assert shapely.from_wkb(new["geometry"]).bounds[0] > 100_000  # metres of UTM, not degrees
    was = shapely.get_coordinates(shapely.from_wkb(before.column("geometry")[1].as_py()))
    now = shapely.get_coordinates(shapely.from_wkb(rows["007"]["after"]["geometry"]))
    assert (was[1:3] == now[1:3]).all()  # corners that nobody touched, to the last bit
    assert (was[0] != now[0]).any()

    again = brought(ships, path)
    assert again.changes.num_rows == 0  # the same file once more is nothing new

    gone = brought(ships, path, delete_missing=True)
    assert (gone.inserted, gone.updated, gone.deleted, gone.missing) == (0, 0, 1, 0)


def test_a_layer_saved_anew_in_another_system_is_still_the_same(ships, tmp_path):
    from pyogrio.raw import read_arrow, write_arrow

    sent(ships, tmp_path / "out.gpkg", samples="s0,s1")
    about, rows = read_arrow(tmp_path / "out.gpkg")
    shapes = shapely.from_wkb(rows.column(about["geometry_name"]).to_numpy(zero_copy_only=False))
    from registry.geo import transform_points

    points = shapely.get_coordinates(shapes)
    x, y = transform_points(*points.T, source="EPSG:32632", target="EPSG:3857")
    moved = shapely.to_wkb(
        shapely.multipolygons(
            shapely.set_coordinates(shapes, np.column_stack([x, y])), indices=np.arange(len(shapes))
        )
    )
    name = about["geometry_name"]
    at = rows.column_names.index(name)
    write_arrow(
        rows.set_column(at, name, pa.array(moved.tolist(), pa.binary())),
        tmp_path / "saved.gpkg", layer="annotations", driver="GPKG", geometry_name=name,
        geometry_type="MultiPolygon", crs="EPSG:3857",
    )  # fmt: skip
    back = brought(ships, tmp_path / "saved.gpkg")
    assert back.changes.num_rows == 0
    assert "does not say what it was made from" in back.notes[0]


def test_a_geojson_that_was_rounded_to_seven_digits_is_still_the_same(ships, tmp_path):
    import orjson

    path = tmp_path / "out.geojson"
    sent(ships, path, where="frame = 'crs'")
    said = orjson.loads(path.read_bytes())
    for feature in said["features"]:
        rings = feature["geometry"]["coordinates"]
        rounded = [[[round(v, 7) for v in point] for point in ring][::-1] for ring in rings]
        feature["geometry"]["coordinates"] = rounded
        feature["properties"]["created"] = (feature["properties"]["created"] or "")[:23] or None
    path.write_bytes(orjson.dumps(said))
    assert brought(ships, path).changes.num_rows == 0


def test_text_that_looks_like_json_may_come_back_as_json(ships, tmp_path):
    import orjson

    path = tmp_path / "out.geojson"
    sent(ships, path, where="frame = 'crs'")
    said = orjson.loads(path.read_bytes())
    said["features"][0]["properties"]["attributes"] = {"n": 3, "wake": True}
    path.write_bytes(orjson.dumps(said))
    assert brought(ships, path).changes.num_rows == 0
    said["features"][0]["properties"]["attributes"] = {"n": 4, "wake": True}
    path.write_bytes(orjson.dumps(said))
    assert brought(ships, path).changes.column("columns").to_pylist() == [["attributes"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_spreadsheet_may_save_as_it_likes(ships, tmp_path, encoding, separator):
    import csv

    path = tmp_path / "out.csv"
    sent(ships, path, "features/size")
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    at = rows[0].index("real")
    rows[1][at] = "0,5" if separator == ";" else "0.5"
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file, delimiter=separator, lineterminator="\r\n").writerows(rows)
    done = brought(ships, path)
    assert done.changes.column("columns").to_pylist() == [["real"]]
    assert done.changes.column("after")[0].as_py()["real"] == 0.5


def test_a_spreadsheet_takes_no_text_for_a_formula_or_a_number(ships, tmp_path):
    import csv

    sent(ships, tmp_path / "out.csv", where="frame = 'crs'")
    with (tmp_path / "out.csv").open(encoding="utf-8-sig", newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert ids == ["s0-1", "'007", "'=s1", "s2-1"]


def test_fields_of_properties_are_columns_of_their_own(ships, tmp_path):
    path = tmp_path / "out.gpkg"
    sent(ships, path, "samples")
    in_gis(path, ("update samples set \"properties.eo:cloud_cover\" = 50 where id = 's1'",))
    done = brought(ships, path)
    assert done.changes.column("columns").to_pylist() == [["properties.eo:cloud_cover"]]
    found = ships.resolve("ships@fix").table("samples").filter(pc.field("id") == "s1")
    assert found.column("properties").to_pylist() == [{"eo:cloud_cover": 50.0, "count": None}]


def test_columns_that_a_file_lacks_stay_and_those_it_adds_are_ignored(ships, tmp_path):
    path = tmp_path / "out.gpkg"
    sent(ships, path, where="frame = 'crs'")
    in_gis(
        path,
        ("alter table annotations drop column score",),
        ("alter table annotations drop column created",),
        ("alter table annotations add column looked_at text default 'yes'",),
        ("update annotations set category = 'Ferry' where fid = 1",),
    )
    done = brought(ships, path)
    assert done.updated == 1
    assert any("looked_at" in note for note in done.notes)
    assert any("score" in note and "created" in note for note in done.notes)


def test_a_new_row_without_a_sample_gets_the_one_that_it_lies_on(ships, tmp_path):
    path = tmp_path / "out.gpkg"
    sent(ships, path, where="frame = 'crs'")
    inside = shapely.box(10.71, 55.902, 10.72, 55.904)
    blob_ = with_shape(blob(path, 1), inside)
    in_gis(path, ("insert into annotations (geom, category) values (?, 'Boat')", blob_))
    done = brought(ships, path)
    new = done.changes.column("after")[0].as_py()
    assert new["sample"] == "s1"
    assert new["id"].startswith("s1-")


def test_edits_do_not_take_back_what_came_in_meanwhile(ships, tmp_path):
    from registry.catalog import edit_rows

    path = tmp_path / "out.gpkg"
    sent(ships, path, where="frame = 'crs'")
    where = "id = 's0-1'"
    edit_rows(ships, "ships@fix", table="annotations", assignments=["score=0.5"], where=where)
    edit_rows(ships, "ships@fix", table="annotations", delete=True, where="id = '007'")
    in_gis(path, ("update annotations set category = 'Ferry' where id in ('s0-1', '=s1')",))
    done = brought(ships, path)
    assert (done.inserted, done.updated, done.deleted) == (0, 2, 0)
    rows = {row["id"]: row for row in ships.resolve("ships@fix").table("annotations").to_pylist()}
    assert rows["s0-1"]["score"] == 0.5
    assert rows["s0-1"]["category"] == "Ferry"
    assert "007" not in rows


def test_the_same_value_edited_on_both_sides_is_refused_and_nothing_changes(ships, tmp_path):
    from registry.catalog import edit_rows
    from registry.curate.exchange import EditedMeanwhileError

    path = tmp_path / "out.gpkg"
    sent(ships, path, where="frame = 'crs'")
    edit_rows(
        ships, "ships@fix", table="annotations", assignments=["category='Tug'"], where="id='s0-1'"
    )
    in_gis(path, ("update annotations set category = 'Ferry' where id = 's0-1'",))
    head = ships.resolve("ships@fix").commit.id
    with pytest.raises(EditedMeanwhileError, match="s0-1") as refused:
        brought(ships, path)
    assert refused.value.conflicts.num_rows == 1
    assert ships.resolve("ships@fix").commit.id == head


def test_two_people_with_two_tools_merge(ships, tmp_path):
    import orjson

    ships.branch("ships", "ben", "fix")
    gis, web = tmp_path / "anna.gpkg", tmp_path / "ben.geojson"
    sent(ships, gis, where="frame = 'crs'")
    export(ships, ships.resolve("ships@ben"), "annotations", web, where="frame = 'crs'")
    in_gis(gis, ("update annotations set category = 'Ferry' where id = 's0-1'",))
    said = orjson.loads(web.read_bytes())
    said["features"][1]["properties"]["category"] = "Boat"
    said["features"][0]["properties"]["score"] = 0.9
    web.write_bytes(orjson.dumps(said))
    brought(ships, gis)
    brought(ships, web, "ships@ben")
    ships.merge("ships", "ben", "fix")
    rows = {row["id"]: row for row in ships.resolve("ships@fix").table("annotations").to_pylist()}
    assert (rows["s0-1"]["category"], rows["s0-1"]["score"]) == ("Ferry", 0.9)
    assert rows["007"]["category"] == "Boat"


def test_a_proposal_that_nobody_commits_changes_nothing(ships, tmp_path):
    path = tmp_path / "out.gpkg"
    sent(ships, path, where="frame = 'crs'")
    in_gis(path, ("update annotations set category = 'Ferry'",))
    before = ships.resolve("ships@fix")
    with propose(ships, "ships@fix", path) as proposal:
        assert proposal.brought.updated == 4
        assert "category: Boat → Ferry" in proposal.brought.to_text()
    after = ships.resolve("ships@fix")
    assert before.commit.id == after.commit.id
    assert diff.diff(before.root, after.root, "annotations").num_rows == 0


def test_an_export_replaces_the_file_that_was_there(ships, tmp_path):
    path = tmp_path / "out.gpkg"
    sent(ships, path, where="frame = 'crs'")
    sent(ships, path, "samples")
    assert brought(ships, path).table == "samples"
    sent(ships, tmp_path / "out.csv", "samples")
    shutil.copy(tmp_path / "out.csv", tmp_path / "other.csv")
    with pytest.raises(InvalidInputError, match="does not say which table"):
        brought(ships, tmp_path / "other.csv")
    assert brought(ships, tmp_path / "other.csv", table="samples", base="fix").updated == 0


def test_a_mask_drawn_anew_is_an_outline(ships, tmp_path):
    from registry.catalog import edit_rows

    rle = '{"size":[20,30],"counts":[0,600]}'
    edit_rows(
        ships, "ships@fix", table="annotations", where="id = 's0-1'",
        assignments=[f"rle='{rle}'", "isbox=true"],
    )  # fmt: skip
    path = tmp_path / "out.gpkg"
    sent(ships, path, where="frame = 'crs'")
    moved = shapely.affinity.translate(shape_in(blob(path, 1)), 0.001)
    in_gis(
        path, ("update annotations set geom = ? where fid = 1", with_shape(blob(path, 1), moved))
    )
    done = brought(ships, path)
    after = done.changes.column("after")[0].as_py()
    assert after["rle"] is None
    assert after["isbox"] is False
    assert any("outlines now" in note for note in done.notes)


def test_an_outline_that_goes_to_another_sample_goes_to_its_system(ships, tmp_path):
    path = tmp_path / "out.gpkg"
    sent(ships, path, samples="s0,s1")
    in_gis(path, ("update annotations set sample = 's2' where id = 's0-1'",))
    after = brought(ships, path).changes.column("after")[0].as_py()
    west = shapely.from_wkb(after["geometry"]).bounds[0]
    assert 200_000 < west < 250_000  # of zone 33, not 600,000 of zone 32


def test_pictures_of_the_samples_that_were_asked_for(ships, tmp_path):
    import orjson

    def named(**options):
        sent(ships, tmp_path / "out.json", **options)
        said = orjson.loads((tmp_path / "out.json").read_bytes())
        return [one["file_name"] for one in said["images"]]

    assert named() == ["s0.tif", "s1.tif", "s2.tif", "photo.tif"]
    assert named(where="category = 'Boat'") == ["s0.tif", "photo.tif"]
    assert named(samples="s1,s2") == ["s1.tif", "s2.tif"]


def test_edits_that_a_gis_has_only_in_its_journal_count(ships, tmp_path):
    path = tmp_path / "out.gpkg"
    sent(ships, path, where="frame = 'crs'")
    in_gis(path)
    with closing(sqlite3.connect(path)) as open_layer:
        open_layer.execute("pragma journal_mode = wal")
        open_layer.execute("update annotations set category = 'Ferry' where id = 's0-1'")
        open_layer.commit()
        assert brought(ships, path).updated == 1


def test_a_branch_that_moves_while_somebody_ponders_is_not_overrun(ships, tmp_path):
    from registry.catalog import edit_rows
    from registry.errors import ConflictError

    path = tmp_path / "out.gpkg"
    sent(ships, path, where="frame = 'crs'")
    in_gis(path, ("update annotations set category = 'Ferry'",))
    with propose(ships, "ships@fix", path) as proposal:
        edited = edit_rows(ships, "ships@fix", assignments=["target=1"], where="id = 's0'")
        with pytest.raises(ConflictError):
            proposal.commit()
    assert ships.resolve("ships@fix").commit.id == edited.commit
    assert brought(ships, path).updated == 4
