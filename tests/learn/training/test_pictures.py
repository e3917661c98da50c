"""Pictures of answers: which samples they show, what they are called, what colours mean."""

import io
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from PIL import Image

from registry.learn.models.architecture import Head, HeadTask
from registry.learn.models.colours import colours
from registry.learn.training.pictures import draw_answers

CLASSES = ("not burnt", "burnt")


def batch(*ids, burnt):
    mask = torch.zeros(len(ids), 8, 8, dtype=torch.int64)
    mask[list(burnt), 2:6, 2:6] = 1
    return {"id": list(ids), "image": torch.rand(len(ids), 3, 8, 8), "mask": mask}


def run_of(*batches):
    """Return a run whose network answers that nothing is burnt."""
    head = Head(name="segmentation", task=HeadTask.SEGMENTATION, classes=CLASSES)
    bands = tuple(SimpleNamespace(common=letter) for letter in "RGB")
    contract = SimpleNamespace(inputs=(SimpleNamespace(asset="image", bands=bands),))

    class Network(torch.nn.Module):
        def forward(self, inputs):
            none = torch.tensor([1.0, 0.0])[None, :, None, None]
            return {"segmentation": none.expand(len(inputs["image"]), 2, 8, 8)}

    return SimpleNamespace(
        card=SimpleNamespace(heads=(head,), contract=contract),
        material=SimpleNamespace(held=batches),
        network=Network(),
    )


@pytest.fixture
def titles(monkeypatch):
    said = []
    write = Axes.set_title

    def heard(panel, text, **how):
        said.append(text)
        return write(panel, text, **how)

    monkeypatch.setattr(Axes, "set_title", heard)
    return said


def named(titles):
    return [one for one in titles if not one.startswith("segmentation: ")]


def test_samples_with_something_to_see_are_shown_first(titles):
    draw_answers(run_of(batch("a", "b", "c", burnt=[2]), batch("d", "e", "f", burnt=[0, 2])))
    assert named(titles) == ["c", "d", "f", "a"]


def test_a_long_name_keeps_its_beginning_and_its_end(titles):
    chips = [f"mato-grosso_0003_20190131_000{n}" for n in range(2)]
    long = [f"a-place-of-a-long-name_0003_20190131_000{n}" for n in range(2)]
    draw_answers(run_of(batch(*chips, *long, burnt=[])))
    assert named(titles)[:2] == chips
    assert len(set(named(titles))) == 4
    assert named(titles)[2] == "a-place-of-a-lon\N{HORIZONTAL ELLIPSIS}003_20190131_0000"


def test_a_class_has_the_colour_that_it_has_on_maps():
    png = draw_answers(run_of(batch("a", burnt=[0])))
    seen = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3)
    for colour in colours(len(CLASSES)):
        assert (seen == colour).all(1).sum() > 1000  # a patch of a panel, not an edge


def test_what_nobody_labelled_stays_white_and_is_no_class(titles):
    unlabelled = batch("a", "b", burnt=[])
    unlabelled["mask"][0] = -1
    unlabelled["mask"][0, :2] = 0
    assert draw_answers(run_of(unlabelled)) is not None
    assert named(titles) == ["a", "b"]


def test_ground_is_not_darkened_by_clouds_that_have_no_truth(monkeypatch):
    shown = []
    draw = Axes.imshow
    monkeypatch.setattr(
        Axes, "imshow", lambda panel, seen, **how: shown.append(seen) or draw(panel, seen, **how)
    )
    clouded = batch("a", burnt=[0])
    clouded["image"][0, :, :3] = 50.0
    clouded["mask"][0, :3] = -1
    draw_answers(run_of(clouded))
    picture = shown[0]
    assert picture[:3].min() == 1.0
    assert picture[3:].max() > 0.9
    assert picture[3:].mean() > 0.3


def test_nothing_is_drawn_where_nothing_is_held_out():
    assert draw_answers(run_of()) is None
