import datetime as dt
import json

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from registry.curate.layers import strata
from registry.curate.layers.reference import Reference
from registry.curate.layers.strata import STRATA, UNKNOWN, references, strata_of
from registry.errors import InvalidInputError
from registry.tables.schemas import SAMPLES, samples_schema

BOX = pa.struct([(corner, pa.float64()) for corner in ("xmin", "ymin", "xmax", "ymax")])
TIME = pa.timestamp("us", "UTC")


def at(lon, lat, half=0.005):
    return {"xmin": lon - half, "ymin": lat - half, "xmax": lon + half, "ymax": lat + half}


def moment(text):
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def of(columns, **row):
    table = pa.Table.from_pylist([{"id": "a", **row}], schema=SAMPLES.arrow)
    return strata_of(table, columns=columns).to_pylist()[0]


def test_a_sample_of_which_nothing_is_known_is_unknown_everywhere():
    (row,) = strata_of(pa.table({"id": ["a"]})).to_pylist()
    assert row == {"id": "a"} | dict.fromkeys(STRATA, UNKNOWN)


def test_no_samples_have_the_same_columns():
    empty = strata_of(SAMPLES.empty())
    assert empty.num_rows == 0
    assert empty.column_names == ["id", *STRATA]


def test_a_finnish_summer_morning_is_all_of_that():
    properties = pa.struct([
        ("eo:cloud_cover", pa.float64()), ("sat:orbit_state", pa.string()),
        ("platform", pa.string()), ("gsd", pa.int64()), ("elevation", pa.float64()),
    ])  # fmt: skip
    row = {
        "id": "a", "bbox": at(25.5, 62.2), "datetime": moment("2020-07-04T09:48:00"),
        "source": {"provider": " ESA ", "collection": "sentinel-2-l2a", "licence": "CC-BY-4.0"},
        "properties": {
            "eo:cloud_cover": 20.0, "sat:orbit_state": "DESCENDING", "platform": "Sentinel-2A",
            "gsd": 10, "elevation": 95.5,
        },
    }  # fmt: skip
    table = pa.Table.from_pylist([row], schema=samples_schema(properties).arrow)
    assert strata_of(table).to_pylist() == [
        {
            "id": "a", "continent": "Europe", "country": "Finland", "climate": "Dfc",
            "climate_group": "continental", "biome": UNKNOWN, "elevation": "0-200 m",
            "land_share": "100 %", "coast": "50-200 km", "latitude": "60N-70N",
            "season": "summer", "month": "07", "year": "2020", "hour": "11",
            "sensor": "sentinel-2a", "orbit": "descending", "cloud": "20-50 %",
            "resolution": "5-15 m", "provider": "ESA", "collection": "sentinel-2-l2a",
            "licence": "CC-BY-4.0", "annotator": UNKNOWN,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lat", "month", "season"),
    [
        (50, 1, "winter"), (50, 3, "spring"), (50, 8, "summer"), (50, 12, "winter"),
        (-30, 1, "summer"), (-30, 3, "autumn"), (-30, 8, "winter"), (-30, 12, "summer"),
        (0, 7, "summer"),
    ],
)  # fmt: skip
def test_the_south_has_its_own_seasons(lat, month, season):
    when = dt.datetime(2021, month, 15, 10, tzinfo=dt.UTC)
    assert of(["season"], bbox=at(20, lat), datetime=when)["season"] == season


def test_a_date_has_no_hour():
    assert of(["hour"], bbox=at(0, 0), datetime=moment("2021-01-01T00:00:00"))["hour"] == UNKNOWN


@pytest.mark.parametrize(
    ("lon", "hour"), [(0, "23"), (15, "00"), (-15, "22"), (179.9, "11"), (-179.9, "11")]
)
def test_the_hour_is_the_suns(lon, hour):
    said = of(["hour"], bbox=at(lon, 0), datetime=moment("2021-01-01T23:05:00"))
    assert said["hour"] == hour


def test_an_interval_has_what_all_of_it_has():
    columns = ["season", "month", "year", "hour"]
    month = of(
        columns, bbox=at(10, 50),
        start_datetime=moment("2021-06-01T00:00:00"), end_datetime=moment("2021-06-30T23:59:59"),
    )  # fmt: skip
    season = of(
        columns, bbox=at(10, 50),
        start_datetime=moment("2021-12-20T00:00:00"), end_datetime=moment("2022-01-30T23:59:59"),
    )  # fmt: skip
    assert month == {"id": "a", "season": "summer", "month": "06", "year": "2021", "hour": UNKNOWN}
    assert season == {
        "id": "a", "season": "winter", "month": "several", "year": "several", "hour": UNKNOWN,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("start", "end", "season"),
    [
        ("2021-06-01", "2021-08-31", "summer"),
        ("2021-05-31", "2021-06-01", "several"),
        ("2020-06-01", "2021-06-30", "several"),
        ("2021-06-30", "2021-06-01", UNKNOWN),
    ],
)
def test_an_interval_has_a_season_if_all_of_it_lies_in_one(start, end, season):
    times = {"start_datetime": moment(f"{start}T12:00"), "end_datetime": moment(f"{end}T12:00")}
    assert of(["season"], bbox=at(10, 50), **times)["season"] == season


def test_times_before_1970_are_times():
    said = of(["year", "month", "hour"], bbox=at(0, 0), datetime=moment("1959-12-31T23:30:00"))
    assert said == {"id": "a", "year": "1959", "month": "12", "hour": "23"}


def test_a_place_comes_from_the_geometry_where_there_is_no_box():
    wkb = shapely.box(24.9, 60.2, 25.1, 60.4).wkb
    assert of(["country"], geometry=wkb)["country"] == "Finland"
    assert of(["country"], geometry=b"\x01nonsense")["country"] == UNKNOWN


def test_a_box_across_the_antimeridian_lies_on_it():
    box = {"xmin": 179.5, "ymin": -17.0, "xmax": -179.5, "ymax": -16.0}
    assert of(["latitude", "country"], bbox=box) == {
        "id": "a", "latitude": "20S-10S", "country": "Fiji",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lat", "band"),
    [(90, "80N-90N"), (-90, "90S-80S"), (0, "0-10N"), (-0.1, "10S-0"), (9.999, "0-10N"),
     (10, "10N-20N"), (-10, "10S-0")],
)  # fmt: skip
def test_bands_of_latitude_begin_at_their_southern_edge(lat, band):
    assert of(["latitude"], bbox=at(0, lat, half=0))["latitude"] == band


@pytest.mark.parametrize("evil", [1e308, -1e308, float("inf"), float("nan"), 1e19])
def test_hostile_numbers_are_unknown(evil):
    row = of(["country", "latitude", "coast"], bbox=at(0, evil))
    assert set(row.values()) == {"a", UNKNOWN}
    of(["country"], bbox=at(evil, 0))


def test_own_columns_come_before_properties():
    table = pa.table({
        "id": ["a", "b"], "annotator": ["p1", None], "sensor": ["", "naip"],
        "properties": [{"platform": "Landsat-8"}, {"platform": "x"}],
    })  # fmt: skip
    assert strata_of(table, columns=["annotator", "sensor"]).to_pylist() == [
        {"id": "a", "annotator": "p1", "sensor": "landsat-8"},
        {"id": "b", "annotator": UNKNOWN, "sensor": "naip"},
    ]


def test_properties_of_odd_types_say_nothing():
    table = pa.table({
        "id": ["a"], "properties": [{"eo:cloud_cover": "many", "platform": 8, "gsd": None}],
        "source": ["no struct"], "bbox": ["no box"], "datetime": ["yesterday"],
    })  # fmt: skip
    (row,) = strata_of(table).to_pylist()
    assert row["sensor"] == "8"
    assert {row[name] for name in ("cloud", "resolution", "provider", "country", "year")} == {
        UNKNOWN
    }


def many(count=3000, seed=11):
    random = np.random.default_rng(seed)
    lon, lat = random.uniform(-180, 180, count), random.uniform(-90, 90, count)
    boxes = [at(x, y, half=0) for x, y in zip(lon, lat, strict=True)]
    times = pa.array(random.integers(-(10**15), 2 * 10**15, count), TIME)
    ids = [f"s{i}" for i in range(count)]
    return pa.table({"id": ids, "bbox": pa.array(boxes, BOX), "datetime": times})


def test_many_at_once_are_each_by_itself():
    samples = many(400)
    alone = [strata_of(samples.slice(i, 1)).to_pylist()[0] for i in range(samples.num_rows)]
    assert strata_of(samples).to_pylist() == alone


def test_parts_make_the_whole(monkeypatch):
    whole = strata_of(many())
    monkeypatch.setattr(strata, "_CHUNK", 700)
    assert strata_of(many()).to_pylist() == whole.to_pylist()


def test_no_stratum_is_ever_null():
    assert all(column.null_count == 0 for column in strata_of(many()).itercolumns())


def test_declared_values_are_all_that_come():
    found = strata_of(many())
    for stratum in STRATA.values():
        if stratum.order:
            assert set(found[stratum.name].to_pylist()) <= {*stratum.order, UNKNOWN}


@given(
    lon=st.floats(allow_nan=True, allow_infinity=True),
    lat=st.floats(allow_nan=True, allow_infinity=True),
    time=st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1) | st.none(),
)
def test_anything_has_strata(lon, lat, time):
    box = {"xmin": lon, "ymin": lat, "xmax": lon, "ymax": lat}
    table = pa.table({
        "id": ["a"], "bbox": pa.array([box], BOX), "datetime": pa.array([time], TIME)
    })  # fmt: skip
    assert strata_of(table).num_rows == 1


class Halves:
    """A layer that knows the northern half alone."""

    reference = Reference(
        name="half", title="t", version="1", source="s", licence="CC0-1.0", digest="0" * 64
    )

    def classes(self, lon, lat):
        codes = pa.array(np.zeros(len(lon), np.int32), mask=~(lat > 0))
        return pa.DictionaryArray.from_arrays(codes, ["north"])


def test_a_layer_adds_a_stratum_or_takes_ones_place():
    samples = pa.table({"id": ["a", "b"], "bbox": pa.array([at(0, 5), at(0, -5)], BOX)})
    layers = {"biome": Halves(), "half": Halves()}
    assert strata_of(samples, columns=["biome", "half"], layers=layers).to_pylist() == [
        {"id": "a", "biome": "north", "half": "north"},
        {"id": "b", "biome": UNKNOWN, "half": UNKNOWN},
    ]
    assert references(["biome", "climate", "season"], layers=layers).keys() == {"biome", "climate"}


def test_a_layer_may_have_more_classes_than_a_short_number_holds():
    class Many(Halves):
        def classes(self, lon, lat):
            codes = pa.array(np.full(len(lon), 39_999, np.int32))
            return pa.DictionaryArray.from_arrays(codes, [str(i) for i in range(40_000)])

    samples = pa.table({"id": ["a"], "bbox": pa.array([at(0, 5)], BOX)})
    found = strata_of(samples, columns=["biome"], layers={"biome": Many()})
    assert found["biome"].to_pylist() == ["39999"]


def test_a_stratum_that_is_none_is_refused():
    with pytest.raises(InvalidInputError, match="'colour'"):
        strata_of(pa.table({"id": ["a"]}), columns=["colour"])


def test_strata_are_the_same_in_every_process():
    def digest():
        return json.dumps(strata_of(many(500)).to_pylist(), sort_keys=True)

    assert digest() == digest()
