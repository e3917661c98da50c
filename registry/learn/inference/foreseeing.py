"""What would be refused of a prediction after it was computed, looked at before."""

from collections.abc import Sequence
from pathlib import Path

from registry.errors import InvalidInputError
from registry.lake.names import check_repository
from registry.learn.inference.answers import chosen_head, is_quantity
from registry.learn.inference.asked_area import area_of
from registry.learn.inference.drafts import check_proposed
from registry.learn.inference.mapping import Options
from registry.learn.inference.meaning import Reading
from registry.learn.inference.outputs import check_folders, check_kind, check_picture
from registry.learn.inference.predicting import Scenes, files_of, options_for, outputs
from registry.learn.inference.scenes import open_files
from registry.learn.inference.within import within
from registry.learn.models.architecture import Head, HeadTask
from registry.learn.models.card import Card

__all__ = ["foresee", "foresee_scene"]


def foresee(
    card: Card,
    *,
    head: str | None,
    options: Options,
    out: Path | None = None,
    picture: Path | None = None,
    into: str | None = None,
    classes: Sequence[str] = (),
) -> Head:
    """Refuse what a model's card, names and folders alone tell to be impossible.

    Args:
        card: The model's.
        head: Which of its answers; None: the first that says something of places.
        options: How the scene is cut, and what is asked for beside the map.
        out: Where the map will be; None where none is kept.
        picture: PNG that will be written.
        into: Dataset whose draft gets proposals.
        classes: Which classes become annotations.

    Returns:
        The head that answers.

    Raises:
        InvalidInputError: A name, a class, a window, a file or its folder is not possible.
        UnavailableError: A folder cannot be written to.
    """
    options_for(card, options)
    chosen = chosen_head(card.heads, head)
    _check_beside(chosen, options)
    if out is not None:
        check_kind(out, chosen)
        check_folders(outputs(out, options))
    if picture is not None:
        check_picture(picture)
        check_folders([picture])
    if into is not None:
        check_repository(into)
        check_proposed(chosen, classes)
    return chosen


def foresee_scene(
    card: Card, scene: Scenes, *, reading: Reading | None = None, aoi: str | None = None
) -> None:
    """Refuse files that a model cannot read, by what they say of themselves and a few values.

    Args:
        card: The model's.
        scene: A file, or files by input, as for :func:`registry.learn.inference.predict`.
        reading: What files do not say of themselves.
        aoi: A box or a file of polygons, beyond which nothing counts.

    Raises:
        InvalidInputError: An input has no file, or the area lies elsewhere.
        NotFoundError: There is no such file.
        UnreadableSceneError: One is damaged, hostile, or of a kind that is not read.
        ContractMismatchError: It does not give what the model reads.
    """
    area = None if aoi is None else area_of(aoi)
    with open_files(card.contract, files_of(card.contract, scene), reading=reading) as opened:
        if area is not None:
            within(opened, area)


def _check_beside(head: Head, options: Options) -> None:
    """Refuse maps beside an answer that has none.

    Raises:
        InvalidInputError: It has none.
    """
    objects = head.task == HeadTask.DETECTION
    classless = objects or is_quantity(head)
    asked = {
        "--probabilities": options.probabilities and classless,
        "--uncertainty": options.uncertainty and classless,
        "--abstain": options.abstain and objects,
    }
    words = [word for word, refused in asked.items() if refused]
    if words:
        raise InvalidInputError(
            f"{' and '.join(words)} would be of classes of pixels, and '{head.name}' "
            f"{'finds objects' if objects else 'is a quantity'}",
            hint=f"leave {'it' if len(words) == 1 else 'them'} out"
            + ("; each object has its score in the file" if objects else ""),
        )
