"""The set ``zones``: a row an annotation, asset, time step and band."""

import datetime as dt

import numpy as np
import pytest
import shapely

from registry.curate.features.scene import Layer, Scene, Shape
from registry.curate.features.sets.zones import ZONES, by_scene, finish, gather
from registry.tables.schemas import ZONES as SCHEMA

NOON = dt.datetime(2020, 6, 1, tzinfo=dt.UTC)
PLACE = {"crs": "EPSG:32633", "transform": (1.0, 0.0, 0.0, 0.0, -1.0, 2.0)}


def layer(name, array, **said):
    return Layer(asset=name, raw=np.asarray(array), **said)


def shape(name, box, frame="pixel"):
    return Shape(id=name, category="field", geometry=shapely.to_wkb(box), frame=frame)


def rows_of(*scenes, sizes=None):
    found = [by_scene(one) for one in scenes]
    partials = [
        row
        for start in range(0, len(found), sizes or len(found))
        for row in gather([], found[start : start + (sizes or len(found))])
    ]
    return finish(iter(partials), [], []).to_pylist()


SERIES = [[[[1, 3], [5, 7]], [[0, 0], [0, 8]]], [[[2, 4], [6, 8]], [[0, 0], [0, 9]]]]


def test_each_time_and_band_under_each_outline_is_a_row():
    one = layer("s2", np.array(SERIES, np.int16), bands=("B4", "B8"), times=(NOON, NOON))
    rows = rows_of(
        Scene(sample="a", layers=(one,), shapes=(shape("f", shapely.box(0, 0, 1.5, 1)),))
    )
    assert [(row["step"], row["band"]) for row in rows] == [
        (0, "B4"), (0, "B8"), (1, "B4"), (1, "B8"),
    ]  # fmt: skip
    first = rows[0]
    assert (first["sample"], first["category"], first["time"]) == ("a", "field", NOON)
    assert (first["count"], first["mean"]) == (1.5, pytest.approx((1 + 3 * 0.5) / 1.5))
    assert (first["min"], first["max"]) == (1, 3)


def test_no_order_and_no_batching_changes_a_row():
    random = np.random.default_rng(2)
    scenes = [
        Scene(
            sample=f"s{n}",
            layers=(layer("s2", random.normal(size=(1, 2, 4, 4))),),
            shapes=tuple(shape(f"s{n}-{k}", shapely.box(k, 0, k + 1.3, 2.2)) for k in range(2)),
        )
        for n in range(5)
    ]
    whole = rows_of(*scenes)
    assert len(whole) == 5 * 2 * 2
    assert rows_of(*scenes[::-1], sizes=2) == whole
    keys = [tuple(row[name] for name in SCHEMA.key) for row in whole]
    assert keys == sorted(set(keys))


def test_bands_without_names_have_numbers():
    one = layer("s2", np.ones((1, 2, 2, 2)))
    rows = rows_of(Scene(sample="a", layers=(one,), shapes=(shape("f", shapely.box(0, 0, 1, 1)),)))
    assert [row["band"] for row in rows] == ["1", "2"]


def test_outlines_are_measured_where_they_have_a_place():
    fine = layer("a", np.ones((1, 1, 2, 2)), **PLACE)
    coarse = layer("b", np.ones((1, 1, 1, 1)), crs="EPSG:32633",
                   transform=(2.0, 0.0, 0.0, 0.0, -2.0, 2.0))  # fmt: skip
    other = layer("c", np.ones((1, 1, 2, 2)), crs="EPSG:32634", transform=PLACE["transform"])
    drawn = (shape("ground", shapely.box(0, 0, 1, 2), "crs"), shape("px", shapely.box(0, 0, 1, 1)))
    rows = rows_of(Scene(sample="a", layers=(fine, coarse, other), shapes=drawn))
    found = {(row["annotation"], row["asset"]): row["count"] for row in rows}
    assert found == {
        ("ground", "a"): 2.0, ("ground", "b"): 0.5, ("px", "a"): 1.0, ("px", "c"): 1.0,
    }  # fmt: skip


def test_an_outline_off_the_image_has_a_count_of_nothing():
    one = layer("s2", np.ones((1, 1, 2, 2)))
    (row,) = rows_of(
        Scene(sample="a", layers=(one,), shapes=(shape("f", shapely.box(9, 9, 10, 10)),))
    )
    assert (row["count"], row["mean"], row["min"]) == (0.0, None, None)


def test_samples_without_outlines_and_complex_values_have_no_rows():
    one, wave = (
        layer("s2", np.ones((1, 1, 2, 2))),
        layer("slc", np.ones((1, 1, 2, 2), np.complex64)),
    )
    assert rows_of(Scene(sample="a", layers=(one,))) == []
    drawn = (shape("f", shapely.box(0, 0, 1, 1)),)
    assert rows_of(Scene(sample="a", layers=(wave,), shapes=drawn)) == []


def test_the_set_says_its_columns_as_its_table_does():
    assert [*ZONES.key, *(one.name for one in ZONES.features)] == SCHEMA.arrow.names
