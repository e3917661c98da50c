"""What would end an evaluation at its beginning, looked at without torch and without pixels."""

from typing import TYPE_CHECKING

from registry.learn.models.shelf import resolve
from registry.learn.scoring.evaluating import exam_of, pinned
from registry.learn.scoring.judging import judges_of
from registry.learn.scoring.protocol import ignored_of

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["foresee"]


def foresee(
    registry: "Registry",
    model: str | None,
    *,
    on: str,
    split: str | None = "test",
    splits: str | None = None,
) -> None:
    """Refuse an evaluation, or a floor, that cannot go through.

    Args:
        registry: Where model and version are.
        model: Ref of the model; None of a floor.
        on: Ref of the version.
        split: The subset; all samples if None.
        splits: Name of the split's table.

    Raises:
        InvalidInputError: The version has no truth for what the model answers.
        NotFoundError: There is no such model, version, split or subset.
    """
    card = None if model is None else resolve(registry, model).card
    version = pinned(registry, on)
    if card is not None:
        judges_of(version, card.heads, labels=(), ignored=ignored_of(card.recipe))
    exam_of(registry, version, split=split, splits=splits)
