"""Simulated chips are reproducible, lie somewhere real, and their truth is true."""

import hashlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import shapely

from registry.curate.ingest.simulator import PLACES, TASKS, simulate
from registry.curate.ingest.simulator.materials import MATERIALS, SENSORS, spectrum
from registry.errors import InvalidInputError, NotFoundError
from registry.geo import bbox_of

EVERY_TASK = pytest.mark.parametrize("task", sorted(TASKS))
UNKNOWN = 255


def digest(chips):
    whole = hashlib.sha256()
    for chip in chips:
        whole.update(repr((chip.id, chip.grid, chip.moment, chip.labels, chip.target)).encode())
        for asset in chip.assets.values():
            whole.update(asset.array.tobytes())
        for thing in chip.annotations:
            whole.update(shapely.to_wkb(thing.geometry))
    return whole.hexdigest()


def band(chip, name):
    asset = next(iter(chip.assets.values()))
    return asset.array[asset.bands.index(name)].astype(float) / 10_000


@EVERY_TASK
def test_the_same_seed_gives_the_same_bytes_on_any_thread(task):
    def made(seed):
        return digest(simulate(task, samples=5, seed=seed, size=32))

    with ThreadPoolExecutor(4) as pool:
        same = set(pool.map(made, [3] * 4))
    assert len(same) == 1
    assert made(4) not in same


@EVERY_TASK
def test_chips_are_as_many_and_as_large_as_asked_and_have_names_of_their_own(task, chips_of):
    chips = chips_of(task)
    assert len(chips) == 24
    assert len({chip.id for chip in chips}) == 24
    for chip in chips:
        for asset in chip.assets.values():
            assert asset.array.shape[-2:] == (chip.grid.height, chip.grid.width)
            assert len(asset.bands) == asset.array.shape[-3]
            assert asset.array.flags.c_contiguous
        assert chip.image.dtype == np.uint16
        assert chip.image.min() >= 1


@EVERY_TASK
def test_chips_lie_at_the_place_that_they_are_named_after(task, chips_of):
    for chip in chips_of(task):
        place = PLACES[chip.group.rpartition("-")[0]]
        box = bbox_of(chip.grid.footprint())
        lon, lat = box.centre
        assert abs(lat - place.lat) < 1
        assert min(abs(lon - place.lon), 360 - abs(lon - place.lon)) < 3
        assert chip.grid.crs == place.crs


@EVERY_TASK
def test_the_sun_is_up_and_clouds_are_counted(task, chips_of):
    for chip in chips_of(task):
        assert chip.properties["view:sun_elevation"] > 10
        assert 0 <= chip.properties["eo:cloud_cover"] <= 100


def test_chips_of_one_day_do_not_overlap():
    chips = list(simulate("segmentation", samples=200, seed=2, size=32, places=["iowa", "kruger"]))
    by_group = {}
    for chip in chips:
        by_group.setdefault(chip.group, {})[chip.grid] = chip.grid.footprint()
    shapes = [shape for group in by_group.values() for shape in group.values()]
    tree = shapely.STRtree(shapes)
    for i, j in tree.query(shapes, predicate="intersects").T:
        if i < j:
            assert shapes[i].intersection(shapes[j]).area < 1e-7


def test_places_are_on_every_inhabited_continent_the_antimeridian_and_in_the_far_north():
    assert len(PLACES) >= 15
    assert min(place.lat for place in PLACES.values()) < -30
    assert max(place.lat for place in PLACES.values()) > 75
    assert any(abs(place.lon) > 179.5 for place in PLACES.values())
    assert {"IT", "US", "BR", "ZA", "AU", "JP"} <= {place.country for place in PLACES.values()}


def test_scenes_cross_the_antimeridian_where_the_place_does():
    chips = simulate("segmentation", samples=64, seed=1, size=32, places=["taveuni"])
    assert any(bbox_of(chip.grid.footprint()).crosses_antimeridian for chip in chips)


def test_water_is_dark_in_the_infrared_and_forest_is_not():
    water, forest = [], []
    for chip in simulate("segmentation", samples=40, seed=5, size=64):
        mask, infrared = chip.assets["mask"].array[0], band(chip, "NIR_NARROW")
        water.append(infrared[mask == 0])
        forest.append(infrared[mask == 1])
    assert np.median(np.concatenate(water)) < 0.06
    assert np.median(np.concatenate(forest)) > 0.12


def test_what_burnt_lost_its_infrared():
    burnt, green = [], []
    for chip in simulate("burn-scars", samples=24, seed=5, size=64):
        mask = chip.assets["mask"].array[0]
        near, short = band(chip, "NIR_NARROW"), band(chip, "SWIR_2")
        ratio = (near - short) / (near + short)
        burnt.append(ratio[mask == 1])
        green.append(ratio[mask == 0])
    assert np.median(np.concatenate(burnt)) < np.median(np.concatenate(green)) - 0.15


def test_floods_are_under_water():
    for chip in simulate("floods", samples=6, seed=5, size=128, sensor="hls"):
        mask = chip.assets["mask"].array[0]
        green, near = band(chip, "GREEN"), band(chip, "NIR_NARROW")
        if (mask == 1).sum() > 200:
            assert np.median((green - near)[mask == 1]) > 0


def test_ships_are_brighter_than_the_water_around_them():
    brighter = 0
    ships = 0
    for chip in simulate("detection", samples=16, seed=6, size=64):
        a, _, c, _, e, f = chip.grid.transform
        red = band(chip, "RED")
        for thing in chip.annotations:
            middle = thing.geometry.centroid
            row, column = int((middle.y - f) / e), int((middle.x - c) / a)
            ships += 1
            brighter += red[min(row, 63), min(column, 63)] > np.median(red) + 0.02
    assert ships >= 16
    assert brighter > 0.7 * ships  # clouds hide some


def test_every_chip_for_detection_shows_a_ship_inside_of_itself(chips_of):
    for chip in chips_of("detection"):
        a, _, c, _, e, f = chip.grid.transform
        frame = shapely.box(c, f + e * chip.grid.height, c + a * chip.grid.width, f).buffer(1e-6)
        assert chip.annotations
        assert all(frame.covers(thing.geometry) for thing in chip.annotations)


def test_the_target_is_the_mean_of_what_can_be_seen(chips_of):
    for chip in chips_of("regression"):
        truth = chip.assets["biomass"].array
        seen = truth[truth >= 0]
        if seen.size:
            assert chip.target == pytest.approx(float(seen.mean()), abs=1e-2)
        assert truth.dtype == np.float32
        assert truth.max() < 600


def test_masks_hold_only_classes_and_the_unknown(chips_of):
    for name in ("segmentation", "burn-scars", "floods", "time-series"):
        values = {int(v) for chip in chips_of(name) for v in np.unique(chip.assets["mask"].array)}
        assert values <= set(range(len(TASKS[name].classes))) | {UNKNOWN}
        assert len(values - {UNKNOWN}) >= 2


def test_scene_classes_are_all_met():
    seen = {
        label
        for chip in simulate("classification", samples=800, seed=1, size=32)
        for label in chip.labels
    }
    assert seen == set(TASKS["classification"].classes)


def test_a_year_of_a_field_has_a_season(chips_of):
    swings = []
    for chip in chips_of("time-series"):
        asset = chip.assets["sentinel-2"]
        assert len(asset.times) == 12 == asset.array.shape[0]
        assert list(asset.times) == sorted(asset.times)
        pixels = asset.array.astype(float)
        red, near = pixels[:, asset.bands.index("RED")], pixels[:, asset.bands.index("NIR_NARROW")]
        grown = chip.assets["mask"].array[0] > 0
        if grown.any():
            ndvi = ((near - red) / (near + red))[:, grown].mean(axis=1)
            swings.append(np.ptp(ndvi))
    assert max(swings) > 0.3


def test_large_simulations_visit_the_same_ground_in_several_seasons():
    chips = list(simulate("segmentation", samples=300, seed=1, size=16, places=["iowa"]))
    days = {}
    for chip in chips:
        days.setdefault(chip.group, set()).add(chip.moment.date())
    assert max(len(of_group) for of_group in days.values()) > 1


def test_materials_reflect_between_nothing_and_everything():
    for sensor in SENSORS.values():
        for material in MATERIALS:
            shares = spectrum(material, sensor)
            assert shares.shape == (len(sensor.bands),)
            assert (shares >= 0).all()
            assert (shares <= 1).all()


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"task": "divination"}, NotFoundError),
        ({"sensor": "sextant"}, NotFoundError),
        ({"places": ["atlantis"]}, NotFoundError),
        ({"task": "detection", "places": ["iowa"]}, InvalidInputError),
        ({"size": 8}, InvalidInputError),
        ({"size": 4096}, InvalidInputError),
        ({"seed": -1}, InvalidInputError),
        ({"samples": -1}, InvalidInputError),
    ],
)
def test_what_cannot_be_simulated_is_refused_at_once(wrong, error):
    asked = {"task": "segmentation", "samples": 1, "seed": 0}
    with pytest.raises(error) as refused:
        simulate(**(asked | wrong))
    assert refused.value.hint


def test_nothing_can_be_simulated_too():
    assert list(simulate("segmentation", samples=0, seed=0)) == []
