"""What the demo divides, scores and says."""

import sys

import pytest

from assets import demo
from registry.catalog import connect
from registry.cli.app import run
from registry.curate.splits import Plan, Shares, split


def test_nothing_leaks_between_what_the_demo_learns_from_and_what_it_tests_on(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("EOLAB_LAKE", str(tmp_path / "lake"))
    folder = str(tmp_path / "scenes")
    for command in (
        ("init",),
        ("simulate", "burn-scars", folder, "--samples", "96", "--seed", "1"),
        ("ingest", folder, "--into", "scars", "--licence", "CC0-1.0", "--provider", "Lab"),
        ("publish", "scars", "-m", "first"),
    ):
        assert run(command) == 0
    said = demo._APART
    plan = Plan(**{**said, "shares": Shares.parse(said["shares"])})

    made = split(connect(str(tmp_path / "lake")), "scars@v1", plan=plan)

    assert made.leaks.counts == {}
    assert made.counts["test"] >= 24
    assert sum(made.counts.values()) >= 90  # few are left out


@pytest.fixture
def nothing_made(monkeypatch):
    """A demo whose parts only say that they were begun."""

    def summary(name, _made, _allowed):
        sys.stdout.write(f"{name}\n")
        return 0

    monkeypatch.setattr(sys, "argv", ["demo"])
    monkeypatch.setattr(demo, "_quiet", lambda: None)
    monkeypatch.setattr(demo, "_to_a_version", lambda _name, _config: True)
    monkeypatch.setattr(demo, "_measure", lambda _name: True)
    monkeypatch.setattr(demo, "_learn", lambda _name: True)
    monkeypatch.setattr(demo, "_summary", summary)


def test_the_time_is_that_of_all_parts(nothing_made, capsys):
    assert demo.main() == 0
    *_, last_part, said = capsys.readouterr().out.splitlines()
    assert last_part == "demo-ships"
    assert "s in all, for demo-burn-scars, demo-land-use, demo-ships" in said
