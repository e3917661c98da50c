"""Pictures of a run, for people: curves, confusion, answers beside the truth."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from registry.learn.training.running import Run

__all__ = ["draw_answers", "draw_confusion", "draw_curves"]


def draw_curves(run: "Run") -> bytes | None:
    return None


def draw_confusion(run: "Run") -> bytes | None:
    return None


def draw_answers(run: "Run") -> bytes | None:
    return None
