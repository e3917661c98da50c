"""A score measured again, whether a model's or a floor's."""

import json
from typing import TYPE_CHECKING

from registry.errors import NotFoundError
from registry.learn.floor.flooring import evaluations
from registry.learn.floor.lesson import lesson_of
from registry.learn.scoring.keeping import find
from registry.learn.scoring.replaying import FLOOR, Replay, compared
from registry.learn.scoring.replaying import replay as replay_model
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["replay"]


def replay(registry: "Registry", run: str, *, progress: Progress = SILENT) -> Replay:
    """Evaluate again as an evaluation was made, and compare every figure bit by bit.

    A floor learns again first: on one machine's processor it comes to the same bits.

    Args:
        registry: Where it is.
        run: Name of the evaluation, or the id of one of its figures.
        progress: Told what is done.

    Returns:
        What differs.

    Raises:
        InvalidInputError: It is of a smoke model, which holds no score.
        NotFoundError: There is no such evaluation, or its model or version is gone.
    """
    version, rows = find(registry, run)
    first = rows.to_pylist()[0]
    if not str(first["model"]).startswith(FLOOR):
        return replay_model(registry, run, progress=progress)
    details = json.loads(first["details"])
    interval, settings = details["protocol"]["interval"], details["settings"]
    crop = details["protocol"]["crop"]
    lesson = lesson_of(
        registry, version, split=first["subset"], splits=first["split"],
        crop=None if crop is None else (crop[0], crop[1]),
        resamples=interval["resamples"], seed=interval["seed"],
    )  # fmt: skip
    part = str(first["model"]).removeprefix(FLOOR).partition(":")[0]
    asked = {"features": settings.get("features"), "epochs": settings.get("epochs", 1)}
    again = evaluations(
        lesson, [part], seeds=[first["seed"] or 0], settings=asked, progress=progress
    )
    for subject, _, found in again:
        if (subject.ref, subject.seed) == (first["model"], first["seed"]):
            return compared(str(version.ref), rows, found.rows)
    raise NotFoundError(
        f"this version of the lab has no '{first['model']}'",
        hint="replay it with the version that its rows name: details.code",
    )
