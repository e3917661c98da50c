"""From a scene and a network to map files: the class map, and what it is based on beside it."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from registry.learn.inference.answers import (
    classes_of,
    entropy_of,
    fractions_of,
    is_quantity,
    said_by,
    shares_of,
    width_of,
)
from registry.learn.inference.blending import Strip, sweep
from registry.learn.inference.rasters import Placement
from registry.learn.inference.windows import Mask, Net, Plan, Scene
from registry.learn.inference.writing import (
    FRACTION_NODATA,
    FRACTION_SCALE,
    Layout,
    MapWriter,
    class_layout,
)
from registry.learn.loading.contract import Contract
from registry.learn.models.architecture import Head
from registry.progress import SILENT, Progress

__all__ = ["DISTANCE", "Drawn", "Options", "Placed", "beside", "draw"]

DISTANCE: Final = "distance"
"""The answer of a network that says how far a window lies from what it learned from, by the
distance beyond which it should not be believed."""

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Placed(Scene, Protocol):
    """A scene with a place, and what its numbers mean."""

    placement: Placement
    contract: Contract
    said: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a scene is cut, and what is written beside the map."""

    window: int = 256
    """Rows and columns of a window."""

    overlap: int = -1
    """Rows and columns that neighbours share, at least; below 0 for a quarter of a window."""

    batch_size: int = 8
    """Windows at a time, at least 1."""

    probabilities: bool = False
    """Whether to write the probability of each class."""

    uncertainty: bool = False
    """Whether to write how undecided the classes are."""

    abstain: bool = False
    """Whether to leave out what lies too far from the training data; the network then answers
    :data:`DISTANCE` too."""

    def plan(self, scene: Scene) -> Plan:
        """Return where windows lie in a scene."""
        shared = self.overlap if self.overlap >= 0 else self.window // 4
        return Plan(height=scene.height, width=scene.width, window=self.window, overlap=shared)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """Map files, and what they hold."""

    files: Mapping[str, Path]
    """``map``, and as asked for ``probabilities``, ``uncertainty``, ``domain``."""

    pixels: int
    """Of the scene, or of the area of it that was asked for."""

    observed: int
    """Of these with values in all inputs."""

    abstained: int
    """Of these too far from the training data."""

    counts: Mapping[str, int] = field(default_factory=dict)
    """By class, pixels of the map; empty for quantities."""

    mean: float | None = None
    """Of a quantity over the map, in its unit; None for classes, and where there is none."""


def beside(out: Path, what: str) -> Path:
    """Return where a file beside a map lies.

    Examples:
        >>> beside(Path("maps/burns.tif"), "uncertainty").name
        'burns.uncertainty.tif'
    """
    return out.with_name(f"{out.stem}.{what}{out.suffix or '.tif'}")


def draw(
    scene: Placed,
    net: Net,
    head: Head,
    out: Path,
    *,
    options: Options | None = None,
    tags: Mapping[str, str] = _NOTHING,
    progress: Progress = SILENT,
) -> Drawn:
    """Write the map of what a network answers over a scene.

    Files appear when all of them are whole; ended early, there is nothing.

    Args:
        scene: What to read.
        net: What answers.
        head: Which of its answers, and what it means.
        out: Where the map will be.
        options: How it is cut, and what is written beside.
        tags: What to say in the files.
        progress: Told of windows.

    Returns:
        The files and their counts.

    Raises:
        AnswerError: The network's answers make no map.
        UnavailableError: The disk is full.
    """
    options = options or Options()
    plan = options.plan(scene)
    channels = {head.name: width_of(head)} | ({DISTANCE: 1} if options.abstain else {})
    strips = sweep(
        scene, net, plan, channels=channels, batch_size=options.batch_size, progress=progress
    )
    with ExitStack() as opened:
        sheets = [
            _Sheet(what=what, writer=opened.enter_context(MapWriter(path, scene.placement, layout)))
            for what, path, layout in _layouts(head, out, options, tags)
        ]
        counter = _Counter(head=head)
        for strip in strips:
            _write(strip, sheets, head, counter, options)
        progress.stage("writing", total=len(sheets), unit="files")
        files = {}
        for sheet in reversed(sheets):  # the map last: where it is, all is
            files[sheet.what] = sheet.writer.finish()
            progress.advance()
    return counter.drawn(files)


def _layouts(
    head: Head, out: Path, options: Options, tags: Mapping[str, str]
) -> Iterator[tuple[str, Path, Layout]]:
    if is_quantity(head):
        yield (
            "map",
            out,
            Layout(
                bands=(head.name,), dtype="float32", nodata=float("nan"), unit=head.unit, tags=tags
            ),
        )
    else:
        yield "map", out, class_layout(said_by(head), tags)
    fractions = {"dtype": "uint16", "nodata": FRACTION_NODATA, "scale": FRACTION_SCALE}
    if options.probabilities and not is_quantity(head):
        layout = Layout(bands=said_by(head), tags=tags, **fractions)  # type: ignore[arg-type]
        yield "probabilities", beside(out, "probabilities"), layout
    if options.uncertainty and not is_quantity(head):
        layout = Layout(bands=("entropy",), tags=tags, **fractions)  # type: ignore[arg-type]
        yield "uncertainty", beside(out, "uncertainty"), layout
    if options.abstain:
        nan = float("nan")
        layout = Layout(bands=(DISTANCE,), dtype="float32", nodata=nan, tags=tags)
        yield "domain", beside(out, "domain"), layout


@dataclass(slots=True, kw_only=True)
class _Sheet:
    what: str
    writer: MapWriter


def _write(
    strip: Strip, sheets: list[_Sheet], head: Head, counter: "_Counter", options: Options
) -> None:
    values, seen = strip.values[head.name], strip.observed
    if not is_quantity(head):
        values = shares_of(head, values)
    shown = seen & (strip.values[DISTANCE][0] <= 1) if options.abstain else seen
    for sheet in sheets:
        if sheet.what == "probabilities":
            rows: npt.NDArray[np.generic] = fractions_of(values, seen)
        elif sheet.what == "uncertainty":
            rows = fractions_of(entropy_of(values), seen)
        elif sheet.what == "domain":
            rows = np.where(seen, strip.values[DISTANCE], np.float32("nan"))
        elif is_quantity(head):
            rows = np.where(shown, values, np.float32("nan"))
        else:
            rows = classes_of(values, shown, class_layout(said_by(head), {}))
        sheet.writer.write(strip.top, rows)
        if sheet.what == "map":
            counter.count(rows[0], seen, shown)


@dataclass(slots=True, kw_only=True)
class _Counter:
    """Counts what a map holds while it is written."""

    head: Head
    pixels: int = 0
    observed: int = 0
    shown: int = 0
    sum: float = 0.0
    classes: npt.NDArray[np.int64] = field(init=False)

    def __post_init__(self) -> None:
        self.classes = np.zeros(max(len(said_by(self.head)), 1), np.int64)

    def count(self, rows: npt.NDArray[np.generic], seen: Mask, shown: Mask) -> None:
        """Add rows of the map."""
        self.pixels += seen.size
        self.observed += int(seen.sum())
        self.shown += int(shown.sum())
        if is_quantity(self.head):
            self.sum += float(np.nansum(rows, dtype=np.float64))
        else:
            found = np.bincount(rows[shown].astype(np.int64), minlength=len(self.classes))
            self.classes += found[: len(self.classes)]

    def drawn(self, files: Mapping[str, Path]) -> Drawn:
        """Return what was counted."""
        quantity = is_quantity(self.head)
        return Drawn(
            files=dict(sorted(files.items(), key=lambda pair: pair[0] != "map")),
            pixels=self.pixels,
            observed=self.observed,
            abstained=self.observed - self.shown,
            counts={} if quantity else {
                name: int(n) for name, n in zip(said_by(self.head), self.classes, strict=True)
            },
            mean=self.sum / self.shown if quantity and self.shown else None,
        )  # fmt: skip
