import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import shapely

import registry
from registry.cli.predictions import dates_text, prediction_text
from registry.errors import CorruptError, InvalidInputError
from registry.lake import init
from registry.learn.inference.areas import areas
from registry.learn.inference.boxes import Found, detect, kept_once
from registry.learn.inference.changes import change, check_countable, transitions
from registry.learn.inference.dates import Dated
from registry.learn.inference.domain import NoDomainError, watched
from registry.learn.inference.drafts import propose
from registry.learn.inference.mapping import DISTANCE, Options, draw
from registry.learn.inference.outlines import outlines
from registry.learn.inference.picture import picture, picture_of_objects
from registry.learn.inference.predicting import Prediction
from registry.learn.inference.scenes import open_files
from registry.learn.models.architecture import Head, HeadTask

SMALL = Options(window=64, overlap=16, probabilities=True)


@pytest.fixture
def lake(tmp_path):
    init(str(tmp_path / "lake"))
    return registry.connect(str(tmp_path / "lake"))


def predicted(scene, net, head, out, options=SMALL):
    drawn = draw(scene, net, head, out, options=options)
    return Prediction(model="wet@v1", head=head, drawn=drawn)


def test_the_worked_example_of_olofsson_comes_out():
    """Tables 8 and 9 of the paper: deforestation, gain, stable forest, stable non-forest."""
    said = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]], float)
    counts = {"loss": 200_000, "gain": 150_000, "forest": 3_200_000, "other": 6_450_000}
    found = areas(counts, pixel_m2=900.0, confusion=said.T)
    hectares = [one.adjusted_share * 1e7 * 900 / 1e4 for one in found]
    half = [(one.high - one.low) / 2 * 1e7 * 900 / 1e4 for one in found]
    assert hectares == pytest.approx([21_158, 11_686, 285_770, 581_386], abs=200)
    assert half == pytest.approx([6_158, 3_756, 15_510, 16_282], rel=0.02)
    assert found[0].area_m2 == 200_000 * 900


def test_fewer_draws_make_wider_intervals():
    test = np.array([[90, 10], [20, 80]], float)
    many = areas({"a": 50, "b": 50}, confusion=test)[0]
    few = areas({"a": 50, "b": 50}, confusion=test * 1000, draws=50)[0]
    assert few.adjusted_share == pytest.approx(many.adjusted_share)
    assert few.high - few.low > many.high - many.low


def test_a_test_is_advised_where_none_was_made(tmp_path, geotiff, contract, tell, water):
    with open_files(contract, {"image": [geotiff()]}) as scene:
        done = predicted(scene, tell, water, tmp_path / "map.tif")
    counted = replace(done, areas=areas(done.drawn.counts))
    assert "--test VERSION" in prediction_text(counted)
    alone = replace(counted, drawn=replace(counted.drawn, pixels=1, observed=1))
    assert "\n1 pixel by " in prediction_text(alone)
    told = prediction_text(replace(counted, tested="wet-fields@v1"))
    assert told.endswith("areas are counted pixels")
    told = dates_text(Dated(days=(("2020-01-13", counted), ("2020-06-21", counted))))
    assert "--test" not in told  # which archives refuse
    assert told.count("eolab evaluate wet@v1 --on VERSION") == 1


def test_without_a_test_areas_are_counted():
    found = areas({"a": 1, "b": 3}, pixel_m2=100.0)
    assert [(one.share, one.area_m2, one.low) for one in found] == [
        (0.25, 100.0, None), (0.75, 300.0, None),
    ]  # fmt: skip
    assert areas({"a": 1, "b": 3}, confusion=np.array([[5.0, 0], [0, 0]]))[0].low is None
    with pytest.raises(InvalidInputError, match="not one of 2 classes"):
        areas({"a": 1, "b": 3}, confusion=np.eye(3))


def test_a_map_of_change_says_what_became_what(tmp_path, geotiff, contract, tell, water, pixels):
    maps = []
    for name, shift in (("before", 0), ("after", 150)):
        array = np.random.default_rng(4).integers(1, 600, (3, 100, 120)).astype(np.uint16)
        array[2] += shift
        array[:, :5] = 0
        with open_files(contract, {"image": [geotiff(f"{name}.tif", array=array)]}) as scene:
            draw(scene, tell, water, tmp_path / f"{name}-map.tif", options=SMALL)
        maps.append(tmp_path / f"{name}-map.tif")
    counts = change(*maps, tmp_path / "change.tif")
    one, other = (pixels(path)[0] for path in maps)
    made = pixels(tmp_path / "change.tif")[0]
    assert list(counts) == list(transitions(water.classes))
    assert counts["water to land"] == ((one == 1) & (other == 0)).sum() > 0
    became = np.where(one == other, 0, np.where(one == 0, 1, 2))
    assert (made == np.where(one == 255, 255, became)).all()
    with pytest.raises(InvalidInputError, match="no maps of the same classes"):
        change(maps[0], tmp_path / "change.tif", tmp_path / "twice.tif")


def test_more_classes_than_a_map_of_change_holds_are_refused():
    names = tuple(map(str, range(257)))
    assert len(transitions(names[:256])) <= np.iinfo(np.uint16).max
    check_countable(names[:256])
    with pytest.raises(InvalidInputError, match="256 classes apart, and these are 257"):
        check_countable(names)


def test_transitions_are_numbered_as_they_are_named():
    from registry.learn.inference.changes import _paired

    names = ("a", "b", "c")
    one, other = np.meshgrid(range(3), range(3), indexing="ij")
    found = _paired(one, other, 3)
    for a in range(3):
        for b in range(3):
            said = transitions(names)[found[a, b]]
            assert said == ("no change" if a == b else f"{names[a]} to {names[b]}")


def test_distances_beyond_the_threshold_are_beyond_one():
    for precision in ([[1, 0], [0, 4]], [1, 4]):
        domain = {"mean": [0, 0], "precision": precision, "threshold": 2.0}
        net = watched(lambda _: {}, lambda arrays: arrays["image"], domain, name="wet@v1")
        answer = net({"image": np.array([[2.0, 0.0], [0.0, 2.0]])})
        assert answer[DISTANCE].ravel().tolist() == [1.0, 2.0]


def test_a_model_without_a_domain_does_not_abstain():
    with pytest.raises(NoDomainError, match="nobody measured where wet@v1 is valid"):
        watched(lambda _: {}, lambda _: None, {}, name="wet@v1")
    domain = {"mean": [0, 0], "precision": [[1]], "threshold": 1}
    with pytest.raises(CorruptError, match="precision of shape"):
        watched(lambda _: {}, lambda _: None, domain, name="wet@v1")


def test_regions_become_polygons_of_a_least_size():
    classes = np.zeros((40, 60), np.uint8)
    classes[5:15, 10:30] = 1
    classes[30, 50] = 1
    classes[20:30, 40:45] = 255
    shares = np.full((2, 40, 60), 0.8, np.float32)
    (found,) = outlines(classes, nodata=255, skip=(0,), least=4, tolerance=0, probabilities=shares)
    assert found.shape.equals(shapely.box(10, 5, 30, 15))
    assert (found.category, found.pixels) == (1, 200)
    assert found.score == pytest.approx(0.8)


def test_predictions_come_back_as_proposed_annotations(
    tmp_path, geotiff, contract, tell, water, lake, coordinates
):
    array = coordinates(150, 600)
    with open_files(contract, {"image": [geotiff(array=array)]}) as scene:
        done = predicted(scene, tell, water, tmp_path / "map.tif")
        landed = propose(lake, done, scene, into="wet-maps", name="scene-a", least=1, tolerance=0)
        again = propose(lake, done, scene, into="wet-maps", name="scene-a", least=1, tolerance=0)
    assert (landed.added, again.added) == (2, 0)
    draft = lake.resolve("wet-maps@draft")
    samples = draft.table("samples")
    assert sorted(samples["id"].to_pylist()) == ["scene-a-000000-000000", "scene-a-000000-000512"]
    rows = draft.table("annotations").to_pylist()
    assert {row["status"] for row in rows} == {"proposed"}
    assert {row["method"] for row in rows} == {"automated"}
    assert {json.loads(row["attributes"])["model"] for row in rows} == {"wet@v1"}
    assert {row["category"] for row in rows} == {"water"}
    assert all(0.5 <= row["score"] <= 1 for row in rows)
    assert (draft.chip("scene-a-000000-000512", "image") == array[[2, 0], :, 512:]).all()


def test_proposals_lie_where_the_map_says(tmp_path, geotiff, contract, tell, water, lake):
    with open_files(contract, {"image": [geotiff(shape=(150, 600))]}) as scene:
        done = predicted(scene, tell, water, tmp_path / "map.tif")
        propose(lake, done, scene, into="wet-maps", name="scene-a", least=1, tolerance=0)
    rows = lake.resolve("wet-maps@draft").table("annotations").to_pylist()
    whole = shapely.union_all([shapely.from_wkb(row["geometry"]) for row in rows])
    with rasterio.open(tmp_path / "map.tif") as made:
        shown = rasterio.features.rasterize([whole], made.shape, transform=made.transform)
        assert (shown == made.read(1)).all()
    assert {row["frame"] for row in rows} == {"crs"}


def test_a_scene_without_a_place_proposes_pixels(tmp_path, geotiff, contract, tell, water, lake):
    path = geotiff(crs=None, transform=rasterio.Affine.identity())
    with open_files(contract, {"image": [path]}) as scene:
        done = predicted(scene, tell, water, tmp_path / "map.tif")
        propose(lake, done, scene, into="wet-maps", name="scene-a")
        with pytest.raises(InvalidInputError, match="knows no class 'fire'"):
            propose(lake, done, scene, into="wet-maps", name="b", categories=("fire",))
    rows = lake.resolve("wet-maps@draft").table("annotations").to_pylist()
    assert {row["frame"] for row in rows} == {"pixel"}


def boats(threshold):
    """Return what finds the bright rectangles of a window, cut by its edges or not."""
    from scipy import ndimage

    def answer(arrays):
        found = []
        for window in arrays["image"]:
            regions = ndimage.find_objects(ndimage.label(window[0] > threshold)[0])
            boxes = [(x.start, y.start, x.stop, y.stop) for y, x in regions]
            found.append(SimpleNamespace(
                corners=np.array(boxes, np.float32).reshape(-1, 4),
                scores=np.linspace(0.9, 0.6, len(boxes)), classes=np.zeros(len(boxes), int),
            ))  # fmt: skip
        return {"detection": tuple(found)}

    return answer


def test_objects_that_several_windows_see_are_found_once(
    tmp_path, geotiff, contract, lake, coordinates
):
    head = Head(name="detection", task=HeadTask.DETECTION, classes=("boat",))
    array = coordinates(200, 300) % 400 + 1
    places = [(10, 20, 22, 26), (58, 60, 70, 66), (120, 40, 128, 60), (255, 150, 270, 160)]
    for left, top, right, bottom in places:
        array[:, top:bottom, left:right] = 5000
    with open_files(contract, {"image": [geotiff(array=array)]}) as scene:
        found = detect(
            scene, boats(1000), head, tmp_path / "boats.geojson",
            options=Options(window=64, overlap=32), model="boats@v1",
        )  # fmt: skip
        assert sorted(one.corners for one in found) == sorted(places)
        done = Prediction(model="boats@v1", head=head, drawn=None, found=found)
        propose(lake, done, scene, into="boats", name="bay")
        with pytest.raises(InvalidInputError, match="cannot hold objects"):
            detect(scene, None, head, tmp_path / "b.tif", options=SMALL, model="boats@v1")
    document = json.loads((tmp_path / "boats.geojson").read_text())
    assert len(document["features"]) == 4
    lon, lat = document["features"][0]["geometry"]["coordinates"][0][0]
    assert 14.9 < lon < 15.2
    assert 45 < lat < 45.3
    rows = lake.resolve("boats@draft").table("annotations").to_pylist()
    assert len(rows) == 4
    assert all(row["isbox"] for row in rows)


def test_whole_boxes_come_before_cut_ones():
    corners = np.array([[0, 0, 10, 10], [5, 0, 10, 10], [100, 0, 110, 10]], float)
    kept = kept_once(
        corners, np.array([0.5, 0.9, 0.3]), np.zeros(3, int), np.array([False, True, False])
    )
    assert sorted(kept) == [0, 2]


def test_a_picture_shows_scene_and_map(tmp_path, geotiff, contract, tell, water):
    from PIL import Image

    with open_files(contract, {"image": [geotiff(shape=(330, 350))]}) as scene:
        draw(scene, tell, water, tmp_path / "map.tif", options=SMALL)
        picture(scene, tmp_path / "map.tif", water.classes, tmp_path / "look.png")
    with Image.open(tmp_path / "look.png") as image:
        assert image.size == (2 * 350 + 12, 330 + 60)
        shown = np.asarray(image)[:330, 362:]
    with rasterio.open(tmp_path / "map.tif") as made:
        assert ((shown == (230, 159, 0)).all(-1) == (made.read(1) == 1)).all()


def test_a_picture_of_objects_has_a_box_around_each(tmp_path, geotiff, contract):
    from PIL import Image

    found = (Found(category="boat", score=0.9, corners=(50.0, 60.0, 90.0, 100.0)),)
    with open_files(contract, {"image": [geotiff(shape=(330, 350))]}) as scene:
        picture_of_objects(scene, found, ("boat", "buoy"), tmp_path / "look.png")
    with Image.open(tmp_path / "look.png") as image:
        assert image.size == (350, 330 + 40)
        blue = (np.asarray(image)[:330] == (0, 114, 178)).all(-1)
    rows, columns = np.nonzero(blue)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (60, 100, 50, 90)


def test_a_detector_says_that_there_was_nothing_to_look_at(tmp_path, geotiff, contract):
    head = Head(name="detection", task=HeadTask.DETECTION, classes=("boat",))
    said = []
    empty = geotiff(array=np.zeros((3, 64, 64), np.uint16))
    with open_files(contract, {"image": [empty]}) as scene:
        found = detect(
            scene, boats(1000), head, tmp_path / "b.geojson", options=SMALL, model="b@v1", said=said
        )
    assert found == ()
    assert ["nothing was observed" in one for one in said] == [True]
