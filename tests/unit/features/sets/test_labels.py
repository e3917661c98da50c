"""Shares, sizes and statistics under outlines are those counted by hand and by other tools."""

import math
import struct
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from shapely import LineString, Point, Polygon, box

from registry.curate.features.scene import Layer, MissingInputError, Scene, Shape
from registry.curate.features.sets.labels import LABELS, ZONAL, covering, zonal, zones

UTM = {"crs": "EPSG:32633", "transform": (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)}
SKEWED = (8.0, 2.0, 500_000.0, -2.0, -8.0, 5_000_000.0)


def mask(codes, **facts):
    return Layer(asset="mask", raw=np.asarray(codes)[None, None], role="labels", **facts)


def image(values, **facts):
    values = np.asarray(values)
    raw = values[(None,) * (4 - values.ndim)]
    names = tuple(f"B{number}" for number in range(raw.shape[1]))
    return Layer(asset="s2", raw=raw, **{"bands": names, **facts})


def shape(outline, name="x", *, frame="pixel", category="ship"):
    wkb = outline if isinstance(outline, bytes | None) else shapely.to_wkb(outline)
    return Shape(id=name, category=category, geometry=wkb, frame=frame)


def with_a_corner_at(x):
    return shapely.to_wkb(Polygon([(0, 0), (12345, 1), (1, 1)])).replace(
        struct.pack("<d", 12345), struct.pack("<d", x)
    )


def values(*layers, shapes=()):
    return LABELS.by_scene(Scene(sample="a", layers=layers, shapes=tuple(shapes)))


# ------------------------------------------------------------------------------------------ masks
def test_shares_are_those_counted_by_hand():
    found = values(mask([[1, 1, 2, 2], [1, 1, 2, 2], [1, 1, 3, 9]], values={1: "water", 2: "crop"}))

    assert found["classes"] == ["water", "crop", "3", "9"]
    assert found["shares"] == pytest.approx([6 / 12, 4 / 12, 1 / 12, 1 / 12])
    assert found["dominant"] == "water"
    assert found["dominant_share"] == 0.5
    p = np.array([6, 4, 1, 1]) / 12
    assert found["entropy"] == pytest.approx(-(p * np.log(p)).sum())
    assert found["evenness"] == pytest.approx(found["entropy"] / math.log(4))
    assert found["class_count"] == 4
    assert found["labelled_pixels"] == 12


def test_patches_and_edges_are_those_counted_by_hand():
    found = values(mask([[1, 2, 1], [2, 1, 2], [3, 3, 3]], gsd=10.0))

    assert found["patches"] == 4 - 1  # 1 and 2 each touch by their corners, and 3
    assert found["patch_pixels"] == 3
    # of 12 pairs of neighbours: 2 + 2 + 0 beside each other, 3 + 3 above each other
    assert found["edge_share"] == pytest.approx(10 / 12)
    assert found["edge_density"] == pytest.approx(10 * 10 / (9 * 100 / 10_000))


def test_what_nobody_labelled_is_left_out():
    found = values(mask([[1, 1, 255], [255, 2, 2]], nodata=255.0))

    assert found["shares"] == [0.5, 0.5]
    assert found["labelled_pixels"] == 4
    assert found["edge_share"] == pytest.approx(1 / 3)


def test_values_of_one_class_are_one_class():
    found = values(mask([[1, 2]], values={1: "crop", 2: "crop"}))

    assert found["classes"] == ["crop"]
    assert found["shares"] == [1.0]
    assert found["entropy"] == found["edge_share"] == 0
    assert found["evenness"] is None
    assert found["patches"] == 1


def test_shares_are_over_all_times():
    raw = np.array([[[[1, 1]]], [[[1, 2]]]])
    layer = Layer(asset="m", raw=raw, role="labels", times=(datetime(2020, 1, 1, tzinfo=UTC),) * 2)
    found = values(layer)

    assert found["shares"] == [0.75, 0.25]
    assert found["patches"] == 1.5


@pytest.mark.parametrize(
    ("codes", "facts", "why"),
    [
        ([[255, 255]], {"nodata": 255.0}, "no pixel of mask 'mask' has a label"),
        ([[0.5, 1.0]], {}, "values between whole numbers"),
        (np.arange(5000).reshape(50, 100), {}, "5,000 values"),
    ],
)
def test_what_is_no_mask_of_classes_has_a_reason(codes, facts, why):
    with pytest.raises(MissingInputError, match=why):
        values(mask(codes, **facts))


def test_one_pixel_has_a_class_and_no_edge():
    found = values(mask([[4]]))

    assert found["classes"] == ["4"]
    assert found["patches"] == 1
    assert "edge_share" not in found


# ---------------------------------------------------------------------------------------- objects
def test_objects_are_counted_and_measured_on_the_ground():
    x, y = 500_000, 5_000_000
    shapes = [
        shape(box(x, y - 20, x + 10, y), "a", frame="crs", category="ship"),
        shape(box(x, y - 20, x + 30, y), "b", frame="crs", category="ship"),
        shape(box(x, y - 20, x + 20, y), "c", frame="crs", category="boat"),
        shape(Point(x, y), "d", frame="crs", category=None),
    ]
    found = values(image(np.zeros((3, 8, 8)), **UTM), shapes=shapes)

    assert found["objects"] == 4
    assert found["object_classes"] == ["ship", "boat"]
    assert found["object_counts"] == [2, 1]
    assert found["object_area_mean"] == found["object_area_median"] == pytest.approx(400)
    assert found["object_area_min"] == pytest.approx(200)
    assert found["object_area_max"] == pytest.approx(600)
    assert found["object_pixels_max"] == pytest.approx(6)
    assert found["outlines_broken"] == 1  # a point has no area


def test_degrees_are_measured_on_the_ellipsoid():
    degree = (0.001, 0.0, 0.0, 0.0, -0.001, 1.0)
    layer = image(np.zeros((1, 4, 4)), crs="EPSG:4326", transform=degree)
    found = values(layer, shapes=[shape(box(0, 0, 1, 1), frame="crs")])

    assert found["object_area_mean"] == pytest.approx(12_308_778_361, rel=1e-6)
    assert found["object_pixels_mean"] == pytest.approx(1e6)


def test_pixels_become_square_metres_where_their_size_is_known():
    outline = [shape(box(0, 0, 2, 3))]

    assert values(image(np.zeros((1, 4, 4))), shapes=outline)["object_pixels_mean"] == 6
    assert "object_area_mean" not in values(image(np.zeros((1, 4, 4))), shapes=outline)
    assert values(image(np.zeros((1, 4, 4)), gsd=0.5), shapes=outline)["object_area_mean"] == 1.5


def test_a_sample_without_annotations_has_none():
    found = values(image(np.zeros((1, 4, 4))))

    assert found["objects"] == 0
    assert found["object_classes"] == found["object_counts"] == []
    assert "zonal_mean" not in found


# ------------------------------------------------------------------------------------------ zonal
def test_a_polygon_that_covers_half_a_pixel_counts_half_of_it():
    found = zonal(image([[10.0, 30.0]]), [shape(box(0, 0, 1.5, 1))]).to_pylist()

    assert found == [
        {
            "annotation": "x",
            "category": "ship",
            "time": None,
            "band": "B0",
            "count": 1.5,
            "mean": pytest.approx((10 + 0.5 * 30) / 1.5),
            "std": pytest.approx(math.sqrt((10**2 + 0.5 * 30**2) / 1.5 - (25 / 1.5) ** 2)),
            "min": 10.0,
            "max": 30.0,
        }
    ]


def test_rows_come_by_outline_time_and_band():
    raw = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 2, 2)
    times = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC))
    found = zonal(
        image(raw, times=times), [shape(box(0, 0, 1, 1), "p"), shape(box(1, 1, 2, 2), "q")]
    )

    assert found.schema == ZONAL
    assert found.column("annotation").to_pylist() == ["p"] * 6 + ["q"] * 6
    assert found.column("time").to_pylist() == [*[times[0]] * 3, *[times[1]] * 3] * 2
    assert found.column("band").to_pylist() == ["B0", "B1", "B2"] * 4
    assert found.column("mean").to_pylist() == [0, 4, 8, 12, 16, 20, 3, 7, 11, 15, 19, 23]


def test_scale_offset_and_nodata_are_heeded():
    layer = image(np.array([[0, 1000, 3000]], np.uint16), nodata=0.0, scale=(1e-4,), offset=(-0.1,))
    (found,) = zonal(layer, [shape(box(0, 0, 3, 1))]).to_pylist()

    assert found["count"] == 2
    assert found["mean"] == pytest.approx(0.1, abs=1e-6)
    assert found["min"] == pytest.approx(0, abs=1e-6)


def test_nan_counts_for_nothing():
    (found,) = zonal(image([[np.nan, 5.0]]), [shape(box(0, 0, 2, 1))]).to_pylist()

    assert (found["count"], found["mean"], found["std"]) == (1, 5, 0)


@pytest.mark.parametrize(
    "outline",
    [
        None,
        b"\x01nonsense",
        Point(1, 1),
        LineString([(0, 0), (2, 2)]),
        Polygon(),
        box(50, 50, 60, 60),
        with_a_corner_at(math.nan),
        with_a_corner_at(math.inf),
        with_a_corner_at(1e300),
    ],
)
def test_an_outline_without_area_on_the_image_has_no_pixels(outline):
    good = shape(box(0, 0, 1, 1), "good")
    found = zonal(image([[1.0, 2.0], [3.0, 4.0]]), [shape(outline, "bad"), good]).to_pylist()

    assert [(one["annotation"], one["count"], one["mean"]) for one in found] == [
        ("bad", 0, None),
        ("good", 1, 1),
    ]


def test_a_ring_that_crosses_itself_is_taken_apart():
    bow = Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
    (found,) = zonal(image(np.ones((2, 2))), [shape(bow)]).to_pylist()

    assert found["count"] == pytest.approx(2)


def test_no_cell_is_lost_where_an_edge_touches_its_corner():
    rng = np.random.default_rng(5)
    rings = [rng.integers(-4, 20, (7, 2)) for _ in range(300)]
    outlines = shapely.make_valid([Polygon(ring) for ring in rings])
    outlines = [one for one in outlines if shapely.area(one) > 0]
    expected = shapely.area(shapely.intersection(outlines, box(0, 0, 16, 16)))
    found = zonal(image(np.ones((16, 16))), [shape(one, str(i)) for i, one in enumerate(outlines)])

    np.testing.assert_allclose(found.column("count"), expected, atol=1e-4)


def test_ground_and_pixel_frames_agree_on_a_skewed_grid():
    rng = np.random.default_rng(1)
    layer = image(rng.random((2, 20, 30)), crs="EPSG:32633", transform=SKEWED)
    outline = Polygon([(2.3, 3.1), (17.2, 4.4), (11.9, 16.8)])
    a, b, c, d, e, f = SKEWED
    ground = shapely.transform(
        outline, lambda xy: xy @ np.array([[a, d], [b, e]]) + np.array([c, f])
    )
    ours = zonal(layer, [shape(outline)])
    theirs = zonal(layer, [shape(ground, frame="crs")])

    for name in ("count", "mean", "std"):
        np.testing.assert_allclose(ours.column(name), theirs.column(name), rtol=1e-7)


def test_an_outline_on_the_ground_of_an_unplaced_image_has_no_pixels():
    (found,) = zonal(image([[1.0]]), [shape(box(0, 0, 1, 1), frame="crs")]).to_pylist()

    assert found["count"] == 0


def test_statistics_are_those_of_exactextract_and_of_areas():
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    rng = np.random.default_rng(2)
    values_ = rng.random((40, 50)).astype(np.float32)
    angles = np.sort(rng.uniform(0, 2 * np.pi, (12, 9)), axis=1)
    centres, sizes = rng.uniform(5, 35, (12, 2)), rng.uniform(1, 12, (12, 1))
    rings = centres[:, None] + sizes[:, :, None] * np.stack(
        [np.cos(angles), np.sin(angles)], axis=2
    )
    outlines = [Polygon(ring) for ring in rings]
    ours = zonal(image(values_), [shape(one, str(i)) for i, one in enumerate(outlines)]).to_pylist()
    upright = shapely.transform(outlines, lambda xy: [0.0, 40.0] + xy * [1.0, -1.0])
    source = NumPyRasterSource(values_, 0, 0, 50, 40, name="v")
    features = [{"type": "Feature", "geometry": shapely.geometry.mapping(one)} for one in upright]
    theirs = exact_extract(source, features, ["count", "mean", "stdev", "min", "max"])
    inside = shapely.area(shapely.intersection(outlines, box(0, 0, 50, 40)))

    np.testing.assert_allclose([one["count"] for one in ours], inside, rtol=1e-5)
    for name, called in (("mean", "mean"), ("std", "stdev"), ("min", "min"), ("max", "max")):
        expected = [one["properties"][called] for one in theirs]
        np.testing.assert_allclose([one[name] for one in ours], expected, rtol=1e-6)


def test_many_outlines_are_done_in_parts_without_a_seam(monkeypatch):
    rng = np.random.default_rng(3)
    layer = image(rng.random((3, 30, 30)))
    outlines = [shape(Point(*rng.uniform(0, 30, 2)).buffer(4), str(i)) for i in range(40)]
    whole = zonal(layer, outlines)
    monkeypatch.setattr(covering, "_CELLS_AT_ONCE", 300)
    monkeypatch.setattr(zones, "_AT_ONCE", 500)

    assert zonal(layer, outlines).equals(whole)


def test_statistics_of_a_sample_are_those_of_all_its_pixels_under_outlines():
    raw = np.stack([np.arange(16.0).reshape(4, 4), np.full((4, 4), np.nan)])
    found = values(image(raw), shapes=[shape(box(0, 0, 2, 1)), shape(box(2, 2, 4, 4), "y")])
    pixels = np.array([0, 1, 10, 11, 14, 15])

    assert found["zonal_bands"] == ["B0"]
    assert found["zonal_count"] == [6]
    assert found["zonal_mean"] == pytest.approx([pixels.mean()])
    assert found["zonal_std"] == pytest.approx([pixels.std()])
    assert (found["zonal_min"], found["zonal_max"]) == ([0], [15])


# ---------------------------------------------------------------------------------------- the set
def test_every_value_is_a_feature_of_the_set():
    layers = (image(np.ones((2, 4, 4)), gsd=10.0), mask(np.eye(4, dtype=np.uint8), gsd=10.0))
    found = values(*layers, shapes=[shape(box(0, 0, 2, 2))])

    assert set(found) == {one.name for one in LABELS.features}


def test_bits_are_equal_on_repeat_and_in_threads():
    rng = np.random.default_rng(4)
    layers = (image(rng.random((4, 40, 40)), gsd=10.0), mask(rng.integers(0, 5, (40, 40))))
    shapes = tuple(shape(Point(*rng.uniform(0, 40, 2)).buffer(5), str(i)) for i in range(20))
    one = Scene(sample="a", layers=layers, shapes=shapes)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(LABELS.by_scene, [one] * 8))

    assert all(other == found[0] for other in found)
