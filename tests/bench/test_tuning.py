"""Rows that train: the same chips for both, nothing said without a GPU, nothing judged on a CPU."""

import math

import numpy as np
import pytest
import torch

from bench import outcome, row_15, row_16, row_wait, scars, tuning
from bench.__main__ import measured
from registry import connect
from registry.learn.loading.stream import stream


@pytest.fixture
def no_gpu(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("EOLAB_BENCH_ON_CPU", raising=False)
    monkeypatch.setenv("EOLAB_BENCH_RESULTS", str(tmp_path / "results"))
    return tmp_path


@pytest.mark.parametrize("name", ["row_15", "row_16"])
def test_a_row_for_a_gpu_says_in_a_line_that_there_is_none_and_records_nothing(
    name, no_gpu, capsys
):
    measured(name)

    assert capsys.readouterr().out == "  left out: there is no GPU here\n"
    assert not [*no_gpu.glob("results/*.json")]


def test_what_is_tried_on_a_cpu_is_compared_to_no_target():
    taken = {name: [(2.0, 2.0)] for name in ("ours", "as it comes", "tuned")}

    compared, figures = row_15._said(taken, "cpu", timed=3, batch=4, flops_=1, waits=[0, 1])

    assert not compared
    assert all(one.reached is None and "tried on a CPU" in one.row for one in figures)


def test_the_share_of_an_unknown_devices_peak_is_not_given(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Abacus 9000")

    assert row_15._of_the_device("15", 1e12) == []
    assert "Abacus 9000" in capsys.readouterr().out


def test_the_share_of_a_known_devices_peak_is_held_against_the_target(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100 80GB HBM3")

    used, short = row_15._of_the_device("15", 0.3 * 989e12)

    assert used.value == pytest.approx(30)
    assert short.value == pytest.approx(10)
    assert short.reached is False


def test_time_is_taken_between_two_steps():
    watch = tuning.Watch(first=2, last=4)
    watch.stage("training", total=4, unit="steps")
    watch.advance(0)
    for _ in range(3):
        watch.advance()
    with pytest.raises(RuntimeError, match="there were 3 steps, of 4"):
        _ = watch.seconds
    watch.advance()
    assert watch.seconds >= 0


def test_a_goal_is_reached_at_the_first_epoch_that_is_as_good():
    assert row_16.until([(1.0, 50.0), (2.0, 70.0), (3.0, 80.0)], 60.0) == 2.0
    assert math.isinf(row_16.until([(1.0, 50.0)], 60.0))


def test_iou_is_of_the_classes_that_occur():
    assert outcome.iou(np.array([[3, 1], [0, 4]])) == pytest.approx(77.5)
    assert outcome.iou(np.array([[3, 0], [0, 0]])) == pytest.approx(100)


def test_a_step_of_a_vit_l_takes_what_its_authors_say():
    forward = row_wait.step_flops() / 3 / 32
    assert forward == pytest.approx(
        2 * 61.6e9, rel=0.01
    )  # timm's table of results counts 61.6 GMAC


def _files(folder):
    import rasterio

    found = {}
    for path in sorted(folder.glob("*_image.tif")):
        name = path.name.removesuffix("_image.tif")
        with rasterio.open(path) as image, rasterio.open(folder / f"{name}_mask.tif") as mask:
            found[name] = image.read(), mask.read()
    return found


def _same(made):
    registry = connect(made.lake)
    for subset in scars.SUBSETS:
        files = _files(made.tif(subset))
        assert len(files) == made.counts[subset]
        for batch in stream(scars.REF, registry=registry, split=subset, batch_size=4):
            for at, name in enumerate(batch.ids):
                image, mask = files.pop(name)
                assert np.array_equal(batch.arrays["image"][at], image)
                assert np.array_equal(batch.arrays["mask"][at], mask)
        assert not files
    images = np.concatenate([
        image.reshape(6, -1) for image, _ in _files(made.tif("train")).values()
    ], axis=1).astype(np.float64)  # fmt: skip
    assert made.means == pytest.approx(images.mean(1).tolist())
    assert made.stds == pytest.approx(images.std(1).tolist())


def test_lake_and_files_hold_the_same_simulated_chips(tmp_path):
    counts = {"train": 5, "validate": 2, "test": 3}

    made = scars.material(tmp_path, counts, size=32)

    assert made.simulated
    assert made.counts == counts
    _same(made)
    assert scars.material(tmp_path, counts, size=32) == made


def test_the_real_set_is_taken_where_it_is_at_hand(tmp_path, monkeypatch):
    import rasterio

    rng = np.random.default_rng(1)
    for part, count in (("training", 6), ("validation", 2)):
        folder = tmp_path / "data" / "hls_burn_scars" / part
        folder.mkdir(parents=True)
        for number in range(count):
            stem = f"subsetted_512x512_HLS.S30.T10SDH.{part}{number}"
            shape = {"driver": "GTiff", "width": 16, "height": 16, "crs": "EPSG:32610",
                     "transform": rasterio.Affine(30, 0, 5e5, 0, -30, 4e6)}  # fmt: skip
            with rasterio.open(
                folder / f"{stem}_merged.tif", "w", count=6, dtype="float32", **shape
            ) as file:
                file.write(rng.random((6, 16, 16), np.float32))
            with rasterio.open(
                folder / f"{stem}.mask.tif", "w", count=1, dtype="int16", **shape
            ) as file:
                file.write(rng.integers(-1, 2, (1, 16, 16), np.int16))
    monkeypatch.setenv("EOLAB_BENCH_DATA", str(tmp_path / "data"))

    made = scars.material(tmp_path / "work", {}, size=32, own=True)

    assert not made.simulated
    assert made.counts == {"train": 4, "validate": 2, "test": 2}
    _same(made)
