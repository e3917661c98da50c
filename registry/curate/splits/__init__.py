"""Splits of a version: who trains, who judges, and what leaks between them.

Names are loaded when they are first used, because streams need the words for subsets alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from registry.curate.splits.leaking import LeakReport, leaks
    from registry.curate.splits.plan import HoldOut, Plan
    from registry.curate.splits.shares import Shares
    from registry.curate.splits.splitting import Split, split

__all__ = ["HoldOut", "LeakReport", "Plan", "Shares", "Split", "leaks", "split"]

_HOMES: Final = {
    "HoldOut": "plan",
    "LeakReport": "leaking",
    "Plan": "plan",
    "Shares": "shares",
    "Split": "splitting",
    "leaks": "leaking",
    "split": "splitting",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 — a module's attribute is whatever it is
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
