"""Models over scenes of any size: maps, boxes, areas, and drafts of annotations."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from registry.learn.inference.predicting import Prediction, predict

__all__ = ["Prediction", "predict"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 — a module's attribute is whatever it is
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.predicting"), name)
