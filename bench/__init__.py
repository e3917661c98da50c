"""Benchmarks: each against named peers, in the same run, turn by turn."""
