"""Scores that say what they rest on: metrics, intervals, comparisons, leaderboards."""

from importlib import import_module
from typing import Any

_VERBS = {
    "Evaluation": "evaluating",
    "compare": "comparing",
    "evaluate": "evaluating",
    "leaderboard": "leading",
    "replay": "replaying",
}

__all__ = ["Evaluation", "compare", "evaluate", "leaderboard", "replay"]  # noqa: F822 — loaded late


def __getattr__(name: str) -> Any:  # noqa: ANN401 — a module's attribute is whatever it is
    if name not in _VERBS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_VERBS[name]}"), name)
