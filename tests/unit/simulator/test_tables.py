"""Simulations come as tables of the declared schemas."""

import json

import numpy as np
import pyarrow.compute as pc
import pytest
import shapely

from registry.curate.ingest.simulator import DEFECTS, batches, samples_batches, samples_table
from registry.curate.ingest.simulator.batches import PROPERTIES
from registry.errors import InvalidInputError, NotFoundError
from registry.geo import bounds_of, centres_of, hilbert_key
from registry.tables.schemas import ANNOTATIONS, samples_schema


@pytest.fixture(scope="module")
def ships():
    return list(batches("detection", samples=20, seed=2, size=32, batch=8))


def test_batches_are_no_larger_than_asked(ships):
    assert [batch.samples.num_rows for batch in ships] == [8, 8, 4]


def test_columns_are_those_of_the_declared_tables(ships):
    for batch in ships:
        batch.samples.validate(full=True)
        assert batch.samples.schema.equals(samples_schema(PROPERTIES).arrow)
        assert batch.annotations.schema.equals(ANNOTATIONS.arrow)


def test_derived_columns_follow_from_the_footprint(ships):
    for batch in ships:
        shapes = shapely.from_wkb(batch.samples["geometry"].to_numpy(zero_copy_only=False))
        bounds = bounds_of(shapes)
        boxes = [list(box.values()) for box in batch.samples["bbox"].to_pylist()]
        assert np.array_equal(boxes, bounds)
        assert batch.samples["hilbert"].to_pylist() == hilbert_key(*centres_of(bounds)).tolist()


def test_every_annotation_is_on_a_sample_and_every_array_belongs_to_one(ships):
    for batch in ships:
        ids = set(batch.samples["id"].to_pylist())
        assert set(batch.annotations["sample"].to_pylist()) == ids
        assert {asset.sample for asset in batch.assets} == ids
        for attributes in batch.annotations["attributes"].to_pylist():
            assert json.loads(attributes)["length_m"] > 0


def test_series_say_when_they_begin_and_end():
    batch = next(batches("time-series", samples=2, seed=1, size=16))
    row = batch.samples.to_pylist()[0]
    assert row["start_datetime"] == row["datetime"] < row["end_datetime"]
    assert len(batch.assets[0].times) == 12


def test_each_defect_is_there_once_and_listed():
    batch = next(batches("segmentation", samples=30, seed=3, size=32, defects=tuple(DEFECTS)))
    listed = sorted(name for names in batch.defects.values() for name in names)
    assert listed == sorted(DEFECTS)
    arrays = {}
    for asset in batch.assets:
        arrays.setdefault(asset.sample, []).append(asset)
    by_defect = {names[0]: sample for sample, names in batch.defects.items()}
    order = batch.samples["id"].to_pylist()
    before = order[order.index(by_defect["duplicate"]) - 1]
    assert np.array_equal(arrays[before][0].array, arrays[by_defect["duplicate"]][0].array)
    assert np.ptp(arrays[by_defect["constant"]][0].array) == 0
    assert np.isnan(arrays[by_defect["nan"]][0].array).any()
    wrong = order.index(by_defect["wrong-crs"])
    assert batch.samples["geometry"][wrong].as_py() is None
    assert batch.samples["georeferenced"].to_pylist().count(False) == 1
    assert batch.samples["hilbert"][wrong].as_py() == -1


def test_defects_that_nobody_knows_are_refused():
    with pytest.raises(NotFoundError):
        next(batches("segmentation", samples=3, seed=3, defects=("mildew",)))


def test_a_table_without_pixels_has_the_declared_columns_in_hilbert_order():
    table = samples_table(20_000, seed=4)
    table.validate(full=True)
    assert table.schema.equals(samples_schema(PROPERTIES).arrow)
    keys = table["hilbert"].to_numpy()
    assert (np.diff(keys) >= 0).all()
    assert pc.count_distinct(table["id"]).as_py() == 20_000
    assert table["id"][19_999].as_py() == "sim-000019999"


def test_its_footprints_are_sound_and_its_boxes_and_keys_theirs():
    table = samples_table(2_000, seed=4)
    shapes = shapely.from_wkb(table["geometry"].to_numpy(zero_copy_only=False))
    assert shapely.is_valid(shapes).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(shapes)).all()
    bounds = shapely.bounds(shapes)
    assert np.abs(bounds[:, [0, 2]]).max() <= 180
    boxes = np.array([list(box.values()) for box in table["bbox"].to_pylist()])
    assert np.array_equal(boxes, bounds)
    expected = hilbert_key((boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2)
    # The middle of the box differs from the point by rounding, so keys differ in their last bits.
    assert np.median(np.abs(table["hilbert"].to_numpy() - expected) >> 20) == 0


def test_the_same_seed_gives_the_same_table():
    assert samples_table(500, seed=1).equals(samples_table(500, seed=1))
    assert not samples_table(500, seed=1).equals(samples_table(500, seed=2))


def test_parts_of_a_large_table_count_on():
    parts = list(samples_batches(2_500, seed=1, batch=1_000))
    assert [part.num_rows for part in parts] == [1000, 1000, 500]
    assert parts[2]["id"][0].as_py() == "sim-000002000"


def test_no_rows_are_a_table_too():
    assert samples_table(0, seed=1).num_rows == 0


def test_a_table_too_large_for_one_says_what_to_do():
    with pytest.raises(InvalidInputError):
        samples_table(-1, seed=1)
