"""Every row runs, at a size where figures mean nothing: EOLAB_TRY_BENCH=1 pytest tests/bench."""

from importlib import import_module
from importlib.util import find_spec

import pytest

from bench.__main__ import rows


@pytest.mark.parametrize("name", rows())
def test_a_row_runs_small(name, tmp_path, monkeypatch):
    monkeypatch.setenv("EOLAB_BENCH_SCALE", "0.001")
    monkeypatch.setenv("EOLAB_BENCH_PAIRS", "1")
    monkeypatch.setenv("EOLAB_BENCH_ON_CPU", "1")
    monkeypatch.setenv("EOLAB_BENCH_FOLDER", str(tmp_path / "work"))
    monkeypatch.delenv("EOLAB_BENCH_DATA", raising=False)
    row = import_module(f"bench.{name}")
    if (needed := getattr(row, "NEEDS", None)) and find_spec(needed) is None:
        pytest.skip(f"there is no {needed}")
    compared, figures = row.run()
    assert compared or figures
