"""Pages of scores say what the rows say, and nothing of theirs is taken for markup."""

import json

import pytest

from registry.cli.app import run
from registry.learn.scoring.evaluating import evaluate
from registry.learn.scoring.leading import leaderboard
from registry.web.scores import render_boards, render_evaluation


@pytest.fixture(scope="module")
def scored(lab, made):
    model = made(lab.registry, lab.version, "many-net", heads=("classes", "cover", "yield"))
    for one in ("toy-net@v1", "toy-net@v2", "toy-net@v3"):
        evaluate(lab.registry, one, on="fields@v1", resamples=100)
    return evaluate(lab.registry, model, on="fields@v1", by=["season"], resamples=100)


def test_a_page_shows_confusion_calibration_classes_and_strata(scored, tmp_path):
    render_evaluation(scored, tmp_path / "made" / "page.html")
    page = (tmp_path / "made" / "page.html").read_text("utf-8")
    for said in ("What was taken for what", "As sure as right?", "season", "water", scored.run):
        assert said in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_page_of_boards_has_ranks_and_reasons(lab, scored, tmp_path):
    render_boards("fields", leaderboard(lab.registry, "fields"), tmp_path / "boards.html")
    page = (tmp_path / "boards.html").read_text("utf-8")
    assert "toy-net" in page
    assert 'class="unranked"' in page
    assert "100 draws of groups" in page


@pytest.fixture
def lake(lab, monkeypatch):
    monkeypatch.setenv("EOLAB_LAKE", lab.registry.lake.address)


def _json(capsys, *words):
    assert run([*words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_commands_say_what_the_library_says(lab, scored, lake, capsys, tmp_path):
    page = tmp_path / "page.html"
    words = ["evaluate", "toy-net@v1", "--on", "fields@v1", "--resamples", "100"]
    found = _json(capsys, *words, "--html", str(page))
    assert found["samples"] == 24
    assert page.exists()
    accuracy = next(one for one in found["scores"] if one["metric"] == "accuracy")
    assert run(words) == 0
    text = capsys.readouterr().out
    assert f"{accuracy['value']:.4g}" in text
    assert f"run {found['run']}" in text

    boards = _json(capsys, "leaderboard", "fields")["boards"]
    assert any(entry["name"] == "toy-net" for board in boards for entry in board["entries"])
    assert run(["leaderboard", "fields", "--runs"]) == 0
    assert f"eolab replay {found['run']}" in capsys.readouterr().out

    assert _json(capsys, "replay", found["run"])["same"] is True
    said = ["compare", "toy-net", "toy-net@v2", "--on", "fields@v1", "--resamples", "100"]
    assert _json(capsys, *said)["ours"] == ["toy-net@v1", "toy-net@v2", "toy-net@v3"]
    assert run(said) == 0
    assert "3 and 1 seeds" in capsys.readouterr().out


def test_too_few_seeds_are_said_with_what_their_intervals_are_of(lab, scored, made, lake, capsys):
    for seed in (0, 1):
        pair = made(lab.registry, lab.version, "pair-net", seed=seed)
        evaluate(lab.registry, pair, on="fields@v1", resamples=100)
    assert run(["leaderboard", "fields"]) == 0
    text = capsys.readouterr().out
    assert "many-net: 1 seed: train three, to be ranked" in text
    assert "pair-net: 2 seeds: train three, to be ranked; its intervals are of seeds too" in text
    assert "100 draws of groups, seed 0; over several seeds also by Student's t" in text


def test_a_place_to_run_at_stands_beside_the_version(lab, lake, capsys):
    words = ["evaluate", "toy-net@v1", "--on", "fields@v1", "--on", "slurm", "--print"]
    assert run([*words, "--by", "season"]) == 0
    script = capsys.readouterr().out
    assert "--data fields@v1" in script
    assert "--by season" in script
    assert run(["evaluate", "toy-net@v1", "--on", "fields@v1", "--on", "fields@v2"]) == 2
    assert "2 versions" in capsys.readouterr().err
