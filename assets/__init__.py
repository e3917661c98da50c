"""Dagster: when things are made, and in what order. The work itself is the library's."""
