"""Benchmarks need peers and minutes, so their rows run only where the environment asks for it."""

import os

collect_ignore = [] if os.environ.get("EOLAB_TRY_BENCH") else ["test_rows.py"]
