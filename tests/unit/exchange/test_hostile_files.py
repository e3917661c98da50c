"""Files from others that are broken, wrong or hostile: one clear error, and nothing changes."""

import os
import sqlite3
from contextlib import closing, suppress

import orjson
import pytest
import shapely

from registry.curate.exchange import export, propose
from registry.curate.exchange.reading import Limits
from registry.errors import (
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    RegistryError,
    RejectedError,
)

TRIANGLE = shapely.geometry.mapping(shapely.Polygon([(10.61, 55.9), (10.62, 55.9), (10.6, 55.91)]))


@pytest.fixture
def gpkg(ships, tmp_path):
    path = tmp_path / "fix.gpkg"
    export(ships, ships.resolve("ships@fix"), "annotations", path, where="frame = 'crs'")
    return path


@pytest.fixture
def refused(ships):
    """Bring a file back and return the error, after a look that nothing changed."""
    head = ships.resolve("ships@fix").commit.id

    def bring(path, **options):
        with pytest.raises(RegistryError) as raised, propose(ships, "ships@fix", path, **options):
            pytest.fail("it was taken")
        assert ships.resolve("ships@fix").commit.id == head
        assert raised.value.hint
        return raised.value

    return bring


@pytest.fixture
def geojson(ships, tmp_path):
    """Return a file whose features were changed."""
    path = tmp_path / "fix.geojson"
    export(ships, ships.resolve("ships@fix"), "annotations", path, where="frame = 'crs'")

    def changed(change):
        said = orjson.loads(path.read_bytes())
        change(said)
        path.write_bytes(orjson.dumps(said))
        return path

    return changed


def in_database(path, *statements):
    with closing(sqlite3.connect(path)) as database, database:
        names = database.execute("select name from sqlite_master where type = 'trigger'").fetchall()
        for (name,) in names:
            database.execute(f'drop trigger "{name}"')
        for statement, *values in statements:
            database.execute(statement, values)
    return path


def test_a_row_that_was_copied_with_its_id(gpkg, refused):
    in_database(
        gpkg,
        (
            (
                "insert into annotations (geom, id, sample) "
                "select geom, id, sample from annotations limit 1"
            ),
        ),
    )
    error = refused(gpkg)
    assert "row 1 and row 5 both have id 's0-1'" in error.problem
    assert "becomes a new row" in error.hint


def test_the_column_of_the_key_is_gone(gpkg, refused):
    in_database(gpkg, ("alter table annotations drop column id",))
    assert "no column 'id'" in refused(gpkg).problem


def test_a_column_was_renamed(gpkg, refused):
    in_database(gpkg, ("alter table annotations rename column category to catagory",))
    error = refused(gpkg)
    assert "catagory" in error.problem
    assert "'category'" in error.hint


@pytest.mark.parametrize(
    ("column", "value"),
    [("score", "high"), ("created", "yesterday"), ("iscrowd", "perhaps"), ("category", b"x")],
)
def test_a_value_of_another_type_is_named_with_its_row(gpkg, refused, column, value):
    in_database(gpkg, (f"update annotations set {column} = ? where fid = 3", value))  # noqa: S608 — names from above
    error = refused(gpkg)
    assert f"row 3: {column!r} holds" in error.problem


def test_a_file_of_another_dataset_table_or_lake(ships, gpkg, refused):
    assert "was made from table 'annotations'" in refused(gpkg, table="samples").problem
    for what, said in (("dataset", "birds"), ("commit", "f" * 40)):
        text = gpkg_description(gpkg)
        started = text.index("{")
        origin = orjson.loads(text[started:])
        origin["eolab"][what] = said
        edited = text[:started] + orjson.dumps(origin).decode()
        in_database(gpkg, ("update gpkg_contents set description = ?", edited))
        assert said[:12] in refused(gpkg).problem
        in_database(gpkg, ("update gpkg_contents set description = ?", text))


def gpkg_description(path):
    with closing(sqlite3.connect(path)) as database:
        return database.execute("select description from gpkg_contents").fetchone()[0]


def test_an_origin_with_sql_of_its_own(gpkg, refused):
    text = gpkg_description(gpkg)
    origin = orjson.loads(text[text.index("{") :])
    for where in ("1; drop table x", "(select 1) = 1", "read_text('/etc/passwd') = ''", "1"):
        origin["eolab"]["where"] = where
        edited = orjson.dumps(origin).decode()
        in_database(gpkg, ("update gpkg_contents set description = ?", edited))
        assert refused(gpkg).code in {"bad-expression", "rejected"}


def test_views_are_not_followed(gpkg, refused):
    in_database(
        gpkg,
        ("alter table annotations rename to hidden",),
        ("create view annotations as select * from hidden",),
    )
    assert "views are not followed" in refused(gpkg).problem


def test_triggers_and_virtual_tables_of_a_file_do_not_run(ships, gpkg, tmp_path):
    in_database(
        gpkg,
        ("create table log (x)",),
        ("create trigger spy after update on annotations begin insert into log values (1); end",),
        ("create virtual table words using fts5(text)",),
    )
    before = gpkg.read_bytes()
    with propose(ships, "ships@fix", gpkg) as proposal:
        assert not proposal.brought.differs
    assert gpkg.read_bytes() == before


@pytest.mark.parametrize(
    "blob",
    [
        b"GP", b"", b"GP\0\x01" + b"\0" * 4 + b"\x01\xff\xff\xff\xff", b"no geometry at all",
        b"GP\0\x0f" + b"\0" * 40, 7, "POINT (1 2)",
        b"GP\0\x01" + b"\0" * 4 + b"\x01\x06\0\0\0\xff\xff\xff\x7f",
        b"GP\0\x01" + b"\0" * 4 + shapely.to_wkb(shapely.Point(float("inf"), 0)),
        b"GP\0\x01" + b"\0" * 4 + shapely.to_wkb(shapely.Point(float("nan"), 1)),
        b"GP\0\x01" + b"\0" * 4 + shapely.to_wkb(shapely.GeometryCollection([shapely.Point(0, 0)])),
    ],
)  # fmt: skip
def test_a_blob_that_is_no_geometry(gpkg, refused, blob):
    in_database(gpkg, ("update annotations set geom = ? where fid = 2", blob))
    error = refused(gpkg)
    assert isinstance(error, RejectedError)
    assert "row 2" in error.problem


@pytest.mark.parametrize("at", [16, 100, 1000, 5000, 20_000])
def test_a_database_with_flipped_bytes_is_refused_or_read(ships, gpkg, at):
    data = bytearray(gpkg.read_bytes())
    data[at : at + 64] = bytes(255 - byte for byte in data[at : at + 64])
    gpkg.write_bytes(data)
    head = ships.resolve("ships@fix").commit.id
    with suppress(RegistryError), propose(ships, "ships@fix", gpkg):
        pass
    assert ships.resolve("ships@fix").commit.id == head


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\0" * 100, b"SQLite format 3\0" + b"\xff" * 5000, b"PAR1" + b"\0" * 100,
        b'{"type": "FeatureCollection", "features": 7}', b'{"type": "Feature"}', b"{", b"[1]",
        b'{"type": "FeatureCollection", "features": [7]}', b'{"a": "\xff\xfe"}',
        b'{"type": "FeatureCollection", "features": [' + b"[" * 1_000_000,
        b'{"features": ' * 100_000, b'{"images": [], "annotations": {}}',
        b'{"images": [{"id": []}], "annotations": [{}]}',
        b'{"images": [], "annotations": [{"image_id": 1}]}',
        b'{"type": "FeatureCollection", "features": [], "crs": "yes"}',
    ],
)  # fmt: skip
def test_a_file_of_nonsense(refused, tmp_path, data):
    (tmp_path / "fix.bin").write_bytes(data)
    assert refused(tmp_path / "fix.bin", table="annotations").code in {
        "rejected", "invalid-input",
    }  # fmt: skip


@pytest.mark.parametrize(
    "geometry",
    [
        {"type": "Polygon", "coordinates": [[[0, 0], [1, 1]]]}, {"type": "Nonsense"}, 7, "POINT",
        {"type": "Polygon", "coordinates": [[[1e400, 0], [1, 1], [1, 0], [1e400, 0]]]},
        {"type": "Polygon", "coordinates": [[["a", 0], [1, 1], [1, 0], ["a", 0]]]},
        {"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [0, 0]}]},
    ],
)  # fmt: skip
def test_a_feature_without_a_geometry_that_holds(geojson, refused, geometry):
    path = geojson(lambda said: said["features"][1].update(geometry=geometry))
    assert "feature 2" in refused(path).problem


def test_a_crs_that_nobody_knows(geojson, gpkg, refused):
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::1"}}
    assert "crs" in refused(geojson(lambda said: said.update(crs=crs))).problem
    in_database(
        gpkg,
        (
            (
                "insert into gpkg_spatial_ref_sys values "
                "('x', 5, 'none', 5, 'PROJCS[\"x\", +init=/etc/passwd]', '')"
            ),
        ),
        ("update gpkg_geometry_columns set srs_id = 5",),
    )
    assert refused(gpkg).code == "rejected"


def test_a_new_row_that_lies_on_no_sample(geojson, refused):
    far = shapely.geometry.mapping(shapely.box(0, 0, 1, 1))
    feature = {"type": "Feature", "properties": {"category": "Boat"}, "geometry": far}
    error = refused(geojson(lambda said: said["features"].append(feature)))
    assert "feature 5" in error.problem
    assert error.hint == "fill in its sample"


def test_a_new_row_on_a_sample_that_is_not_there(geojson, refused):
    feature = {"type": "Feature", "properties": {"sample": "s9"}, "geometry": TRIANGLE}
    assert "'s9'" in refused(geojson(lambda said: said["features"].append(feature))).problem


@pytest.mark.parametrize("key", ["a\nb", "x" * 600, "\x1b[31m"])
def test_an_id_that_cannot_be_one(geojson, refused, key):
    feature = {"type": "Feature", "properties": {"id": key, "sample": "s0"}, "geometry": TRIANGLE}
    assert "cannot be a id" in refused(
        geojson(lambda said: said["features"].append(feature))
    ).problem.replace("an id", "a id")


@pytest.mark.parametrize(
    "text",
    [
        b"id,id\n1,2\n", b"id,category\ns0-1\n", b"id,category\ns0-1,Boat,more\n",
        b"id,category\ns0-1,\xff\xfe\n", b"", b"category\nBoat\n", b'id,category\n"s0-1,Boat\n',
        b"id,geometry\ns0-1,POLYGON ((0 0, 1 1\n", b"id,score\ns0-1,1.2.3\n",
        b"id,created\ns0-1,25.08.2022\n",
    ],
)  # fmt: skip
def test_a_broken_spreadsheet(refused, tmp_path, text):
    (tmp_path / "fix.csv").write_bytes(text)
    assert refused(tmp_path / "fix.csv", table="annotations").code == "rejected"


def test_a_file_that_is_none(ships, refused, tmp_path):
    os.mkfifo(tmp_path / "pipe.gpkg")
    assert isinstance(refused(tmp_path / "pipe.gpkg"), InvalidInputError)
    assert isinstance(refused(tmp_path), InvalidInputError)
    assert isinstance(refused(tmp_path / "none.gpkg"), NotFoundError)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert isinstance(refused(tmp_path / "loop"), NotFoundError)


def test_a_file_that_takes_more_than_it_may(gpkg, refused):
    assert "4 rows" in refused(gpkg, limits=Limits(rows=3)).problem.replace("than 3", "4")
    assert "bytes" in refused(gpkg, limits=Limits(size=100)).problem
    assert refused(gpkg, limits=Limits(memory=60 << 20)).code in {"rejected", "unavailable"}


def test_a_published_version_never_changes(gpkg, ships):
    with pytest.raises(ForbiddenError), propose(ships, "ships@v1", gpkg):
        pass


def test_a_column_that_is_computed_for_ever(gpkg, refused):
    endless = (
        "(with recursive n(x) as (select 1 union all select x + 1 from n) select max(x) from n)"
    )
    view = f"create view annotations as select *, {endless} as more from hidden"  # noqa: S608 — as above
    in_database(gpkg, ("alter table annotations rename to hidden",), (view,))
    assert "views" in refused(gpkg, limits=Limits(seconds=20)).problem
