import gc
import subprocess

import pyarrow as pa
import pytest
import shapely

from registry.errors import InvalidInputError, NotFoundError, RejectedError, UnavailableError
from registry.query import Limits, execution, run, sql
from registry.tables import store
from registry.tables.schemas import SAMPLES
from tests.unit.query.conftest import sample


def rows(registry, text, **limits):
    return sql(registry, text, limits=Limits(**limits)).read_all().to_pylist()


def test_one_query_joins_several_refs(shared):
    text = """
        with boats as (from "boats@v1".samples)
        select count(*) as n from "ships@v1".samples join boats using (id)"""

    assert rows(shared, text) == [{"n": 4}]


def test_a_name_alone_is_the_newest_version(shared):
    assert rows(shared, "select count(*) as n from ships.samples") == [{"n": 10}]


def test_every_table_reads_as_the_lab_itself_reads_it(shared):
    version = shared.resolve("ships@v1")
    for name in version.tables():
        asked = sql(shared, f'from "ships@v1"."{name}" order by all').read_all()
        known = version.table(name)
        key = [(known.column_names[0], "ascending")]

        assert asked.column_names == known.column_names
        assert asked.sort_by(key).to_pylist() == known.sort_by(key).to_pylist()


def test_geometry_knows_its_crs_and_spatial_functions_work(shared):
    text = """
        select id, st_crs(geometry) as crs from "ships@v1".samples
        where st_intersects(geometry, st_makeenvelope(4.11, 52, 4.16, 52.1))"""

    assert rows(shared, text) == [{"id": "s1", "crs": "OGC:CRS84"}]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("st_x(st_transform(st_point(10, 56), 'EPSG:4326', 'OGC:CRS84'))", 10),
        ("st_x(st_transform(st_point(10, 56), 'OGC:CRS84', 'EPSG:32632'))", 562_366.63),
        ("st_distance_sphere(st_point(10, 60), st_point(11, 60))", 55_596),
        ("st_area_spheroid(st_makeenvelope(10, 60, 10.01, 60.01))", 622_134),
    ],
)
def test_longitude_comes_before_latitude_everywhere(shared, asked, expected):
    (found,) = rows(shared, f"select {asked} as it")

    assert found["it"] == pytest.approx(expected, rel=1e-3)


def test_times_are_in_utc(shared):
    found = rows(shared, "select strftime(timestamptz '2020-01-01 00:00:00+02', '%c %Z') as t")

    assert found == [{"t": "2019-12-31 22:00:00 UTC"}]


def test_a_column_that_files_lack_is_null(own):
    wider = SAMPLES.with_columns([pa.field("note", pa.string())])
    draft = own.draft("ships")
    with draft.edit("widen") as root:
        more = pa.Table.from_pylist([{"id": "x", "note": "new"}], wider.arrow)
        store.append(root, wider, more)

    text = 'select count(*) as n, count(note) as notes from "ships@draft".samples'
    assert rows(own, text) == [{"n": 11, "notes": 1}]


def test_an_empty_table_has_its_columns(own):
    draft = own.draft("ships")
    with draft.edit("empty") as root:
        store.overwrite(root, SAMPLES, SAMPLES.empty())

    asked = sql(own, 'from "ships@draft".samples').read_all()

    assert asked.num_rows == 0
    assert asked.column_names == SAMPLES.arrow.names


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ('from "shps@v1".samples', 'did you mean "ships@v1"'),
        ('from "ships@drft".samples', 'did you mean "ships@draft"'),
        ('from "ships@v1".sampels', "did you mean 'samples'"),
        ('from "ships@v9".samples', "ships@v1"),
    ],
)
def test_a_wrong_name_is_answered_with_the_right_one(shared, text, hint):
    with pytest.raises(NotFoundError) as caught:
        sql(shared, text)

    assert hint in caught.value.hint


def test_a_wrong_column_says_which_there_are(shared):
    with pytest.raises(InvalidInputError, match='"lable" not found') as caught:
        sql(shared, 'select lable from "ships@v1".samples')

    assert "DESCRIBE" in caught.value.hint
    assert "/" not in caught.value.problem


def test_two_refs_that_differ_in_case_alone_are_refused(own):
    own.branch("ships", "fix")
    own.branch("ships", "Fix")
    with pytest.raises(InvalidInputError, match="differ only in case"):
        sql(own, 'select * from "ships@fix".samples, "ships@Fix".samples')


def test_more_rows_than_allowed_are_an_error_and_never_a_cut(shared):
    with pytest.raises(RejectedError, match="more than 5 rows"):
        rows(shared, 'from "ships@v1".samples', rows=5)

    assert len(rows(shared, 'from "ships@v1".samples', rows=10)) == 10


def test_a_query_without_end_is_ended(shared):
    with pytest.raises(UnavailableError, match="longer than 1 seconds"):
        rows(
            shared,
            "with recursive r as (select 1 union all from r) select count(*) from r",
            seconds=1,
        )


def test_a_query_that_eats_memory_is_stopped(shared):
    with pytest.raises(RejectedError, match="128 MiB"):
        rows(shared, "select list(i) from range(1000000000) t(i)", memory_mb=128)


def test_an_error_in_the_middle_of_the_rows_reaches_the_reader(shared):
    text = "select case when i = 500000 then error('at last') end from range(1000000) t(i)"
    reader = sql(shared, text)

    with pytest.raises(InvalidInputError, match="at last"):
        reader.read_all()


def test_rows_come_before_the_last_one_is_known(shared):
    reader = sql(shared, "from range(1000000000000)")

    assert reader.read_next_batch().num_rows > 0


@pytest.mark.parametrize("batches_read", [0, 1])
def test_forgetting_the_reader_ends_the_process(shared, monkeypatch, batches_read):
    started = []

    class Recorded(subprocess.Popen):
        def __init__(self, *args, **kwargs):
            super().__init__(*args, **kwargs)
            started.append(self)

    monkeypatch.setattr(execution.subprocess, "Popen", Recorded)
    reader = sql(shared, "from range(1000000000000)")
    for _ in range(batches_read):
        reader.read_next_batch()
    del reader
    gc.collect()

    assert started[0].wait(timeout=30) != 0


def test_a_limit_must_be_positive():
    with pytest.raises(InvalidInputError, match="seconds is -1"):
        Limits(seconds=-1)
    with pytest.raises(InvalidInputError, match="seconds is nan"):
        Limits(seconds=float("nan"))


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((4.1, 52, 4.21, 53), ["s1", "s2"]),
        ((170, -90, -170, 90), []),
        ((4.9, 51, -170, 53), ["s9"]),
    ],
)
def test_samples_are_found_by_their_box(shared, box, found):
    west, south, east, north = box
    text = f'select id from "ships@v1".samples_in({west}, {south}, {east}, {north}) order by id'  # noqa: S608 — numbers

    assert [row["id"] for row in rows(shared, text)] == found


ACROSS = {
    "id": "fiji", "georeferenced": True, "declared": [],
    "geometry": shapely.to_wkb(
        shapely.union_all([shapely.box(179.9, -17, 180, -16), shapely.box(-180, -17, -179.9, -16)])
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("box", "found"),
    [
        ((179.95, -16.5, 180, -16.4), ["fiji"]),
        ((-180, -16.5, -179.95, -16.4), ["fiji"]),
        ((170, -20, -170, 0), ["fiji"]),
        ((-180, -90, 180, 90), ["fiji", "s0", "s1"]),
        ((0, -20, 10, 60), ["s0", "s1"]),
        ((4.1, -20, 0, 60), ["fiji", "s1"]),
        ((170, 10, -170, 20), []),
    ],
)
def test_a_sample_across_the_antimeridian_is_found_from_both_sides(tmp_path, box, found):
    store.create(tmp_path, SAMPLES)
    rows_ = pa.Table.from_pylist([ACROSS, sample(0), sample(1)], SAMPLES.arrow)
    store.append(tmp_path, SAMPLES, rows_)
    west, south, east, north = box
    text = f"select id from d.samples_in({west}, {south}, {east}, {north}) order by id"  # noqa: S608 — numbers

    assert run(text, lambda _: [tmp_path]).read_all().column("id").to_pylist() == found
