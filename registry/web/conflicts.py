"""A merge that waits, as one HTML file: each conflict on a picture, with who did what and when.

The file loads nothing, runs no script and changes nothing: beside each side stands the command that
takes it.
"""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import shapely

from registry.catalog.comparing.differing import shape_text, value_text
from registry.catalog.merging.conflicts import Clash, ClashKind
from registry.errors import NotFoundError
from registry.geo.likeness import PIXEL, likeness
from registry.web.chips import Chip, chips_of
from registry.web.panes import Album, Mark, Pane, pane, view_around
from registry.web.paper import filled, written

if TYPE_CHECKING:
    from registry.catalog import Pending, Registry, Version

__all__ = ["render"]

_SIDES: Final = ("base", "ours", "theirs")
_VALUE: Final = 200  # characters of a value
_ROWS: Final = frozenset({ClashKind.ROW, ClashKind.DELETED, ClashKind.ORPHAN})
_SAID: Final = {
    ClashKind.ROW: "both sides changed it, differently",
    ClashKind.DELETED: "one side deleted the row, the other changed it",
    ClashKind.ORPHAN: "one side deleted the sample, the other still speaks of it",
    ClashKind.CARD: "both sides changed this key of the card",
    ClashKind.FILE: "both sides changed this file",
    ClashKind.TABLE: "one side removed the table, the other wrote to it",
}


def render(
    registry: "Registry", dataset: str, waiting: "Pending", out: Path, *, most: int = 24
) -> None:
    """Draw the conflicts of a merge that waits as one HTML file.

    Args:
        registry: Where the dataset is.
        dataset: Its name.
        waiting: The merge, as :func:`registry.catalog.pending.pending` returns it.
        out: The file to write; its folder is made, a file that is there replaced.
        most: How many conflicts are drawn at most, open ones first; how many more there are is
            said.
    """
    written(out, filled("conflicts.html.j2", _facts(registry, dataset, waiting, most)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Who:
    """Who gave a side its value."""

    name: str
    when: str
    why: str
    commit: str
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One side of a conflict as the template shows it."""

    name: str
    ref: str
    pane: Pane | None
    who: _Who | None
    values: tuple[tuple[str, str], ...]
    gone: bool
    command: str
    chosen: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Card:
    """A conflict as the template shows it."""

    anchor: str
    table: str
    key: str
    sample: str
    said: str
    columns: str
    sides: tuple[_Side, ...]
    apart: str
    own: str
    decided: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    """What is known of the three sides of a merge."""

    dataset: str
    waiting: "Pending"
    into: tuple[str, ...]
    versions: Mapping[str, "Version"]
    refs: Mapping[str, str]
    samples: Mapping[str, str]
    chips: Mapping[str, Mapping[str, Chip]]
    who: Mapping[tuple[str, str], _Who]
    album: Album


def _facts(registry: "Registry", dataset: str, waiting: "Pending", most: int) -> dict[str, Any]:
    ordered = sorted(waiting.clashes, key=lambda clash: clash.decision is not None)
    shown = ordered[:most]
    scene = _scene(registry, dataset, waiting, shown)
    cards = [_card(scene, number, clash) for number, clash in enumerate(shown, start=1)]
    return {
        "dataset": dataset,
        "waiting": waiting,
        "refs": scene.refs,
        "heads": [(side, scene.versions[side].commit) for side in ("ours", "theirs")],
        "cards": cards,
        "total": len(waiting.clashes),
        "open": len(waiting.open),
        "pictures": scene.album.pictures,
        "everything": [
            _command(dataset, (), scene.into, f"--{side}") for side in ("ours", "theirs")
        ],
        "abort": " ".join(["eolab merge", shlex.quote(dataset), "--abort", *scene.into]),
    }


def _scene(
    registry: "Registry", dataset: str, waiting: "Pending", shown: Sequence[Clash]
) -> _Scene:
    from registry.catalog.merging.pending import pendings

    commits = {"base": waiting.base, "ours": waiting.ours, "theirs": waiting.theirs}
    versions = {
        side: registry.resolve(f"{dataset}@{commit}") for side, commit in commits.items() if commit
    }
    several = len(pendings(registry.lake.repository(dataset))) > 1
    samples = _samples(versions, shown)
    names = sorted(set(samples.values()))
    return _Scene(
        dataset=dataset,
        waiting=waiting,
        into=("--into", shlex.quote(waiting.into)) if several else (),
        versions=versions,
        refs={"base": "where they parted", "ours": waiting.into, "theirs": waiting.joining.name},
        samples=samples,
        chips={side: chips_of(version, names) for side, version in versions.items()},
        who=_authors(versions, shown),
        album=Album(),
    )


def _samples(versions: "Mapping[str, Version]", shown: Sequence[Clash]) -> dict[str, str]:
    """Return the sample that each conflict is about, by its id, where it is about one."""
    found: dict[str, str] = {}
    notes: dict[str, list[str]] = {}
    for clash in shown:
        if clash.kind not in _ROWS or not clash.row or not isinstance(clash.row[0], str):
            continue
        if clash.table == "annotations":
            notes.setdefault(clash.row[0], []).append(clash.id)
        elif clash.table in {"samples", "assets"} or clash.table.startswith("splits/"):
            found[clash.id] = clash.row[0]
    for side in ("theirs", "base", "ours"):  # ours is looked at last, so that it stands
        if notes and side in versions:
            for row in _rows(versions[side], sorted(notes)):
                found |= dict.fromkeys(notes[row["id"]], row["sample"])
    return found


def _rows(version: "Version", keys: list[str]) -> list[dict[str, Any]]:
    import pyarrow.compute as pc

    from registry.tables import store

    if "annotations" not in version.tables():
        return []
    table = store.read(
        version.home_of("annotations"),
        "annotations",
        columns=["id", "sample"],
        filter=pc.field("id").isin(keys),
    )
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows


def _authors(
    versions: "Mapping[str, Version]", shown: Sequence[Clash]
) -> dict[tuple[str, str], _Who]:
    """Return who gave each side of each row its value."""
    found: dict[tuple[str, str], _Who] = {}
    tables = {clash.table for clash in shown if clash.kind in _ROWS and clash.row}
    for side in ("ours", "theirs"):
        for table in sorted(tables):
            clashes = [c for c in shown if c.table == table and c.kind in _ROWS and c.row]
            for clash, who in _blamed(versions[side], table, clashes):
                found[side, clash.id] = who
    return found


def _blamed(
    version: "Version", table: str, clashes: Sequence[Clash]
) -> Iterator[tuple[Clash, _Who]]:
    from registry.catalog.comparing.blame import blame

    try:
        rows = blame(version, table, [clash.row for clash in clashes], columns=True).to_pylist()
    except NotFoundError:  # the side never had the table, or one of the rows
        return
    for clash in clashes:
        mine = [row for row in rows if _is_of(row, clash)]
        if mine:
            row = max(mine, key=lambda each: each["at"])
            yield (
                clash,
                _Who(
                    name=row["author"].partition(" <")[0],
                    when=f"{row['at']:%Y-%m-%d %H:%M} UTC",
                    why=row["message"].partition("\n")[0],
                    commit=row["commit"][:12],
                    change=row["change"],
                ),
            )


def _is_of(row: Mapping[str, Any], clash: Clash) -> bool:
    told = {"change", "columns", "commit", "author", "at", "message", "decided"}
    key = [value for name, value in row.items() if name not in told]
    about = not row["columns"] or bool(set(row["columns"]) & set(clash.columns))
    return [str(value) for value in key] == [str(value) for value in clash.row] and about


# --------------------------------------------------------------------- a card
def _card(scene: _Scene, number: int, clash: Clash) -> _Card:
    sides = [side for side in _SIDES if side in scene.versions or side != "base"]
    shapes = {side: _shape(scene, side, clash) for side in sides}
    panes = _panes(scene, clash, sides, shapes)
    decided = clash.decision
    columns = [c for c in clash.columns if c not in {"area", "bbox", "hilbert"}]
    named = next((c for c in columns if c in {"category", "label"}), "")
    example = {"category": "category='Boat'", "label": "label=['Forest']"}.get(named, "")
    return _Card(
        anchor=f"conflict-{number}",
        table=clash.table,
        key=clash.key,
        sample=scene.samples.get(clash.id, ""),
        said=_SAID[clash.kind],
        columns=", ".join(columns),
        sides=tuple(_side(scene, clash, side, panes.get(side)) for side in sides),
        apart=_apart(shapes.get("ours"), shapes.get("theirs")),
        own=_decide(scene, clash, f'--set "{example}"') if example else "",
        decided="" if decided is None else decided.side,
    )


def _side(scene: _Scene, clash: Clash, side: str, drawn: Pane | None) -> _Side:
    text: str | None = getattr(clash, side)
    chosen = clash.decision is not None and clash.decision.side == side
    return _Side(
        name=side,
        ref=scene.refs[side],
        pane=drawn,
        who=scene.who.get((side, clash.id)),
        values=tuple(_values(text)),
        gone=text is None,
        command="" if side == "base" else _decide(scene, clash, f"--{side}"),
        chosen=chosen,
    )


def _values(text: str | None) -> Iterator[tuple[str, str]]:
    if text is None:
        return
    try:
        said = json.loads(text)
    except ValueError:
        said = text
    if not isinstance(said, dict):
        yield "", value_text(said, _VALUE)
        return
    for name, value in said.items():
        words = isinstance(value, list) and value and all(isinstance(w, str) for w in value)
        shown = ", ".join(value) if words else value
        if name == "geometry" and isinstance(value, str):
            shown = f"{value.partition('(')[0].strip().lower() or 'outline'}, as drawn"
        yield name, value_text(shown, _VALUE)


def _panes(
    scene: _Scene, clash: Clash, sides: Sequence[str], shapes: Mapping[str, Any]
) -> dict[str, Pane]:
    sample = scene.samples.get(clash.id)
    chips = {side: scene.chips.get(side, {}).get(sample or "") for side in sides}
    known = [chip for chip in chips.values() if chip is not None]
    if sample is None or not known:
        return {}
    one_size = len({chip.size for chip in known}) == 1
    outlines = [shape for shape in shapes.values() if shape is not None]
    view = view_around(outlines, known[-1].size) if one_size and outlines else None
    drawn = {}
    for side in sides:
        label = _label(chips[side], clash)
        key = str(clash.row[0])
        was = None if side == "base" or shapes.get("base") == shapes[side] else shapes.get("base")
        others = [] if was is None else [(was, Mark(role="ghost"))]
        drawn[side] = pane(
            f"{side} · {scene.refs[side]}",
            chips[side],
            scene.album,
            marks={key: Mark(role=side, label=label)} if clash.table == "annotations" else {},
            others=others,
            view=view,
        )
    return drawn


def _shape(scene: _Scene, side: str, clash: Clash) -> Any:  # noqa: ANN401 — shapely's own
    chip = scene.chips.get(side, {}).get(scene.samples.get(clash.id, ""))
    if chip is None or clash.table != "annotations":
        return None
    return next((one.shape for one in chip.outlines if one.id == clash.row[0]), None)


def _label(chip: Chip | None, clash: Clash) -> str:
    outlines = chip.outlines if chip is not None else ()
    return next((one.category for one in outlines if one.id == str(clash.row[0])), "")


def _apart(ours: Any, theirs: Any) -> str:  # noqa: ANN401 — shapely's own
    if ours is None or theirs is None or shapely.equals_exact(ours, theirs):
        return ""
    found = likeness(ours.wkb, theirs.wkb, frame=PIXEL)
    said = {"iou": found.iou, "distance": found.distance, "unit": "pixels", "note": found.note}
    return shape_text(said).replace("moved", "apart by")


# ------------------------------------------------------------------- commands
def _decide(scene: _Scene, clash: Clash, how: str) -> str:
    return _command(scene.dataset, (_name(scene, clash),), scene.into, how)


def _name(scene: _Scene, clash: Clash) -> str:
    """Return the shortest word that means this conflict alone."""
    everyone = scene.waiting.clashes
    for word in (clash.key, f"{clash.table}/{clash.key}"):
        names = [c for c in everyone if word in {c.key, f"{c.table}/{c.key}"}]
        if len(names) == 1 and not word.startswith("-"):
            return word
    return clash.id


def _command(dataset: str, keys: Sequence[str], into: Sequence[str], how: str) -> str:
    return " ".join(["eolab resolve", *map(shlex.quote, (dataset, *keys)), *into, how])
