"""The demo's second half: two people mend labels of one version, and disagree about one.

Anna and Ben look at the same simulated ships on a branch each. What they did to different
annotations is merged row by row; the largest ship both have drawn anew, differently, so that
conflict waits until somebody has looked at its picture.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.lake import MergeConflictError

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.catalog import Registry, Version

__all__ = ["Outcome", "acting_as", "mend_labels"]

_MESSAGE = "labels looked at by two people"
_TABLE = "annotations"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """Somebody who mends labels on a branch of their own."""

    name: str
    """Who."""

    scale: float
    """How much larger they draw the largest ship than it was."""

    why: str
    """What they say about it."""

    @property
    def branch(self) -> str:
        return f"{self.name.lower()}/fix"


_ANNA = _Person(name="Anna", scale=1.5, why="draw the largest ship with its wake")
_BEN = _Person(name="Ben", scale=0.9, why="draw the largest ship by its hull alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What two people made of a version."""

    version: "Version"
    """The version that holds the work of both."""

    lines: tuple[str, ...]
    """What happened, for people; nothing if it was done before."""

    pages: tuple[Path, ...]
    """The conflict as a picture, and what differs from the version they began with."""


def mend_labels(registry: "Registry", dataset: str, pages: Path) -> Outcome:
    """Mend labels on two branches, merge both, decide the conflict, publish.

    Args:
        registry: Where the dataset is.
        dataset: Its name; its newest version must hold annotations of ships.
        pages: Folder for the pages.

    Returns:
        What happened; on a lake where it was done before, what it came to then.
    """
    before = registry.versions(dataset)
    conflict, changes = (pages / f"{dataset}-{name}.html" for name in ("conflict", "changes"))
    done = [v for v in before if v.commit.message.startswith(_MESSAGE)]
    if done:
        return Outcome(version=done[-1], lines=(), pages=(conflict, changes))
    first = before[-1]
    lines = [*_branches(registry, first), *_merged(registry, dataset, conflict)]
    version = _published(registry, dataset)
    _draw_changes(registry, first, version, changes)
    return Outcome(version=version, lines=tuple(lines), pages=(conflict, changes))


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Let commits be by somebody."""
    before = os.environ.get("EOLAB_AUTHOR")
    os.environ["EOLAB_AUTHOR"] = f"{name} <{name.lower()}@example.org>"
    try:
        yield
    finally:
        os.environ.pop("EOLAB_AUTHOR")
        if before is not None:
            os.environ["EOLAB_AUTHOR"] = before


def _branches(registry: "Registry", first: "Version") -> Iterator[str]:
    """Let each of the two look at half of the ships, and both draw the largest anew."""
    rows = first.table(_TABLE, ["id", "sample", "area", "geometry"]).sort_by("area").to_pylist()
    middle, largest = rows[len(rows) // 2]["area"], _in_full_view(first, rows)
    halves = (f"area < {middle}", f"area >= {middle} and id <> '{largest}'")
    for person, half in zip((_ANNA, _BEN), halves, strict=True):
        with acting_as(person.name):
            yield _looked_at(registry, first, person, half=half, largest=largest)


def _in_full_view(first: "Version", rows: "Sequence[Mapping[str, Any]]") -> str:
    """Return the largest ship that is not cut by the border of its chip, even drawn with its wake.

    Args:
        first: The version.
        rows: Its annotations, smallest first.

    Returns:
        The annotation's id.
    """
    import shapely
    from shapely import affinity

    chips = {row["sample"]: shapely.box(*_bounds(row)) for row in _chips(first)}
    for row in reversed(rows):
        ship = shapely.from_wkb(row["geometry"])
        if chips[row["sample"]].contains(affinity.scale(ship, 2 * _ANNA.scale, 2 * _ANNA.scale)):
            return str(row["id"])
    return str(rows[-1]["id"])


def _chips(first: "Version") -> "list[dict[str, Any]]":
    return first.table("assets", ["sample", "shape", "transform"]).to_pylist()


def _bounds(row: "Mapping[str, Any]") -> tuple[float, float, float, float]:
    (height, width), (dx, _, left, _, dy, top) = row["shape"][-2:], row["transform"]
    return left, top + dy * height, left + dx * width, top


def _looked_at(
    registry: "Registry", first: "Version", person: _Person, *, half: str, largest: str
) -> str:
    from registry.catalog.editing import edit_rows
    from registry.tables import edit, store

    dataset, branch = first.dataset, person.branch
    if branch in registry.branches(dataset):  # an earlier run was stopped
        registry.delete_branch(dataset, branch)
    draft = registry.branch(dataset, branch, at=first.label)
    made = edit_rows(
        registry,
        f"{dataset}@{branch}",
        table=_TABLE,
        assignments=["status='accepted'"],
        where=half,
        message="look at a half",
    )
    with draft.edit(person.why) as root:
        edit.upsert(root, store.schema_of(root, _TABLE), _redrawn(first, largest, person.scale))
    return f"{branch}: {made.rows} annotations accepted, the largest ship drawn anew"


def _redrawn(first: "Version", key: str, scale: float) -> "pa.Table":
    import pyarrow as pa
    import pyarrow.compute as pc
    import shapely
    from shapely import affinity

    table = first.table(_TABLE, ["id", "geometry"])
    outline = table.filter(pc.equal(table["id"], key))["geometry"][0].as_py()
    drawn = shapely.to_wkb(affinity.scale(shapely.from_wkb(outline), scale, scale))
    return pa.table({"id": [key], "geometry": pa.array([drawn], pa.binary())})


def _merged(registry: "Registry", dataset: str, page: Path) -> Iterator[str]:
    """Merge one branch after the other; what both changed is drawn, then decided."""
    from registry.catalog.merging.choosing import Choice
    from registry.curate.merging import merge, resolve, waiting_for
    from registry.web.conflicts import render

    yield merge(registry, dataset, _ANNA.branch).to_text()
    try:
        yield merge(registry, dataset, _BEN.branch).to_text()
    except MergeConflictError as error:
        yield error.problem
        render(registry, dataset, waiting_for(registry, dataset), page)
        choice = Choice(side="theirs", where="area > 0")
        yield resolve(registry, dataset, choice, message="the hull, without its wake").to_text()


def _published(registry: "Registry", dataset: str) -> "Version":
    from registry.curate.publishing import publish

    return publish(registry, dataset, message=_MESSAGE)


def _draw_changes(registry: "Registry", before: "Version", after: "Version", page: Path) -> None:
    from registry.web.differences import render

    render(registry.diff(before.ref, after.ref), page)
