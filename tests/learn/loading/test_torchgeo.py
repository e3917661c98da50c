"""A checkout for TorchGeo trains where this package cannot be imported."""

import json
import subprocess
import sys
import sysconfig
import textwrap
from pathlib import Path

import numpy as np
import pytest

from registry.catalog.card.spec import AssetSpec
from registry.curate.checkout import checkout
from registry.errors import InvalidInputError
from registry.learn.loading.feed import feed
from tests.learn.loading.lakes import chip, lake_of, sample
from tests.learn.loading.simulated import simulated

pytest.importorskip("torchgeo")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Return a Python that has the packages of this one, but not this package.

    Files with further paths are not looked for in a folder that such a file names, so what was
    installed for editing is not there.
    """
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin" / "python"
    own = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    (Path(own) / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(code, at):
        return subprocess.run(
            [python, "-W", "ignore", "-c", textwrap.dedent(code)], cwd=at, capture_output=True,
            text=True, check=False, env={"PATH": "/usr/bin:/bin", "HOME": str(at)},
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def scars(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scars")
    registry, ref = simulated(folder / "lake", "burn-scars", samples=32)
    report = checkout(registry.resolve(ref), folder / "out", "torchgeo")
    return registry.resolve(ref), folder / "out", report


def test_it_trains_without_this_package_on_the_numbers_of_the_loader(scars, elsewhere):
    version, out, _ = scars
    ran = elsewhere(
        """
        try:
            import registry
        except ImportError:
            pass
        else:
            raise SystemExit("this package is here")
        import torch
        from torchgeo.datasets import NonGeoDataset
        from dataset import IGNORE_INDEX, BurnScars, BurnScarsDataModule
        torch.set_num_threads(1)
        torch.manual_seed(0)
        assert issubclass(BurnScars, NonGeoDataset)
        assert len(BurnScars(split="train")) == 16
        data = BurnScarsDataModule(batch_size=8)
        data.setup("fit")
        net = torch.nn.Sequential(
            torch.nn.Conv2d(6, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 2, 1)
        )
        optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
        losses = []
        for epoch in range(10):
            for batch in data.train_dataloader():
                batch = data.on_after_batch_transfer(batch, 0)
                loss = torch.nn.functional.cross_entropy(
                    net(batch["image"]), batch["mask"], ignore_index=IGNORE_INDEX
                )
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(loss.item())
        assert losses[-1] < 0.7 * losses[0], losses
        assert len(data.val_dataset) == 8
        print("trained")
        import numpy as np
        data = BurnScars(split="test")
        samples = [data[number] for number in range(len(data))]
        np.savez("test.npz", ids=[one["id"] for one in samples],
                 images=np.stack([one["image"].numpy() for one in samples]),
                 masks=np.stack([one["mask"].numpy() for one in samples]),
                 valid=np.stack([one["image_valid"].numpy() for one in samples]))
        """,
        out,
    )
    assert ran.stdout.strip() == "trained", ran.stderr[-3000:]
    theirs = np.load(out / "test.npz")
    (out / "test.npz").unlink()
    ours = {
        name: (image, mask, valid)
        for batch in feed(version, split="test", batch_size=8)
        for name, image, mask, valid in zip(
            batch["id"], batch["image"], batch["mask"], batch["image_valid"], strict=True
        )
    }
    assert sorted(ours) == sorted(theirs["ids"].tolist())
    for number, name in enumerate(theirs["ids"].tolist()):
        image, mask, valid = ours[name]
        assert np.allclose(theirs["images"][number], image, atol=1e-5)
        assert np.array_equal(theirs["masks"][number], mask)
        assert np.array_equal(theirs["valid"][number], valid)


def test_lists_name_the_samples_of_each_subset(scars):
    version, out, report = scars
    found = {path.stem: path.read_text().split() for path in (out / "splits").glob("*.txt")}
    assert {name: len(ids) for name, ids in found.items()} == {
        "all": 32, "train": 16, "val": 8, "test": 8,
    }  # fmt: skip
    assert report.rasters == 64
    assert report.lost_tags == ()
    assert set(found["all"]) == set(version.table("samples")["id"].to_pylist())


def test_boxes_series_scene_classes_and_strange_names_survive(tmp_path, elsewhere):
    registry, ref = simulated(tmp_path / "a", "detection", samples=6, size=32, split=False)
    report = checkout(registry.resolve(ref), tmp_path / "out" / "boxes", "torchgeo")
    assert any("no split" in one for one in report.lost_tags)
    card = {
        "title": 'It\'s """odd""" @@NAME@@ \\',
        "classes": ('a "quoted" one', "b\nc"),
        "assets": {"s2": AssetSpec(role="data", bands=('B"1', "B'2"), unit="reflectance")},
    }

    def more(number):
        return {"arrays": {"s2": np.stack([chip(number)] * 3)}, "label": card["classes"][number]}

    rows = [sample(n, **more(n)) for n in range(2)]
    registry, ref = lake_of(tmp_path / "b", rows, name="3d-odd", spec=card)
    checkout(registry.resolve(ref), tmp_path / "out" / "odd", "torchgeo")
    ran = elsewhere(
        """
        import json
        from boxes.dataset import CLASSES, Detection, collate
        from odd import dataset as odd
        data = Detection(split="all")
        batch = collate([data[number] for number in range(len(data))])
        assert batch["image"].shape[0] == len(batch["bbox_xyxy"]) == len(data) == 6
        assert {int(n) for one in batch["label"] for n in one} == {1}, batch["label"]
        assert CLASSES == ("background", "Boat")
        try:
            Detection()
        except ValueError as error:
            assert "it has all" in str(error)
        data = odd.Set3dOdd(split="all", normalise=False)
        said = [list(data[0]["image"].shape), [int(one["label"]) for one in data]]
        bands = odd.INPUTS["s2"]["bands"]
        print(json.dumps([*said, odd.CLASSES, bands, float(data[1]["image"].min())]))
        """,
        tmp_path / "out",
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    shape, labels, classes, bands, least = json.loads(ran.stdout)
    assert (shape, labels, least) == ([3, 2, 8, 8], [0, 1], 201.0)
    assert (tuple(classes), tuple(bands)) == (card["classes"], ('B"1', "B'2"))


def test_a_version_without_inputs_is_refused(tmp_path):
    card = {"assets": {"s2": AssetSpec(role="labels")}}
    registry, ref = lake_of(tmp_path / "lake", [sample(1)], spec=card)
    with pytest.raises(InvalidInputError, match="no asset of role 'data'"):
        checkout(registry.resolve(ref), tmp_path / "out", "torchgeo")
    assert not (tmp_path / "out").exists()
