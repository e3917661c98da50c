"""What a test tells of a map's errors: which class is taken for which."""

from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from registry.errors import InvalidInputError
from registry.learn.inference.answers import said_by
from registry.learn.models.architecture import Head
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog import Registry
    from registry.learn.models.shelf import Model

__all__ = ["confusion_on"]


def confusion_on(
    registry: "Registry",
    model: "Model",
    head: Head,
    on: str,
    *,
    device: str = "cpu",
    progress: Progress = SILENT,
) -> tuple[npt.NDArray[Any], int]:
    """Return which class a model takes for which on the test samples of a version.

    Args:
        registry: Where both are.
        model: The model.
        head: Which of its answers.
        on: Ref of the version; its subset ``test`` is scored, and no row kept.
        device: Where the network runs.
        progress: Told of samples.

    Returns:
        Pixels by ``(true class, said class)``, and how many samples they are of.

    Raises:
        InvalidInputError: The model is smoke, or the version has no truth for the head, or other
            classes.
    """
    from registry.learn.scoring import metrics
    from registry.learn.scoring.evaluating import evaluate

    scored = evaluate(registry, model, on=on, keep=False, device=device, progress=progress)
    kept = scored.kept.get(head.name)
    confusion = None if kept is None or scored.smoke else metrics.confusion(kept)
    if kept is None or confusion is None:
        raise InvalidInputError(
            f"no test of {model.ref} on {on} tells the errors of '{head.name}'",
            hint="test on a version that has its truth, with a model that is not smoke",
        )
    if kept.classes != said_by(head):
        raise InvalidInputError(
            f"{on} is scored on {', '.join(kept.classes)}, and the map has "
            f"{', '.join(said_by(head))}",
            hint="test on a version of the classes that the model learned",
        )
    return confusion, scored.samples
