"""What people type of a prediction, as the nouns that it takes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from registry.errors import InvalidInputError

if TYPE_CHECKING:
    from registry.learn.inference.archive import Search
    from registry.learn.inference.mapping import Options
    from registry.learn.inference.meaning import Reading

__all__ = ["by_input", "options_of", "reading_of", "search_of"]


def search_of(
    archive: str, aoi: str | None, time: str | None, max_cloud: float | None, api: str | None
) -> "Search":
    """Return what an archive is asked for.

    Args:
        archive: Its name.
        aoi: A box or a file, as ``--aoi`` takes it.
        time: An interval.
        max_cloud: Most cloud of an item, in per cent.
        api: Address of its STAC API; None: the usual one.

    Raises:
        InvalidInputError: A place or a time is missing, or is none.
    """
    from registry.geo import parse_interval
    from registry.learn.inference.archive import Search
    from registry.learn.inference.asked_area import area_of
    from registry.learn.inference.presets import preset_named

    if aoi is None or time is None:
        raise InvalidInputError(
            "an archive is asked for a place at a time",
            hint="say --aoi west,south,east,north and --time 2023-07/2023-09",
        )
    return Search(
        preset=preset_named(archive), area=area_of(aoi), interval=parse_interval(time),
        max_cloud=max_cloud, api=api,
    )  # fmt: skip


def by_input(scenes: Sequence[str]) -> Path | dict[str, list[Path]]:
    """Return files by input, or the only one.

    Args:
        scenes: Files, or ``INPUT=FILE``.

    Raises:
        InvalidInputError: Of several, one names no input.
    """
    if len(scenes) == 1 and ("=" not in scenes[0] or Path(scenes[0]).exists()):
        return Path(scenes[0])
    found: dict[str, list[Path]] = {}
    for one in scenes:
        name, sign, path = one.partition("=")
        if not (name and sign and path):
            raise InvalidInputError(
                f"'{one}' names no input of the model",
                hint="with several files say which is which: s2=A.tif s1=B.tif",
            )
        found.setdefault(name, []).append(Path(path))
    return found


def reading_of(
    bands: Sequence[str] | None,
    scale: float | None,
    offset: float | None,
    nodata: float | None,
    allow: Sequence[str] | None,
) -> "Reading":
    """Return what is said about files.

    Args:
        bands: Names of their bands, for each input.
        scale: Factor from stored to physical values.
        offset: Added after scaling.
        nodata: Stored value where nothing was observed.
        allow: What may differ from the training data.
    """
    from registry.learn.inference.meaning import Reading

    named: dict[str, tuple[str, ...]] = {}
    for one in bands or ():
        name, sign, listed = one.partition("=")
        names = (listed if sign else one).split(",")
        named[name if sign else ""] = tuple(band.strip() for band in names if band.strip())
    return Reading(bands=named, scale=scale, offset=offset, nodata=nodata, allow=tuple(allow or ()))


def options_of(
    window: int | None,
    overlap: int | None,
    batch_size: int,
    *,
    probabilities: bool,
    uncertainty: bool,
    abstain: bool,
) -> "Options":
    """Return how scenes are cut, and what is written beside a map.

    Args:
        window: Pixels of a window's edge; None: as the model learned.
        overlap: Pixels that neighbours share; None: a quarter of a window.
        batch_size: Windows at a time.
        probabilities: Whether the probability of each class is written.
        uncertainty: Whether it is written how undecided they are.
        abstain: Whether what is too unlike the training data is left out.
    """
    from registry.learn.inference.mapping import Options

    return Options(
        window=window or 0, overlap=-1 if overlap is None else overlap, batch_size=batch_size,
        probabilities=probabilities, uncertainty=uncertainty, abstain=abstain,
    )  # fmt: skip
