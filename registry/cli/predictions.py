"""Predictions as text for people, and what becomes of them besides maps."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry.cli.options import connected
from registry.cli.output import emit, jsonable, printable, table_text

if TYPE_CHECKING:
    from registry.learn.inference.areas import ClassArea
    from registry.learn.inference.dates import Dated
    from registry.learn.inference.mapping import Placed
    from registry.learn.inference.predicting import Prediction

__all__ = ["After", "dates_text", "emit_prediction", "name_of", "prediction_text"]

_HECTARE: Final = 10_000.0


class After:
    """Makes of a scene and its prediction what else was asked for."""

    def __init__(
        self, *, picture: Path | None, into: str | None, classes: tuple[str, ...], least: int
    ) -> None:
        """Take what was asked for.

        Args:
            picture: PNG to write.
            into: Dataset whose draft gets proposals.
            classes: Which of the model's become annotations.
            least: Pixels that a region of them has at least.
        """
        self.name = "scene"
        """What chips are called by."""

        self.lines: list[str] = []
        """What to say of it."""

        self.drafts: list[dict[str, Any]] = []
        """The same as JSON's types."""

        self._picture, self._into, self._classes, self._least = picture, into, classes, least

    def __call__(self, scene: "Placed", done: "Prediction") -> None:
        """Make it, while the scene is open."""
        if self._picture is not None:
            from registry.learn.inference.answers import said_by
            from registry.learn.inference.picture import picture, picture_of_objects

            if done.drawn is None:
                picture_of_objects(scene, done.found, done.head.classes, self._picture)
            else:
                classes = said_by(done.head) if done.areas else ()
                picture(scene, done.drawn.files["map"], classes, self._picture)
            self.lines.append(f"picture: {self._picture}")
        if self._into is not None:
            from registry.learn.inference.drafts import propose

            landed = propose(
                connected(), done, scene, into=self._into, name=self._next(),
                categories=self._classes, least=self._least,
            )  # fmt: skip
            self.lines.append(landed.to_text())
            self.drafts.append(jsonable(landed))

    def _next(self) -> str:
        return self.name if not self.drafts else f"{self.name}-{len(self.drafts) + 1}"


def name_of(scenes: Sequence[str]) -> str:
    """Return what chips of files are called by.

    Examples:
        >>> name_of(["s2=Tile 33U.tif"])
        'tile-33u'
    """
    stem = Path(scenes[0].rpartition("=")[2]).stem.lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-") or "scene"


def emit_prediction(done: "Prediction | Dated", after: After, *, kept: bool) -> None:
    """Print what a model says, and what was made of it.

    Args:
        done: Of a scene, or of a place at dates.
        after: What else was made.
        kept: Whether the files are.
    """
    from registry.learn.inference import Prediction

    if isinstance(done, Prediction):
        said = prediction_text(done, kept=kept)
    else:
        said = dates_text(done, kept=kept)
    document = done.to_document() if kept else _without_files(done.to_document())
    lines = "".join(f"\n{one}" for one in after.lines)
    emit(document | {"drafts": after.drafts}, said + lines)


def prediction_text(done: "Prediction", *, kept: bool = True, testable: bool = True) -> str:
    """Return what a model says of a scene.

    Args:
        done: The prediction.
        kept: Whether its files are.
        testable: Whether its command takes a test, which takes errors out of areas.
    """
    lines = [f"note: {printable(one)}" for one in done.said]
    drawn = done.drawn
    if drawn is None:
        lines.append(f"{_counted(len(done.found), 'object')} found by {done.model}")
        return "\n".join(lines)
    for what, path in drawn.files.items() if kept else ():
        lines.append(f"{what}: {path}")
    share = drawn.observed / drawn.pixels
    left_out = f", {drawn.abstained:,} of them left out as too unlike the training data"
    lines.append(
        f"{_counted(drawn.pixels, 'pixel')} by {done.model}, {share:.1%} of them observed"
        f"{left_out if drawn.abstained else ''}"
    )
    if drawn.mean is not None:
        unit = f" {done.head.unit}" if done.head.unit else ""
        lines.append(f"mean {drawn.mean:.6g}{unit}")
    told = _areas_text(done.areas, advised=testable and done.tested is None)
    return "\n".join(lines) + (f"\n\n{told}" if done.areas else "")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _areas_text(areas: "Sequence[ClassArea]", *, advised: bool) -> str:
    rows = [
        (
            one.name,
            f"{one.pixels:,}",
            f"{one.share:.2%}",
            "" if one.area_m2 is None else f"{one.area_m2 / _HECTARE:,.2f}",
            "" if one.adjusted_share is None
            else f"{one.adjusted_share:.2%} ({one.low:.2%} to {one.high:.2%})",
        )
        for one in areas
    ]  # fmt: skip
    headings = ["class", "pixels", "share", "hectares", "share, errors taken out (95 %)"]
    columns = headings if any(row[4] for row in rows) else headings[:4]
    told = table_text(columns, [row[: len(columns)] for row in rows])
    if len(columns) == len(headings):
        return told
    advice = "; --test VERSION takes the map's errors out of them" if advised else ""
    return f"{told}\nareas are counted pixels{advice}"


def dates_text(found: "Dated", *, kept: bool = True) -> str:
    """Return what a model says of a place at dates, and what changed.

    Args:
        found: The predictions.
        kept: Whether their files are.
    """
    told = "\n".join(
        f"{day}\n{prediction_text(one, kept=kept, testable=False)}" for day, one in found.days
    )
    if found.change is not None:
        changes = [*found.steps, found.change] if kept else []
        told += "".join(f"\nchange: {one}" for one in changes) + "\n"
        told += _changed(found.transitions or {})
    _, last = found.days[-1]
    if last.areas:
        told += f"\neolab evaluate {last.model} --on VERSION measures how often its maps err"
    return told


def _changed(transitions: Mapping[str, int]) -> str:
    whole = max(sum(transitions.values()), 1)
    rows = [(name, f"{n:,}", f"{n / whole:.2%}") for name, n in transitions.items() if n]
    return table_text(["change", "pixels", "share"], rows)


def _without_files(document: dict[str, Any]) -> dict[str, Any]:
    """Return a result without the files that were made for annotations alone, and are gone."""
    if "days" not in document:
        return document | {"files": {}}
    days = [day | {"files": {}} for day in document["days"]]
    return document | {"days": days, "change": None, "steps": []}
