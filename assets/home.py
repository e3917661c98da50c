"""Dagster's home: where it keeps runs, and how it is told so."""

import os
from pathlib import Path

__all__ = ["DAGSTER_HOME", "at_home"]

DAGSTER_HOME = Path(__file__).resolve().parent.parent / "dagster_home"


def at_home() -> dict[str, str]:
    """Return the environment in which Dagster finds its home; the caller's own choice wins."""
    return {"DAGSTER_HOME": str(DAGSTER_HOME)} | dict(os.environ)
