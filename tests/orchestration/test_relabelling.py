"""The demo's third part: what was learnt before and after labels were mended, with intervals."""

import re

import pytest

from assets import relabelling
from assets.relabelling import learn_from_both
from assets.standing import page_of, standing
from registry.catalog import connect
from registry.cli.app import run

INTERVAL = r"95 % interval 0\.\d{3} to [01]\.\d{3}"


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    home = tmp_path_factory.mktemp("land-use")
    folder = home / "scenes"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EOLAB_LAKE", str(home / "lake"))
        patch.setenv("EOLAB_CACHE", str(home / "cache"))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setattr(relabelling, "_SEEDS", (0, 1))
        patch.setattr(relabelling, "_RECIPE", {
            **relabelling._RECIPE, "epochs": 1, "data.threads": 1, "data.absent_classes": "allow",
        })  # fmt: skip
        for command in (
            ("init",),
            ("simulate", "classification", str(folder), "--samples", "40"),
            ("ingest", str(folder), "--into", "land", "--licence", "CC0-1.0", "--provider", "Lab"),
            ("publish", "land", "-m", "first"),
        ):
            assert run(command) == 0
        yield connect(str(home / "lake"))


@pytest.fixture(scope="module")
def learned(lab):
    return learn_from_both(lab, "land")


def test_both_scores_are_said_with_their_intervals(lab, learned):
    before, after, difference, *_ = learned.said(lab)
    assert re.search(rf"from the hurried labels: accuracy 0\.\d+, {INTERVAL}, 16 samples", before)
    assert re.search(rf"from the merge: +accuracy 0\.\d+, {INTERVAL}, 16 samples, 2 seeds", after)
    assert re.search(r"95 % interval [+-]\d\.\d{3} to [+-]\d\.\d{3}", difference)


def test_what_a_score_is_to_be_read_with_is_said_once(lab, learned):
    notes = learned.said(lab)[3:]
    assert len(notes) == len(set(notes))


def test_a_page_shows_how_the_model_learned(lab, learned, tmp_path):
    page = page_of(lab, learned.version, learned.models[1], tmp_path)
    said = page.read_text("utf-8")
    assert page.name.startswith(f"{learned.version.ref}-land-mended@v")
    assert "Loss and figures over the steps of the training run" in said
    assert "Answers beside the truth, on validation samples" in said


def test_nothing_is_said_of_a_model_that_was_not_scored(lab, learned):
    assert standing(lab, learned.version, "another") == ()
    assert standing(lab, lab.resolve("land@v1"), learned.models[0]) == ()
