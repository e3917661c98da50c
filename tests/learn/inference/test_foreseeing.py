"""What a card, names and folders tell to be impossible is refused before anything is computed."""

import pytest

from registry.errors import InvalidInputError, UnavailableError
from registry.learn.inference.foreseeing import foresee
from registry.learn.inference.mapping import Options
from registry.learn.inference.outputs import check_folders
from registry.learn.models.architecture import Architecture, Head, HeadTask
from registry.learn.models.card import Card


@pytest.fixture
def card(contract, water):
    """Return a card of a model that answers with classes, objects and a quantity."""
    heads = (
        water,
        Head(name="ships", task=HeadTask.DETECTION, classes=("ship",)),
        Head(name="height", task=HeadTask.PIXEL_REGRESSION, unit="m"),
    )
    network = Architecture(factory="lab", args={"name": "unet"})
    return Card(name="many", architecture=network, heads=heads, contract=contract, size=(32, 32))


@pytest.mark.parametrize(
    ("head", "wish", "problem"),
    [
        (None, {"into": "Bad Name"}, "'Bad Name' is no name for a dataset"),
        (None, {"into": "okname", "classes": ["watter"]}, "no class 'watter'"),
        ("height", {"into": "okname"}, "is a quantity"),
        (None, {"picture": "p.gif"}, "'p.gif' cannot be the picture, which is a PNG"),
        (None, {"picture": "nodir/p.png"}, "no folder 'nodir' to write 'p.png' to"),
        (None, {"out": "nodir/m.tif"}, "no folder 'nodir' to write 'm.tif' to"),
        (None, {"out": "taken.tif"}, "'taken.tif' is a folder"),
        (None, {"out": "m.png"}, "cannot hold a map"),
        ("nope", {}, "no head 'nope'"),
    ],
)
def test_what_cannot_be_kept_is_refused(card, tmp_path, monkeypatch, head, wish, problem):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken.tif").mkdir()
    paths = {key: tmp_path.__class__(wish[key]) for key in ("out", "picture") if key in wish}

    with pytest.raises(InvalidInputError) as caught:
        foresee(card, head=head, options=Options(window=0), **wish | paths)

    assert problem in caught.value.problem


@pytest.mark.parametrize(
    ("head", "asked", "problem"),
    [
        ("ships", {"probabilities": True}, "--probabilities would be of classes of pixels"),
        ("ships", {"uncertainty": True, "abstain": True}, "--uncertainty and --abstain would be"),
        ("height", {"probabilities": True}, "'height' is a quantity"),
    ],
)
def test_maps_that_an_answer_has_not_are_refused(card, head, asked, problem):
    with pytest.raises(InvalidInputError) as caught:
        foresee(card, head=head, options=Options(window=0, **asked))

    assert problem in caught.value.problem


def test_what_can_be_kept_is_kept(card, tmp_path):
    out, picture = tmp_path / "m.tif", tmp_path / "p.PNG"
    everything = Options(window=0, probabilities=True, uncertainty=True, abstain=True)

    said = {"out": out, "picture": picture, "into": "okname", "classes": ["water"]}
    assert foresee(card, head=None, options=everything, **said).name == "segmentation"
    assert foresee(card, head="height", options=Options(window=0, abstain=True)).unit == "m"


def test_a_folder_that_cannot_be_written_to_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)

    with pytest.raises(UnavailableError, match="cannot be written to"):
        check_folders([tmp_path / "m.tif"])
