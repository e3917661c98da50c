"""What is said of timings is what they were; no time is asserted."""

import json
from importlib import import_module

import pytest

from bench.__main__ import rows, table
from bench.ground import scaled
from bench.pairs import Contestant, Figure, compare, record


def _compared(*, target):
    turns = []
    ours = Contestant(name="ours", work=lambda: turns.append("ours"))
    peer = Contestant(name="numpy", work=lambda: turns.append("theirs"), target=target)
    return compare("0 · nothing", ours, [peer], pairs=2), turns


def test_contestants_take_turns_after_a_warm_up():
    _, turns = _compared(target=1)
    assert turns == ["ours", "theirs"] * 3


def test_a_peer_is_named_with_its_version():
    import numpy as np

    (one,), _ = _compared(target=1)
    assert one.peer == f"numpy {np.__version__}"


def test_a_target_is_reached_only_if_the_whole_interval_clears_it():
    (one,), _ = _compared(target=1e9)
    assert not one.reached
    (one,), _ = _compared(target=0)
    assert one.reached
    assert one.interval[0] <= one.ratio <= one.interval[1]


def test_a_figure_without_a_limit_is_neither_reached_nor_missed():
    assert Figure(row="0", value=3, unit="ms").reached is None
    assert Figure(row="0", value=3, unit="ms", limit=3).reached
    assert Figure(row="0", value=3.1, unit="ms", limit=3).reached is False


def test_the_table_tells_what_was_recorded(tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_BENCH_RESULTS", str(tmp_path))
    compared, _ = _compared(target=0)
    path = record("row_00", compared, [Figure(row="0 · bytes", value=3, unit="MB", limit=2)])
    assert json.loads(path.read_text())["figures"][0]["reached"] is False
    text = table()
    assert "| 0 · nothing | numpy" in text
    assert "| 0 · bytes | 3 MB | 2 MB | no |" in text


def test_rows_shrink_with_the_scale(monkeypatch):
    monkeypatch.setenv("EOLAB_BENCH_SCALE", "0.01")
    assert scaled(5000) == 50
    assert scaled(5, least=2) == 2


@pytest.mark.parametrize("name", rows())
def test_a_row_says_what_it_measures(name):
    row = import_module(f"bench.{name}")
    assert callable(row.run)
    number = name.split("_")[1]
    assert row.__doc__.startswith(f"Row {number.lstrip('0')}: ") == number.isdigit()
