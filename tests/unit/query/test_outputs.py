import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from registry.errors import InvalidInputError, UnavailableError
from registry.query import FORMATS, Limits, sql, write
from registry.query.engine import open_engine

EVERYTHING = """
    select id, geometry, bbox, label, 1.50::decimal(5, 2) as price, 'nan'::double as nothing,
           sum(length(id)) over () as total, timestamptz '2020-01-01 00:00:00+00' as at,
           interval 90 minute as lasting, '\\xAA'::blob as raw, null as unknown, true as yes,
           12345678901234567890123::hugeint as huge, map {'a': 1} as pairs
    from "ships@v1".samples order by id limit 2"""


def written(rows, kind):
    out = io.BytesIO()
    write(rows, kind, out)
    return out.getvalue()


def asked(shared, text):
    return sql(shared, text, limits=Limits(seconds=30))


def test_a_table_is_aligned_and_numbers_stand_right():
    rows = pa.table({"label": ["Forest", "Sea\nLake"], "n": [7, 600]})

    assert written(rows, "table").decode().splitlines() == [
        "label       n",
        "--------  ---",
        "Forest      7",
        "Sea\N{REPLACEMENT CHARACTER}Lake  600",
    ]


def test_csv_is_read_back_by_any_reader(shared):
    text = written(asked(shared, EVERYTHING), "csv").decode()
    first = next(csv.DictReader(io.StringIO(text)))

    assert shapely.from_wkt(first["geometry"]).equals(shapely.box(4, 52, 4.05, 52.05))
    assert json.loads(first["bbox"])["xmin"] == 4
    assert first["at"] == "2020-01-01T00:00:00Z"
    assert first["lasting"] == "P0M0DT5400S"
    assert first["raw"] == "aa"
    assert (first["price"], first["unknown"], first["yes"]) == ("1.50", "", "true")


def test_json_has_one_object_a_row(shared):
    first, second = json.loads(written(asked(shared, EVERYTHING), "json"))

    assert first["geometry"]["type"] == "Polygon"
    assert first["nothing"] is None
    assert first["total"] == 20
    assert first["huge"] == "12345678901234567890123"
    assert second["id"] == "s1"


def test_geojson_is_longitude_latitude_with_exterior_rings_anticlockwise(shared):
    found = json.loads(written(asked(shared, EVERYTHING), "geojson"))
    feature = found["features"][0]

    assert found["type"] == "FeatureCollection"
    assert feature["id"] == "s0"
    assert "geometry" not in feature["properties"]
    assert shapely.geometry.shape(feature["geometry"]).exterior.is_ccw


def test_an_absent_geometry_is_null_in_geojson(shared):
    text = "select 'a' as id, null::geometry as g union all select 'b', 'POINT EMPTY'::geometry"
    found = json.loads(written(asked(shared, text), "geojson"))

    assert [feature["geometry"] for feature in found["features"]] == [None, None]


@pytest.mark.parametrize(
    "text",
    [
        'select id from "ships@v1".samples',
        'select geometry from "ships@v1".annotations',
        "select st_transform(geometry, 'EPSG:32631') as g from \"ships@v1\".samples",
    ],
)
def test_geojson_refuses_what_is_not_in_degrees(shared, text):
    with pytest.raises(InvalidInputError, match="GeoJSON"):
        written(asked(shared, text), "geojson")


def test_parquet_with_a_geometry_is_geoparquet(shared, tmp_path):
    path = tmp_path / "ships.parquet"
    count = write(asked(shared, 'from "ships@v1".samples'), "parquet", path)
    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
    column = geo["columns"]["geometry"]

    assert count == 10
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["Polygon"]
    assert column["bbox"] == pytest.approx([4, 52, 4.95, 52.05])
    assert column["covering"]["bbox"]["xmin"] == ["bbox", "xmin"]
    assert "crs" not in column
    described = open_engine().execute(f"describe from '{path}'").fetchall()
    assert ("geometry", "GEOMETRY('OGC:CRS84')") in [row[:2] for row in described]


def test_a_projected_geometry_says_its_crs_in_parquet(shared, tmp_path):
    path = tmp_path / "utm.parquet"
    text = "select st_transform(geometry, 'EPSG:32631') as g from \"ships@v1\".samples"
    write(asked(shared, text), "parquet", path)
    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])

    assert geo["columns"]["g"]["crs"]["id"] == {"authority": "EPSG", "code": 32631}


def test_no_box_of_degrees_is_said_to_cover_a_projected_geometry(shared, tmp_path):
    rows = asked(
        shared,
        """select bbox, st_transform(geometry, 'EPSG:3857') as geometry
        from "ships@v1".samples""",
    )
    write(rows, "parquet", tmp_path / "moved.parquet")

    geo = json.loads(pq.read_metadata(tmp_path / "moved.parquet").metadata[b"geo"])
    assert "covering" not in geo["columns"]["geometry"]


@pytest.mark.parametrize("kind", ["json", "geojson", "parquet"])
def test_two_columns_of_one_name_are_refused_where_one_would_be_lost(shared, kind):
    rows = asked(shared, 'select geometry, id, id from "ships@v1".samples')

    with pytest.raises(InvalidInputError, match="2 columns are called 'id'"):
        written(rows, kind)


def test_parquet_has_large_row_groups_whatever_the_batches_were(tmp_path):
    table = pa.table({"n": range(300_000)})
    path = tmp_path / "n.parquet"
    write(pa.RecordBatchReader.from_batches(table.schema, table.to_batches(100)), "parquet", path)
    metadata = pq.read_metadata(path)

    assert metadata.num_row_groups == 3
    assert pq.read_table(path) == table


def test_arrow_is_read_back_as_it_was(shared):
    text = 'from "ships@v1".samples order by id'
    known = asked(shared, text).read_all()
    found = pa.ipc.open_file(written(asked(shared, text), "arrow")).read_all()

    assert found == known
    assert found.schema.field("geometry").metadata[b"ARROW:extension:name"] == b"geoarrow.wkb"


def test_what_parquet_has_no_type_for_is_said(shared):
    with pytest.raises(InvalidInputError, match="a type that Parquet does not have"):
        written(asked(shared, "select interval 1 day as i"), "parquet")


def test_a_time_beyond_the_calendar_is_said(shared):
    with pytest.raises(InvalidInputError, match="calendar"):
        written(asked(shared, "select 'infinity'::timestamptz as t"), "json")


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "geojson"])
def test_no_rows_are_a_whole_document_too(kind):
    assert written(pa.table({"n": pa.array([], pa.int64())}), kind)


def test_an_unknown_format_is_refused():
    with pytest.raises(InvalidInputError, match="'xlsx'"):
        write(pa.table({"n": [1]}), "xlsx", io.BytesIO())


def test_a_failure_leaves_the_file_that_was_there(shared, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("before")
    text = "select case when i = 500000 then error('no') end from range(1000000) t(i)"
    rows = asked(shared, text)
    with pytest.raises(InvalidInputError, match="no"):
        write(rows, "csv", path)

    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_said():
    with pytest.raises(UnavailableError, match="cannot be written"):
        write(pa.table({"n": [1]}), "csv", Path("/nowhere/at/all.csv"))
