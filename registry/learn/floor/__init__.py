"""What a dataset takes no skill to score: majority, linear probe, a small network, a curve."""

from importlib import import_module
from typing import Any

_ROOMS = {"Floor": "flooring", "floor": "flooring", "replay": "replaying"}

__all__ = ["Floor", "floor", "replay"]  # noqa: F822 — loaded late


def __getattr__(name: str) -> Any:  # noqa: ANN401 — a module's attribute is whatever it is
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)
