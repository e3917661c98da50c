"""Bias of real sets, beside numbers that were counted by hand."""

import json
import math
from collections import Counter
from datetime import datetime
from itertools import pairwise

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from registry.catalog import Spec
from registry.curate.bias import audit
from registry.curate.bias.population import Population
from registry.tables import store
from registry.tables.schemas import samples_schema

pytestmark = pytest.mark.real

EUROPE = {"Finland": 0.55, "Serbia": 0.13, "Ireland": 0.12, "Lithuania": 0.11, "Portugal": 0.09}


def laid(registry, name, rows, properties=None):
    draft = registry.create(Spec(name=name))
    schema = samples_schema(properties)
    with draft.edit("samples") as root:
        store.append(root, schema, pa.Table.from_pylist(rows, schema=plain(schema, rows)))
    return f"{name}@draft"


def plain(schema, rows):
    return pa.schema([field for field in schema.arrow if field.name in rows[0]])


def share_of(report, dimension, stratum, measure="representation"):
    [found] = [one for one in report.of(measure, dimension) if one["stratum"] == stratum]
    return found


@pytest.fixture
def bigearthnet(registry, shared_data):
    patches = json.loads((shared_data / "bigearthnet-v2" / "metadata.json").read_text("utf-8"))
    rows = [
        {
            "id": one["id"],
            "geometry": shapely.Point(one["lon"], one["lat"]).buffer(0.006).wkb,
            "datetime": datetime.fromisoformat(one["time_start"]),
            "label": one["labels"],
        }
        for one in patches
    ]
    return patches, laid(registry, "bigearthnet", rows)


def test_bigearthnets_sample_has_the_countries_that_it_says(registry, bigearthnet):
    patches, ref = bigearthnet
    # Stated: Finland 9, Serbia 6, Ireland 4, Lithuania 3, Portugal 3. By place, those far off the
    # map's coarse coasts are at sea; nobody lands in a country that was not stated.
    stated = Counter(one["country"] for one in patches)
    assert stated == {"Finland": 9, "Serbia": 6, "Ireland": 4, "Lithuania": 3, "Portugal": 3}
    report = audit(registry, ref)
    found = {
        row["stratum"]: row["count"]
        for row in report.strata("country").to_pylist()
        if row["class"] is None
    }

    assert (report.samples, report.unplaced, report.undated) == (25, 0, 0)
    at_sea = found.pop("none (sea)", 0)
    assert sum(found.values()) + at_sea == 25
    assert all(found[name] <= stated[name] for name in found)
    assert found["Serbia"] == 6
    assert found["Lithuania"] == 3


def test_bigearthnets_sample_against_the_land_is_what_a_pocket_calculator_says(
    registry, bigearthnet
):
    _, ref = bigearthnet
    report = audit(registry, ref)
    europe = share_of(report, "continent", "Europe")
    known = sum(row["count"] for row in report.of("representation", "continent"))

    # What the map has at sea is outside of land, and in no ratio of it.
    assert known == 25 - report.outside
    assert europe["share"] == europe["count"] / known
    assert europe["value"] == pytest.approx(europe["share"] / europe["reference_share"])
    # Europe with Russia's part in it is 17 % of the land without Antarctica.
    assert 0.15 < europe["reference_share"] < 0.19
    assert europe["flagged"]
    z, n, p = 1.959963984540054, known, europe["share"]
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    scale = (1 + z * z / n) * europe["reference_share"]
    assert europe["low"] == pytest.approx((middle - half) / scale)
    assert europe["high"] == pytest.approx((middle + half) / scale)
    africa = share_of(report, "continent", "Africa", "empty")
    assert africa["p"] == pytest.approx((1 - africa["reference_share"]) ** known)


def test_bigearthnets_months_and_classes_are_those_of_its_metadata(registry, bigearthnet):
    patches, ref = bigearthnet
    report = audit(registry, ref)
    classes = Counter(label for one in patches for label in set(one["labels"]))
    months = Counter(one["time_start"][5:7] for one in patches)

    assert {row["class"]: row["count"] for row in report.of("class")} == dict(classes)
    assert {row["stratum"]: row["count"] for row in report.of("month") if row["count"]} == dict(
        months
    )
    days = sorted({one["time_start"][:10] for one in patches})
    gaps = [
        (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).days
        for earlier, later in pairwise(days)
    ]
    assert report.of("gap")[0]["value"] == max(gaps)


def test_bigearthnets_countries_beside_a_stated_population(registry, bigearthnet):
    _, ref = bigearthnet
    table = pa.table({"country": list(EUROPE), "weight": list(EUROPE.values())})
    report = audit(registry, ref, against=Population(name="five", version="1", table=table))
    serbia = share_of(report, "country", "Serbia")
    counted = sum(row["count"] for row in report.of("representation", "country"))

    assert serbia["count"] == 6
    assert serbia["value"] == pytest.approx(6 / counted / 0.13)
    assert serbia["expected"] == pytest.approx(0.13 * counted)


def test_sentinel_items_are_counted_as_their_columns_say(registry, shared_data):
    path = shared_data / "stac-sentinel2-1000" / "1000-sentinel-2-items.parquet"
    names = ["id", "geometry", "datetime", "eo:cloud_cover", "sat:orbit_state", "constellation"]
    items = pq.read_table(path, columns=names).to_pylist()
    kind = pa.struct([("eo:cloud_cover", pa.float64()), ("sat:orbit_state", pa.string()),
                      ("constellation", pa.string())])  # fmt: skip
    rows = [
        {
            "id": one["id"],
            "geometry": one["geometry"],
            "datetime": one["datetime"],
            "properties": {field.name: one[field.name] for field in kind},
        }
        for one in items
    ]
    report = audit(registry, laid(registry, "sentinel", rows, kind))

    def counted(dimension):
        found = report.strata(dimension).to_pylist()
        return {row["stratum"]: row["count"] for row in found if row["class"] is None}

    assert report.samples == len(items) == 1000
    assert counted("orbit") == Counter(
        (one["sat:orbit_state"] or "unknown").lower() for one in items
    )
    assert counted("cloud").get("80-100 %", 0) == sum(one["eo:cloud_cover"] >= 80 for one in items)
    assert counted("cloud").get("0-5 %", 0) == sum(one["eo:cloud_cover"] < 5 for one in items)
    assert counted("month") == Counter(f"{one['datetime']:%m}" for one in items)
    assert sum(report.days()["count"].to_pylist()) == 1000
    assert report.unlabelled == 1000


def test_naip_items_of_one_state_are_in_one_country(registry, shared_data):
    lines = (shared_data / "stac-naip" / "naip-al-1000.ndjson").read_text("utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    kind = pa.struct([("gsd", pa.float64())])
    rows = [
        {
            "id": one["id"],
            "geometry": shapely.geometry.shape(one["geometry"]).wkb,
            "datetime": datetime.fromisoformat(one["properties"]["datetime"]),
            "properties": {"gsd": one["properties"].get("gsd")},
        }
        for one in items
    ]
    report = audit(registry, laid(registry, "naip", rows, kind))
    america = share_of(report, "country", "United States of America")

    # Alabama: all of it in one country, one continent and the temperate climate.
    assert america["count"] == 1000
    assert america["share"] == 1
    assert share_of(report, "continent", "North America")["value"] == pytest.approx(
        1 / share_of(report, "continent", "North America")["reference_share"]
    )
    zones = {
        row["stratum"]: row["count"]
        for row in report.strata("climate_group").to_pylist()
        if row["class"] is None
    }
    assert zones.pop("temperate") > 990
    assert sum(zones.values()) < 10  # water off the coast
    assert {row["stratum"] for row in report.of("empty", "continent")} >= {"Africa", "Asia"}
    years = Counter(one["properties"]["datetime"][:4] for one in items)
    found = {row["stratum"]: row["count"] for row in report.strata("year").to_pylist()}
    assert found == years
