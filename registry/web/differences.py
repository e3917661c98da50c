"""What differs between two versions as one HTML file: chips side by side, a map, every count.

The file loads nothing from anywhere and runs no script; its own policy forbids both. What is
shown is chosen with plain checkboxes that the style sheet listens to.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import shapely

from registry.catalog.comparing.differing import card_lines, counted
from registry.web.changed import RowChange, Touched, touched
from registry.web.chips import Chip, chips_of
from registry.web.footprints import ShapeMap, map_of_shapes
from registry.web.land import land_path
from registry.web.maps import graticule
from registry.web.panes import Album, Mark, Pane, pane, view_around
from registry.web.paper import filled, written
from registry.web.pixel_changes import pixel_change

if TYPE_CHECKING:
    from registry.catalog.comparing.difference import DatasetDiff
    from registry.catalog.version import Version

__all__ = ["render"]

_KINDS: Final = ("inserted", "updated", "deleted")
_MOST_PIXELS: Final = 2  # difference pictures of one sample
_LISTED: Final = 50  # renames and files


def render(found: "DatasetDiff", out: Path, *, most: int = 24) -> None:
    """Draw a difference as one HTML file.

    Args:
        found: What differs.
        out: The file to write; its folder is made, a file that is there replaced.
        most: How many samples are drawn at most; how many more there are is said.
    """
    written(out, filled("differences.html.j2", _facts(found, most)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Difference:
    """A picture of where pixels differ, as the template shows it."""

    asset: str
    picture: str
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """A changed sample as the template shows it."""

    anchor: str
    sample: str
    kind: str
    classes: str
    panes: tuple[Pane, ...]
    differences: tuple[_Difference, ...]
    changes: tuple[RowChange, ...]
    more: int


def _facts(found: "DatasetDiff", most: int) -> dict[str, Any]:
    before, after = found.versions
    seen = touched(found, most)
    names = list(seen.rows)
    was = chips_of(before, names)
    chips = [was, chips_of(after, names, beside=was)]
    album = Album()
    numbers = {name: at for at, name in enumerate(found.tables)}
    cards = [
        _card(at, name, found, (chips[0].get(name), chips[1].get(name)), seen, album)
        for at, name in enumerate(names)
    ]
    place = _place(found, cards)
    return {
        "title": after.spec.title or after.dataset,
        "before": before,
        "after": after,
        "refs": (found.before, found.after),
        "kinds": [(kind, _count(found, kind)) for kind in _KINDS],
        "tables": [(numbers[name], table, counted(table)) for name, table in found.tables.items()],
        "shown_tables": sorted({change.table for card in cards for change in card.changes}),
        "numbers": numbers,
        "cards": cards,
        "total": seen.total,
        "place": place,
        "graticule": graticule(place.frame),
        "land": land_path(place.frame),
        "scale_bar": place.frame.scale_bar(),
        "pictures": album.pictures,
        "rest": list(_rest(found)),
        "same": not found,
    }


def _count(found: "DatasetDiff", kind: str) -> int:
    # An array of pixels is told by the asset that points at it.
    told = (table for name, table in found.tables.items() if name != "pixels")
    return sum(getattr(table, kind) for table in told)


# --------------------------------------------------------------------- a card
def _card(
    at: int,
    sample: str,
    found: "DatasetDiff",
    chips: tuple[Chip | None, Chip | None],
    seen: Touched,
    album: Album,
) -> _Card:
    changes = seen.rows[sample]
    kinds = [change.kind for change in changes if change.table == "samples"]
    numbers = {name: number for number, name in enumerate(found.tables)}
    return _Card(
        anchor=f"sample-{at + 1}",
        sample=sample,
        kind=kinds[0] if kinds else "updated",
        classes=" ".join(sorted({f"t{numbers[c.table]}-{c.kind}" for c in changes})),
        panes=_panes(found, chips, changes, album),
        differences=tuple(_pixel_changes(found, changes, album)),
        changes=changes,
        more=seen.more.get(sample, 0),
    )


def _panes(
    found: "DatasetDiff",
    chips: tuple[Chip | None, Chip | None],
    changes: Sequence[RowChange],
    album: Album,
) -> tuple[Pane, Pane]:
    notes = [change for change in changes if change.table == "annotations"]
    outlines = [{one.id: one.shape for one in chip.outlines} if chip else {} for chip in chips]
    moved = [o[n.key] for n in notes for o in outlines if n.key in o]
    whole = chips[1] or chips[0]
    same_size = all(chip is None or whole is None or chip.size == whole.size for chip in chips)
    only_notes = len(notes) == len(changes)
    view = view_around(moved, whole.size) if whole and same_size and only_notes else None
    marks: tuple[dict[str, Mark], dict[str, Mark]] = ({}, {})
    ghosts: list[tuple[Any, Mark]] = []
    for note in notes:
        sides = (note.side("before"), note.side("after"))
        labels = [str((side or {}).get("category") or "") for side in sides]
        arrow = labels[1] if labels[0] in {"", labels[1]} else f"{labels[0]} → {labels[1]}"
        marks[0][note.key] = Mark(role=note.kind, label=labels[0])
        marks[1][note.key] = Mark(role=note.kind, label=arrow)
        was, now = (held.get(note.key) for held in outlines)
        if was is not None and (now is None or not shapely.equals_exact(was, now)):
            ghosts.append((was, Mark(role=f"ghost {note.kind}")))
    return (
        pane(
            f"before · {found.before}", chips[0], album, marks=marks[0], view=view,
            absent="not in this version yet",
        ),
        pane(
            f"after · {found.after}", chips[1], album, marks=marks[1], others=ghosts, view=view,
            absent="not in this version any more",
        ),
    )  # fmt: skip


def _pixel_changes(
    found: "DatasetDiff", changes: Sequence[RowChange], album: Album
) -> Iterator[_Difference]:
    drawn = 0
    for change in changes:
        was, now = change.side("before"), change.side("after")
        if change.table != "assets" or was is None or now is None or drawn == _MOST_PIXELS:
            continue
        if was["pixels"] is None or now["pixels"] is None or was["pixels"] == now["pixels"]:
            continue
        drawn += 1
        made = pixel_change(*found.versions, was, now)
        yield _Difference(asset=made.asset, picture=album.add(made.picture), said=made.said)


# ---------------------------------------------------------------------- a map
def _place(found: "DatasetDiff", cards: Sequence[_Card]) -> ShapeMap:
    kinds = {card.sample: (card.kind, card.anchor, card.classes) for card in cards}
    shapes: dict[str, bytes] = {}
    for version in found.versions:
        shapes |= _footprints(version, list(kinds))
    return map_of_shapes(shapes, kinds)


def _footprints(version: "Version", names: list[str]) -> dict[str, bytes]:
    import pyarrow.compute as pc

    from registry.tables import store

    if "samples" not in version.tables() or not names:
        return {}
    wanted = pc.field("id").isin(names)
    rows = store.read(
        version.home_of("samples"), "samples", columns=["id", "geometry"], filter=wanted
    )
    pairs = zip(rows["id"].to_pylist(), rows["geometry"].to_pylist(), strict=True)
    return {name: wkb for name, wkb in pairs if wkb is not None}


# ------------------------------------------------------------------- the rest
def _rest(found: "DatasetDiff") -> Iterator[tuple[str, list[str]]]:
    """Yield what is no row of a sample: a heading and its lines."""
    altered = [
        f"{name}: {one.to_text()}" for name, table in found.tables.items() for one in table.columns
    ]
    altered += [f"{name}: changed, but {why}" for name, why in found.uncompared.items()]
    renamed = [
        f"{one.table}: {' '.join(map(str, one.before))} → {' '.join(map(str, one.after))}"
        for one in found.renames
    ]
    card = [line.removeprefix("card: ") for one in found.card for line in card_lines(one)]
    files = [f"{change.path}: {change.kind}" for change in found.files]
    for heading, lines in (
        ("Columns", altered),
        ("Renamed", renamed),
        ("Card", card),
        ("Other files", files),
    ):
        if lines:
            more = [f"… and {len(lines) - _LISTED:,} more"] if len(lines) > _LISTED else []
            yield heading, [*lines[:_LISTED], *more]
