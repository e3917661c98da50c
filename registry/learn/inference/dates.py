"""A model over what an archive has of a place: the clearest day, or each day and what changed."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from registry.errors import InvalidInputError
from registry.learn import devices
from registry.learn.inference.answers import chosen_head, is_quantity, said_by
from registry.learn.inference.archive import Acquired, Search, fetch, grid_of, search
from registry.learn.inference.changes import change, check_countable
from registry.learn.inference.mapping import Options, beside
from registry.learn.inference.meaning import Reading
from registry.learn.inference.outputs import check_kind
from registry.learn.inference.predicting import Prediction, Then, predict
from registry.learn.loading.contract import Input
from registry.learn.models.architecture import HeadTask
from registry.progress import SILENT, Progress

if TYPE_CHECKING:
    from registry.catalog import Registry

__all__ = ["Dated", "predict_from"]

_CLOUDLESS: Final = 100.0
_PAIR: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """What a model says of a place at dates."""

    days: tuple[tuple[str, Prediction], ...]
    """Days such as ``2020-01-13``, in their order."""

    change: Path | None = None
    """Map of what became what from the first day to the last, if there are several."""

    transitions: Mapping[str, int] | None = None
    """Its pixels by what became what."""

    steps: tuple[Path, ...] = ()
    """Maps of what became what from each day to the next; empty unless there are three or more."""

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        return {
            "days": [{"day": day, **one.to_document()} for day, one in self.days],
            "change": None if self.change is None else str(self.change),
            "transitions": None if self.transitions is None else dict(self.transitions),
            "steps": [str(one) for one in self.steps],
        }


def predict_from(  # noqa: PLR0913 — each is its own decision
    registry: "Registry",
    model: str,
    wanted: Search,
    *,
    out: Path,
    dates: Literal["best", "each"] = "best",
    options: Options | None = None,
    head: str | None = None,
    device: str = "cpu",
    keep_clouds: bool = False,
    then: Then | None = None,
    progress: Progress = SILENT,
) -> Dated:
    """Predict a place from an archive.

    Args:
        registry: Where the model is.
        model: Its ref.
        wanted: Where, when, and of which archive.
        out: Where the map will be; of several days each has its date before the suffix.
        dates: The day with least cloud, of several alike the last; or each of them.
        options: How scenes are cut, and what is written beside the maps.
        head: Which of the model's answers, if it has several.
        device: Where the network runs.
        keep_clouds: Whether clouds and their shadows are predicted too.
        then: Called with each scene, still open, and what was predicted of it.
        progress: Told of days and windows.

    Returns:
        What is predicted, day by day.

    Raises:
        InvalidInputError: The model reads several inputs or time steps, which lie in files.
        NotFoundError: The archive has nothing like it.
        UnavailableError: It does not answer.
    """
    from registry.learn.models import shelf

    devices.checked(device)
    card = shelf.resolve(registry, model).card
    reads = card.contract.inputs[0]
    if len(card.contract.inputs) > 1 or (reads.frames or 1) > 1:
        raise InvalidInputError(
            f"{model} reads {len(card.contract.inputs)} inputs of {reads.frames or 1} time steps, "
            "and an archive gives one image a day",
            hint="fetch the files, and name each: INPUT=FILE.tif",
        )
    chosen = chosen_head(card.heads, head)
    check_kind(out, chosen)
    progress.stage("asking the archive", total=None, unit="items")
    days = _chosen(search(wanted), dates)
    if len(days) > 1 and chosen.task != HeadTask.DETECTION and not is_quantity(chosen):
        check_countable(said_by(chosen))
        _check_grids(days, wanted, reads)
    names = _names([one.day for one in days])
    done: list[tuple[str, Prediction]] = []
    with tempfile.TemporaryDirectory(prefix="eolab-archive-") as folder:
        for number, one in enumerate(days):
            progress.stage(f"fetching {one.day}", total=None, unit="rows")
            file = Path(folder) / f"{wanted.preset.name}-{one.day}-{number}.tif"
            share = fetch(one, wanted, reads, file, keep_clouds=keep_clouds)
            place = out if len(days) == 1 else beside(out, names[number])
            found = predict(
                registry, model, file, out=place, head=head, options=options, device=device,
                reading=Reading(allow=("gsd",)), area=wanted.outline, then=then, progress=progress,
            )  # fmt: skip
            said = f"{one.day}: {share:.0%} of the place is there and clear of clouds"
            done.append((one.day, replace(found, said=(said, *found.said))))
            file.unlink()
    if len(done) == 1 or not done[0][1].areas:
        return Dated(days=tuple(done))
    return _compared(done, names, out)


def _compared(done: Sequence[tuple[str, Prediction]], names: Sequence[str], out: Path) -> Dated:
    """Return maps of days with what changed between them, which is written beside them."""
    maps = [one.drawn.files["map"] for _, one in done if one.drawn is not None]
    steps = [beside(out, f"{name}.change") for name in names[1:]] if len(done) > _PAIR else []
    for before, after, step in zip(maps, maps[1:], steps, strict=False):
        change(before, after, step)
    path = beside(out, "change")
    transitions = change(maps[0], maps[-1], path)
    return Dated(days=tuple(done), change=path, transitions=transitions, steps=tuple(steps))


def _names(days: Sequence[str]) -> list[str]:
    """Return what maps of days are called by; a day that is there twice, with a number.

    Examples:
        >>> _names(["2022-01-24", "2022-01-25", "2022-01-25"])
        ['2022-01-24', '2022-01-25', '2022-01-25.2']
    """
    named = []
    for at, day in enumerate(days):
        again = days[:at].count(day)
        named.append(f"{day}.{again + 1}" if again else day)
    return named


def _check_grids(days: Sequence[Acquired], wanted: Search, reads: Input) -> None:
    """Refuse days that could not be compared, before their maps are made.

    Raises:
        InvalidInputError: They lie in different UTM zones.
    """
    first, *others = days
    grid = grid_of(first, wanted, reads)
    for one in others:
        other = grid_of(one, wanted, reads)
        if other != grid:
            raise InvalidInputError(
                f"{first.day} lies on a grid of {grid['crs']}, and {one.day} on one of "
                f"{other['crs']}: what changed between them cannot be told",
                hint="give an --aoi within one UTM zone, or map each day by itself: --dates best",
            )


def _chosen(days: tuple[Acquired, ...], dates: str) -> list[Acquired]:
    if dates == "each":
        return list(days)
    return [min(reversed(days), key=lambda one: _CLOUDLESS if one.cloud is None else one.cloud)]
