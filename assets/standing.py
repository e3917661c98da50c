"""How well a model does, in words: its score with the interval, and what to read it with."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from registry.catalog import Registry, Version
    from registry.learn.scoring.leading import Score

__all__ = ["page_of", "standing"]

_SUBSET: Final = "test"
_PICTURES: Final = {
    "predictions.png": "Answers beside the truth, on validation samples",
    "curves.png": "Loss and figures over the steps of the training run",
}


def standing(registry: "Registry", version: "Version", model: str) -> tuple[str, ...]:
    """Return how well a model does on a version's test samples.

    Args:
        registry: Where both are.
        version: What it was scored on.
        model: Its name; all of its seeds count.

    Returns:
        A line with the score, one more for each note; nothing where it was not scored.
    """
    from registry.errors import NotFoundError
    from registry.learn.scoring.leading import leaderboard

    try:
        boards = leaderboard(registry, str(version.ref))
    except NotFoundError:  # of no model at all
        return ()
    return tuple(
        line
        for board in boards
        for entry in board.entries
        if board.subset == _SUBSET and entry.name == model
        for score in entry.scores
        if score.metric == board.metric
        for line in (
            (
                f"{_words(score)}, {board.samples} samples, "
                f"{entry.seeds} seed{'s' if entry.seeds > 1 else ''}"
            ),
            *(f"{note.severity}: {note.message}" for note in (*board.notes, *entry.notes)),
        )
    )


def page_of(registry: "Registry", version: "Version", model: str, pages: Path) -> Path:
    """Draw the scores of a model, its curves and some of its answers.

    Args:
        registry: Where it is.
        version: What it was scored on.
        model: Its name; the newest is drawn.
        pages: The folder for the page.

    Returns:
        The page.
    """
    from registry.learn.models import shelf
    from registry.learn.scoring.evaluating import evaluate
    from registry.web.scores import render_evaluation

    newest = shelf.resolve(registry, model)
    page = pages / f"{version.ref}-{newest.ref}.html"
    pictures = {
        said: newest.path(name).read_bytes()
        for name, said in _PICTURES.items()
        if name in newest.files
    }
    found = evaluate(registry, newest, on=str(version.ref), split=_SUBSET, keep=False)
    render_evaluation(found, page, pictures=pictures)
    return page


def _words(score: "Score") -> str:
    from registry.learn.scoring.metrics import METRICS

    value = f"{METRICS[score.metric].title} {score.value:.3f}"
    if score.low is None or score.high is None:
        return value
    return f"{value}, 95 % interval {score.low:.3f} to {score.high:.3f}"
