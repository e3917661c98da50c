"""Whatever values a table holds, each format brings back what nobody edited, and every edit."""

import datetime as dt
import json
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.curate.exchange import exporting, opening, reading
from registry.curate.exchange.cells import cell_types, flat
from registry.curate.exchange.exporting import leaving
from registry.curate.exchange.origin import Origin
from registry.curate.exchange.returning import keys_of, returned
from registry.tables.equality import changed_places

FORMATS = ("gpkg", "geojson", "csv", "parquet")
MOMENTS = st.datetimes(max_value=dt.datetime(9998, 1, 1)).map(  # noqa: DTZ001 — set below
    lambda moment: moment.replace(tzinfo=dt.UTC)
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from([
        "", "'", "''", "=1", "-1", "007", "1e5", "true", "1.2.2022", "Mar 1", "a\r\nb", "[1]", "{}",
        '{"a": 1}', " x ", "NULL", "nan", "\ufeff", "é;,\t", "'=1", "@x", "\0",
    ]),
)  # fmt: skip


def maybe(values):
    return st.none() | values


ROWS = st.lists(
    st.fixed_dictionaries({
        "whole": maybe(st.integers(-(2**63), 2**63 - 1)),
        "small": maybe(st.integers(-(2**31), 2**31 - 1)),
        "real": maybe(st.floats()),
        "half": maybe(st.floats(width=32)),
        "yes": maybe(st.booleans()),
        "day": maybe(st.dates()),
        "at": maybe(MOMENTS),
        "raw": maybe(st.binary(max_size=8)),
        "text": maybe(TEXTS),
        "numbers": maybe(st.lists(maybe(st.floats()), max_size=3)),
        "times": maybe(st.lists(maybe(MOMENTS), max_size=2)),
        "nested": maybe(
            st.fixed_dictionaries({
                "a": maybe(st.integers(-(2**63), 2**63 - 1)),
                "b": maybe(st.lists(maybe(TEXTS), max_size=2)),
            })
        ),
    }),
    min_size=1,
    max_size=6,
)
KEYS = st.lists(
    TEXTS.filter(lambda text: text.strip() and "\0" not in text), unique=True, min_size=12,
    max_size=12,
)  # fmt: skip
COORDINATES = st.tuples(
    *(st.floats(-most, most).map(lambda value: round(value, 14)) for most in (179, 89))
)  # WKT has no digits for what is closer to zero


@pytest.fixture
def in_this_process(monkeypatch):
    """Read files without a process for each, which would take most of the time."""

    def run(job, *_):
        opening.read_file(Path(job["path"]), job, Path(job["out"]))

    monkeypatch.setattr(reading, "_run", run)


def table_of(schema, rows):
    names = [name for name in schema.arrow.names if name not in schema.derived]
    fields = [pa.field(name, schema.arrow.field(name).type) for name in names]
    return pa.Table.from_pylist(rows, schema=pa.schema(fields))


def write(rows, schema, root, path, kind):
    sent = leaving(root, schema, rows, format=kind)
    origin = Origin(dataset="ships", ref="ships@v1", commit="ab" * 20, table=schema.name)
    sheet = exporting._sheet(sent, schema, origin)
    exporting._replace(path, sheet, kind, (), classes=())
    return sent


def came_back(path, schema, sent):
    file = reading.read_rows(path, {schema.name: schema})
    return returned(file, sent, schema, keys_of(file, schema))


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=8)
@given(rows=ROWS, keys=KEYS)
def test_rows_that_nobody_edited(in_this_process, tmp_path, schemas, kind, rows, keys):
    table = table_of(
        schemas.features, [{"sample": key, **row} for key, row in zip(keys, rows, strict=False)]
    )
    sent = write(table, schemas.features, tmp_path, tmp_path / f"out.{kind}", kind)
    back = came_back(tmp_path / f"out.{kind}", schemas.features, sent)
    assert back.unchanged == table.num_rows
    assert back.changed.num_rows == 0
    assert len(back.fresh) == 0
    assert back.missing.num_rows == 0


def told(rows):
    """Return rows without what no format but Parquet tells apart."""

    def plain(value):
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if isinstance(value, str):
            return value.replace("\0", "").replace("\r", "")
        return value

    kept = [{name: plain(value) for name, value in row.items()} for row in rows]
    for row in kept:
        row["at"] = row["at"] and row["at"].replace(
            microsecond=row["at"].microsecond // 1000 * 1000
        )
        for name in ("text", "raw"):
            row[name] = row[name] or None
    return kept


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=8)
@given(before=ROWS, after=ROWS, keys=KEYS)
def test_rows_that_were_edited(in_this_process, tmp_path, schemas, kind, before, after, keys):
    count = min(len(before), len(after))
    was, is_ = (
        table_of(
            schemas.features,
            [{"sample": k, **row} for k, row in zip(keys, told(side), strict=False)],
        ).slice(0, count)
        for side in (before, after)
    )
    sent = leaving(tmp_path, schemas.features, was, format=kind)
    write(is_, schemas.features, tmp_path, tmp_path / f"out.{kind}", kind)
    back = came_back(tmp_path / f"out.{kind}", schemas.features, sent)
    places = changed_places(was, is_.cast(was.schema))
    expected = is_.take(pa.array(places, pa.int64()))
    # text that means the same JSON, and times that differ by less than a millisecond, are no edits
    got = {row["sample"]: row for row in back.changed.to_pylist()}
    for row in expected.to_pylist():
        old = was.filter(pc.equal(was.column("sample"), row["sample"])).to_pylist()[0]
        found = got.pop(row["sample"], old)
        for name, value in row.items():
            assert _alike(name, found[name], value)
    assert got == {}


def _alike(name, one, other):
    if one == other or str(one) == str(other):  # NaN is nothing's equal
        return True
    return name == "text" and one is not None and json.loads(one) == json.loads(other)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=8)
@given(corners=st.lists(st.lists(COORDINATES, min_size=3, max_size=6), min_size=1, max_size=6))
def test_places_that_nobody_moved(in_this_process, tmp_path, schemas, kind, corners):
    shapes = [shapely.Polygon(points) for points in corners]
    rows = [{"id": f"s{n}", "geometry": shapely.to_wkb(one)} for n, one in enumerate(shapes)]
    table = table_of(schemas.samples, [*rows, {"id": "nowhere"}])
    sent = write(table, schemas.samples, tmp_path, tmp_path / f"out.{kind}", kind)
    back = came_back(tmp_path / f"out.{kind}", schemas.samples, sent)
    assert back.unchanged == table.num_rows
    file = reading.read_rows(tmp_path / f"out.{kind}", {"samples": schemas.samples})
    wkb = file.rows.column("geometry").to_pylist()
    assert [w and shapely.from_wkb(w) for w in wkb] == [*shapes, None]


def test_cells_of_a_table_are_its_columns_but_for_derived_ones(schemas):
    cells = cell_types(schemas.samples)
    assert "properties.count" in cells
    assert not {"bbox", "hilbert", "properties"} & set(cells)
    rows = table_of(schemas.samples, [{"id": "a", "properties": {"count": 3}}, {"id": "b"}])
    assert flat(rows, ["properties.count"]).to_pylist() == [
        {"properties.count": 3}, {"properties.count": None},
    ]  # fmt: skip
