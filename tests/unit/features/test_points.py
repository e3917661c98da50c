"""Features at points: read, computed, looked up and never ahead of their time."""

import datetime as dt
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from registry.curate.features import catalogue
from registry.curate.features.points import computable_at_points, features_at
from registry.curate.features.reading_points import POINTS, points_of, read_points
from registry.curate.features.sets.climate import CLIMATE
from registry.curate.features.sets.context import CONTEXT
from registry.errors import InvalidInputError, NotFoundError
from registry.tables import store
from registry.tables.schemas import SAMPLES, features_schema


@pytest.fixture
def shared(tmp_path_factory):
    return str(tmp_path_factory.getbasetemp().parent / "eolab-layers")


@pytest.fixture(autouse=True)
def _cached(shared, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", shared)


@pytest.fixture
def lake(lake, shared, monkeypatch):
    monkeypatch.setenv("EOLAB_CACHE", shared)
    return lake


def moment(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def points(*rows, times=()):
    return points_of(((f"row {i}", row) for i, row in enumerate(rows)), times)


HELSINKI = {"id": "hel", "lon": 24.95, "lat": 60.2}


# ------------------------------------------------------------------------------------- reading
def test_a_table_of_points_is_read(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text(
        "id,lon,lat,time\na,1.5,2.5,2023-06-01T10:30:15Z\n,3,4,\n", encoding="utf-8-sig"
    )
    assert read_points(path, ["2020"]).to_pylist() == [
        {"id": "a", "lon": 1.5, "lat": 2.5, "start_datetime": moment("2023-06-01T10:30:15"),
         "end_datetime": moment("2023-06-01T10:30:15")},
        {"id": "2", "lon": 3.0, "lat": 4.0, "start_datetime": moment("2020-01-01T00:00:00"),
         "end_datetime": moment("2020-12-31T23:59:59.999999")},
    ]  # fmt: skip


def test_each_point_is_asked_for_at_each_time():
    found = points(HELSINKI, times=["2020-01-01", "2021-01-01"])
    assert [(r["id"], r["start_datetime"].year) for r in found.to_pylist()] == [
        ("hel", 2020), ("hel", 2021)
    ]  # fmt: skip


def test_points_need_no_time():
    (row,) = points(HELSINKI).to_pylist()
    assert (row["start_datetime"], row["end_datetime"]) == (None, None)


def test_the_same_points_come_from_every_format(tmp_path):
    csv, parquet, wkb, geojson = (
        tmp_path / f"p.{e}" for e in ("csv", "parquet", "geoparquet", "geojson")
    )
    csv.write_text("fid,longitude,latitude,date\na,1.5,2.5,2023-06-01\nb,-3,4,2023-06-02\n")
    rows = [{"id": "a", "x": 1.5, "y": 2.5, "time": "2023-06-01"},
            {"id": "b", "x": -3.0, "y": 4.0, "time": "2023-06-02"}]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), parquet)
    shapes = [
        {"id": r["id"], "time": r["time"], "geometry": shapely.Point(r["x"], r["y"]).wkb}
        for r in rows
    ]
    pq.write_table(pa.Table.from_pylist(shapes), wkb)
    features = [
        {"type": "Feature", "id": r["id"], "properties": {"time": r["time"]},
         "geometry": {"type": "Point", "coordinates": [r["x"], r["y"], 12.0]}}
        for r in rows
    ]  # fmt: skip
    geojson.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    first = read_points(csv)
    assert all(read_points(path).equals(first) for path in (parquet, wkb, geojson))


def test_times_that_no_calendar_has_are_refused(tmp_path):
    path = tmp_path / "p.parquet"
    times = pa.array([2**62], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"lon": [1.0], "lat": [2.0], "time": times}), path)
    with pytest.raises(InvalidInputError, match=r"p\.parquet"):
        read_points(path)


def test_nanoseconds_are_cut(tmp_path):
    path = tmp_path / "p.parquet"
    times = pa.array([1_600_000_000_000_000_123], pa.timestamp("ns", "UTC"))
    pq.write_table(pa.table({"lon": [1.0], "lat": [2.0], "time": times}), path)
    (row,) = read_points(path).to_pylist()
    assert row["start_datetime"] == moment("2020-09-13T12:26:40")


def test_times_of_a_parquet_file_are_times(tmp_path):
    path = tmp_path / "p.parquet"
    rows = {"lon": [1.0], "lat": [2.0]}
    for kind in (
        pa.timestamp("ns"),
        pa.timestamp("s", "Europe/Helsinki"),
        pa.timestamp("ms", "UTC"),
    ):
        when = pa.array([1_600_000_000], pa.timestamp("s")).cast(pa.timestamp(kind.unit))
        pq.write_table(pa.table({**rows, "time": when.cast(kind) if kind.tz is None else
                                 pa.array(when.cast(pa.int64()), kind)}), path)  # fmt: skip
        (row,) = read_points(path).to_pylist()
        assert row["start_datetime"] == moment("2020-09-13T12:26:40")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'lon'"),
        ("a,b\n1,2\n", "no column 'lon'"),
        ("lon,lat\n1,2\n181,2\n", "line 3: longitude '181'"),
        ("lon,lat\n1,91\n", "line 2: latitude '91'"),
        ("lon,lat\nnan,1\n", "line 2: longitude 'nan'"),
        ("lon,lat\n1,inf\n", "line 2: latitude 'inf'"),
        ("lon,lat\n,1\n", "line 2: longitude ''"),
        ("lon,lat\n1,2,3\n", "line 2: 3 values under 2 names"),
        ("lon,lat,time\n1,2,yesterday\n", "line 2: 'yesterday'"),
        ("lon,lat,time\n1,2,2020-13-01\n", "line 2: '2020-13-01'"),
        ("lon,lat,time\n1,2,2020/..\n", "line 2: time '2020/..'"),
        ("lon,lat,time\n1,2,999999999\n", "line 2"),
        ('lon,lat\n"1\n', "2"),
        ("lon,lat\n" + "9" * 400 + ",1\n", "line 2"),
    ],
)
def test_a_row_that_is_no_point_is_named_with_its_line(tmp_path, text, said):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(InvalidInputError) as caught:
        read_points(path)
    assert said in caught.value.problem
    assert "p.csv" in caught.value.problem


def test_five_bad_rows_are_named_and_the_rest_counted(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("lon,lat\n" + "999,0\n" * 40)
    with pytest.raises(InvalidInputError, match="and 35 more") as caught:
        read_points(path)
    assert caught.value.problem.count("line ") == 5


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{", b"[]", b"null", b'{"features": 3}', b'{"features": [null]}',
        b'{"features": [{"geometry": {"type": "Point", "coordinates": ["1", null]}}]}',
        b'{"features": [{"geometry": {"type": "Polygon", "coordinates": []}}]}',
        b'{"features": [{"geometry": {"type": "Point", "coordinates": [true, 1]}}]}',
        b'{"features": [{"geometry": {"type": "Point", "coordinates": [1, 2]}, "id": {}}, 1]}',
        b'{"features":[{"geometry":{"type":"Point","coordinates":[1,2]},"properties":{"time":{}}}]}',
        b"[" * 100_000, b"\xff\xfe",
    ],
)  # fmt: skip
def test_geojson_that_is_none_is_refused(tmp_path, raw):
    path = tmp_path / "p.geojson"
    path.write_bytes(raw)
    with pytest.raises(InvalidInputError, match=r"p\.geojson"):
        read_points(path)


@pytest.mark.parametrize("name", ["p.parquet", "p.csv"])
def test_bytes_that_are_no_table_are_refused(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"PAR1\xff\xfe\x00\x00" * 50)
    with pytest.raises(InvalidInputError, match=name):
        read_points(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NotFoundError, match="nowhere"):
        read_points(tmp_path / "nowhere.csv")


def test_a_field_without_end_is_refused(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text('lon,lat\n"' + "1" * 200_000 + '",2\n')
    with pytest.raises(InvalidInputError, match=r"p\.csv"):
        read_points(path)


@given(st.binary(max_size=300))
def test_any_bytes_are_points_or_refused(tmp_path, raw):
    for name in ("p.csv", "p.geojson", "p.parquet"):
        path = tmp_path / name
        path.write_bytes(raw)
        try:
            assert read_points(path).schema == POINTS
        except InvalidInputError:
            continue


# ----------------------------------------------------------------------------------- computing
def test_climate_is_computed_at_points():
    (row,) = features_at(points(HELSINKI), ["climate"]).to_pylist()
    assert (row["id"], row["country"], row["climate_zone"], row["time"]) == (
        "hel", "Finland", "Dfb", None
    )  # fmt: skip


def test_the_sun_stands_where_the_moment_puts_it():
    asked = points(HELSINKI | {"time": "2020-06-21T10:20Z"}, HELSINKI | {"time": "2020-06-21"})
    timed, dated = features_at(asked, ["context"]).to_pylist()
    assert timed["sun_elevation"] == pytest.approx(53.2, abs=0.2)  # 90 - 60.2 + 23.44, at noon
    assert dated["sun_elevation"] is None
    assert (timed["season"], dated["season"]) == ("summer", "summer")


def test_a_name_that_two_sets_share_says_whose_it_is():
    names = features_at(points(HELSINKI), ["climate", "context", "climate"]).column_names
    assert names.count("country") == names.count("context.country") == 1


def test_a_set_that_looks_at_pixels_is_refused_with_the_way_out(offered, counted):
    offered(counted.set())
    with pytest.raises(InvalidInputError, match="counted") as caught:
        features_at(points(HELSINKI), ["counted"])
    assert "--from" in caught.value.hint


def test_an_unknown_set_is_not_found():
    with pytest.raises(NotFoundError, match="colours"):
        features_at(points(HELSINKI), ["colours"])


def test_context_and_climate_are_computable_and_in_the_catalogue():
    assert computable_at_points(CONTEXT)
    assert computable_at_points(CLIMATE)
    assert catalogue.one("context") is CONTEXT
    assert catalogue.one("climate") is CLIMATE


def test_a_sample_and_a_point_at_its_centre_have_the_same_context():
    box = {"xmin": 24.94, "ymin": 60.19, "xmax": 24.96, "ymax": 60.21}
    when = moment("2020-06-21T10:20:00")
    sample = pa.table({
        "id": ["a"],
        "bbox": [box],
        "datetime": pa.array([when], pa.timestamp("us", "UTC")),
    })
    of_sample = CONTEXT.by_row(sample).to_pylist()[0]
    at_point = features_at(points(HELSINKI | {"time": when}), ["context"]).to_pylist()[0]
    assert {name: at_point[name] for name in of_sample} == pytest.approx(of_sample)


def test_context_says_each_of_its_features():
    made = CONTEXT.by_row(SAMPLES.empty())
    assert made.column_names == [one.name for one in CONTEXT.features]
    assert [one.type for one in made.schema] == [one.type for one in CONTEXT.features]


# -------------------------------------------------------------------------------- looking up
KEPT = features_schema("mine", [pa.field("value", pa.float64()), pa.field("_problem", pa.string())])


def sample(name, day, *, west=24.9, end=None, geometry=True):
    box = shapely.box(west, 60.1, west + 0.1, 60.3)
    return {
        "id": name, "geometry": shapely.to_wkb(box) if geometry else None,
        "georeferenced": geometry,
        "datetime": moment(f"2020-06-{day:02}T10:00:00") if day else None, "declared": [],
        "start_datetime": moment("2020-01-01T00:00:00") if end else None,
        "end_datetime": moment(f"2020-06-{end:02}T00:00:00") if end else None,
    }  # fmt: skip


@pytest.fixture
def keep(lake, publish):
    def keep(*samples, without=()):
        def write(root):
            store.append(root, SAMPLES, pa.Table.from_pylist(list(samples), SAMPLES.arrow))
            rows = [{"sample": one["id"], "value": float(i)} for i, one in enumerate(samples)
                    if one["id"] not in without]  # fmt: skip
            store.append(root, KEPT, pa.Table.from_pylist(rows, KEPT.arrow))

        return publish(lake, write)

    return keep


def looked_up(version, *times, place=HELSINKI):
    rows = [place | ({"time": time} if time else {}) for time in times]
    found = features_at(points(*rows), ["mine"], version=version).to_pylist()
    return [(row["sample"], row["value"]) for row in found]


def test_the_latest_sample_that_is_not_after_the_moment_speaks(keep):
    version = keep(sample("a", 1), sample("b", 10), sample("c", 20))
    assert looked_up(
        version, "2020-05-01T00:00Z", "2020-06-01T09:59Z", "2020-06-01T10:00Z", "2020-06-15T00:00Z",
        "2021-01-01T00:00Z",
    ) == [(None, None), (None, None), ("a", 0.0), ("b", 1.0), ("c", 2.0)]  # fmt: skip


def test_a_date_is_asked_for_at_its_first_instant(keep):
    version = keep(sample("a", 1), sample("b", 10))
    assert looked_up(version, "2020-06-10", "2020-06-11") == [("a", 0.0), ("b", 1.0)]


def test_an_interval_speaks_from_its_end_on(keep):
    version = keep(sample("a", 0, end=15))
    assert looked_up(version, "2020-06-14", "2020-06-15") == [(None, None), ("a", 0.0)]


def test_a_sample_without_a_time_never_answers_a_moment(keep):
    version = keep(sample("a", 0))
    assert looked_up(version, "2020-06-14", None) == [(None, None), ("a", 0.0)]


def test_without_a_moment_the_latest_speaks(keep):
    assert looked_up(keep(sample("b", 10), sample("a", 1)), None) == [("b", 0.0)]


def test_of_two_at_one_time_the_nearer_speaks_then_the_first_by_id(keep):
    version = keep(
        sample("far", 1, west=24.94), sample("b", 1, west=24.9), sample("a", 1, west=24.9)
    )
    assert looked_up(version, "2020-07-01") == [("a", 2.0)]


def test_what_does_not_contain_the_point_is_silent(keep):
    version = keep(sample("a", 1, west=30.0), sample("b", 1, geometry=False))
    assert looked_up(version, "2020-07-01") == [(None, None)]


def test_a_sample_without_its_features_still_is_the_one(keep):
    version = keep(sample("a", 1), sample("b", 10), without=("b",))
    assert looked_up(version, "2020-07-01") == [("b", None)]


def test_what_the_lab_notes_for_itself_is_not_shown(keep):
    found = features_at(points(HELSINKI), ["mine"], version=keep(sample("a", 1)))
    assert found.column_names == ["id", "lon", "lat", "time", "sample", "sample_time", "value"]


def test_kept_and_computed_sets_come_together(keep):
    version = keep(sample("a", 1))
    asked = points(HELSINKI | {"time": "2020-07-01"})
    (row,) = features_at(asked, ["mine", "climate"], version=version).to_pylist()
    assert (row["sample"], row["value"], row["country"]) == ("a", 0.0, "Finland")
    assert row["sample_time"] == moment("2020-06-01T10:00:00")
