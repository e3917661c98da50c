import json
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pystac
import pytest
import shapely
import stac_geoparquet.arrow
from hypothesis import given, settings
from hypothesis import strategies as st

from registry import geo
from registry.errors import NotFoundError
from registry.stac import ItemsWritten, documents, streaming, validate, writing
from registry.stac.reader import read


def written(root, tmp_path):
    path = tmp_path / "items.parquet"
    return writing.write_items(root, path), pq.ParquetFile(path)


def items_in(file):
    return [item for batch in file.iter_batches() for item in documents.items_of(batch)]


def test_samples_without_place_or_time_are_left_out_and_counted(make_root, rows, tmp_path):
    later = rows.noon + timedelta(days=9)
    root = make_root([
        rows.sample("a"),
        rows.sample("placeless", geometry=None),
        rows.sample("timeless", time=None),
        rows.sample("half", time=None, start_datetime=rows.noon),
        rows.sample("season", time=None, start_datetime=rows.noon, end_datetime=later),
    ])

    result, file = written(root, tmp_path)

    assert result == ItemsWritten(rows=2, left_out=3)
    assert sorted(file.read().column("id").to_pylist()) == ["a", "season"]


def test_the_metadata_are_geoparquet_and_stac_geoparquet(make_root, rows, tmp_path):
    multi = shapely.MultiPolygon([shapely.box(1, 2, 3, 4), shapely.box(5, 6, 7, 8)])
    root = make_root([rows.sample("a"), rows.sample("b", geometry=multi)])
    _, file = written(root, tmp_path)
    metadata = file.metadata.metadata

    geometry = json.loads(metadata[b"geo"])["columns"]["geometry"]

    assert json.loads(metadata[b"geo"])["version"] == "1.1.0"
    assert json.loads(metadata[b"geo"])["primary_column"] == "geometry"
    assert geometry["encoding"] == "WKB"
    assert geometry["geometry_types"] == ["MultiPolygon", "Polygon"]
    assert geometry["bbox"] == [1.0, 2.0, 9.01, 45.01]
    assert geometry["crs"]["id"] == {"authority": "OGC", "code": "CRS84"}
    edges = ("xmin", "ymin", "xmax", "ymax")
    assert geometry["covering"] == {"bbox": {edge: ["bbox", edge] for edge in edges}}
    assert json.loads(metadata[b"stac-geoparquet"]) == {"version": "1.1.0"}
    assert file.schema_arrow.field("bbox").type.field("xmin").type == pa.float64()


def test_rows_lie_along_the_hilbert_curve_in_groups_that_can_be_skipped(
    make_root, rows, tmp_path, monkeypatch
):
    monkeypatch.setattr(streaming, "_ROWS", 2048)
    squares = [(i % 70, i // 70) for i in range(4900)]
    samples = [
        rows.sample(f"s{x}-{y}", geometry=shapely.box(x, y, x + 1, y + 1)) for x, y in squares
    ]
    _, file = written(make_root(samples), tmp_path)

    table = file.read()
    centres = shapely.centroid(shapely.from_wkb(table.column("geometry").to_numpy()))
    keys = geo.hilbert_key(shapely.get_x(centres), shapely.get_y(centres)).tolist()

    assert keys == sorted(keys)
    assert file.metadata.num_row_groups == 3
    assert file.metadata.row_group(0).column(5).statistics.has_min_max


def test_the_same_tables_give_the_same_bytes(make_root, rows, tmp_path):
    root = make_root(
        [rows.sample(f"s{number}", label=["Crop"]) for number in range(50)],
        [rows.asset(f"s{number}", key) for number in range(50) for key in ("s2", "mask")],
    )

    writing.write_items(root, tmp_path / "one.parquet")
    writing.write_items(root, tmp_path / "two.parquet")

    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_every_row_has_every_asset_key_and_items_only_their_own(make_root, rows, tmp_path):
    root = make_root(
        [rows.sample("a"), rows.sample("b")],
        [rows.asset("a"), rows.asset("a", "mask"), rows.asset("b")],
    )

    _, file = written(root, tmp_path)

    kind = file.schema_arrow.field("assets").type
    assert [kind.field(at).name for at in range(kind.num_fields)] == ["mask", "s2"]
    assert {item["id"]: sorted(item["assets"]) for item in items_in(file)} == {
        "a": ["mask", "s2"],
        "b": ["s2"],
    }


def test_the_file_is_read_by_stac_geoparquet_and_its_items_are_valid(make_root, rows, tmp_path):
    root = make_root(
        [rows.sample("a", label=["Crop"]), rows.sample("b", label=["Forest", "Water"])],
        [rows.asset(name, key) for name in "ab" for key in ("s2", "mask")],
        split={"a": "train", "b": "test:far"},
    )
    _, file = written(root, tmp_path)

    theirs = list(stac_geoparquet.arrow.stac_table_to_items(file.read()))

    assert [problem for item in theirs for problem in validate(item)] == []
    assert {pystac.Item.from_dict(item).id for item in theirs} == {"a", "b"}


def test_our_own_reader_takes_back_what_was_written(make_root, rows, tmp_path):
    root = make_root([rows.sample("a")], [rows.asset("a")])
    written(root, tmp_path)

    (row,) = read(tmp_path / "items.parquet").read_all().to_pylist()

    assert row["id"] == "a"
    assert row["datetime"] == rows.noon
    (found,) = row["assets"]
    assert found["crs"] == "EPSG:32632"
    assert found["shape"] == [16, 32]
    assert found["bands"] == ["B02", "B8A"]


def test_a_dataset_without_rows_gives_a_file_without_rows(make_root, rows, tmp_path):
    result, file = written(make_root([]), tmp_path)

    assert result == ItemsWritten(rows=0, left_out=0)
    assert json.loads(file.metadata.metadata[b"geo"])["columns"]["geometry"]["geometry_types"] == []


def test_a_folder_without_samples_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(NotFoundError):
        writing.write_items(tmp_path, tmp_path / "items.parquet")

    assert list(tmp_path.iterdir()) == []


centres = st.tuples(st.floats(-180, 179.99), st.floats(-89, 89))


def cut_box(lon, lat, half):
    """Return a box that is cut in two where it crosses the antimeridian."""
    west, east = lon - half, lon + half
    south, north = max(-90, lat - half), min(90, lat + half)
    if east > 180:
        parts = [shapely.box(west, south, 180, north), shapely.box(-180, south, east - 360, north)]
    elif west < -180:
        parts = [shapely.box(west + 360, south, 180, north), shapely.box(-180, south, east, north)]
    else:
        return shapely.box(west, south, east, north)
    return shapely.MultiPolygon(parts)


@settings(max_examples=15)
@given(places=st.lists(st.tuples(centres, st.floats(1e-6, 5)), min_size=1, max_size=8))
def test_items_come_back_from_parquet_as_they_are_made(
    make_version, rows, places, tmp_path_factory
):
    shapes = [cut_box(lon, lat, half) for (lon, lat), half in places]
    version = make_version(
        [rows.sample(f"s{at}", geometry=shape) for at, shape in enumerate(shapes)],
        [rows.asset(f"s{at}") for at in range(len(shapes))],
    )
    path = tmp_path_factory.mktemp("items") / "items.parquet"

    result = writing.write_items(version.root, path)
    back = items_in(pq.ParquetFile(path))

    assert result.left_out == 0
    assert back == list(documents.items(version))
    for item in back:
        wanted = shapes[int(item["id"][1:])]
        assert shapely.geometry.shape(item["geometry"]).equals(wanted)
        assert (item["bbox"][0] > item["bbox"][2]) == isinstance(wanted, shapely.MultiPolygon)
        assert validate(item) == []
