"""A version as one HTML file that needs nothing else: no script, no request, no server."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from registry.catalog.cite import cite
from registry.web.arrays import asset_facts
from registry.web.chips import Chip, Outline, chosen_chips
from registry.web.colours import hexadecimal
from registry.web.counts import class_bars, month_bars, split_bars
from registry.web.findings import Judged, judgement
from registry.web.land import land_path
from registry.web.maps import graticule, map_of
from registry.web.panes import path_of
from registry.web.paper import filled, written
from registry.web.pictures import data_uri, png

if TYPE_CHECKING:
    from registry.catalog.version import Version
    from registry.lake.records import Commit

__all__ = ["render"]

_CHIPS: Final = 12
_COMMITS: Final = 25


def render(
    version: "Version",
    out: Path,
    *,
    report: Judged | None = None,
    history: "Iterable[Commit] | None" = None,
) -> None:
    """Draw a version as one HTML file: chips, map, class counts, findings, history.

    The file loads nothing from anywhere and runs no script; its own policy forbids both.

    Args:
        version: What is shown.
        out: The file to write; its folder is made, a file that is there replaced.
        report: What the checks found; by default what was published with the version.
        history: Commits, newest first; by default those behind the version.
    """
    commits = history if history is not None else version.repository.log(version.commit.id)
    said = _facts(version) | {
        "report": judgement(version, report),
        "history": list(_moments(version, commits)),
    }
    written(out, filled("version.html.j2", said))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """A chip as the template shows it."""

    sample: str
    labels: tuple[str, ...]
    when: str
    why: str
    image: str
    mask: str
    width: int
    height: int
    shown: tuple[int, int]
    paths: tuple[tuple[str, str, str], ...]
    classes: tuple[tuple[str, str], ...]
    alt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """A commit as the template shows it."""

    id: str
    message: str
    author: str
    day: str
    minute: str
    tags: tuple[str, ...]
    merge: bool
    here: bool


def _facts(version: "Version") -> dict[str, Any]:
    said = version.spec
    place = map_of(version)
    return {
        "version": version,
        "spec": said,
        "title": said.title or version.dataset,
        "ref": str(version.ref),
        "content_id": version.content_id,
        "numbers": _numbers(version),
        "assets": asset_facts(version),
        "chips": [_picture(chip) for chip in chosen_chips(version, _CHIPS)],
        "place": place,
        "graticule": graticule(place.frame),
        "land": land_path(place.frame),
        "scale_bar": place.frame.scale_bar(),
        "classes": class_bars(version),
        "splits": split_bars(version),
        "months": month_bars(version),
        "citation": cite(version, "bibtex"),
    }


def _numbers(version: "Version") -> list[tuple[str, int]]:
    names = (
        ("samples", "samples"),
        ("assets", "assets"),
        ("pixels", "distinct arrays"),
        ("annotations", "annotations"),
    )
    counted = [(said, version.count(table)) for table, said in names]
    return [(said, count) for said, count in counted if count or said == "samples"]


def _picture(chip: Chip) -> _Picture:
    labels = ", ".join(chip.labels)
    shapes = f"; {len(chip.outlines)} outlined objects" if chip.outlines else ""
    drawn = f"; mask of {', '.join(name for name, _ in chip.classes)}" if chip.classes else ""
    return _Picture(
        sample=chip.sample,
        labels=chip.labels,
        when=chip.when,
        why=chip.why,
        image=data_uri(png(chip.image)) if chip.image is not None else "",
        mask=data_uri(png(chip.mask)) if chip.mask is not None else "",
        width=chip.size[0],
        height=chip.size[1],
        shown=chip.image.size if chip.image is not None else (192, 192),
        paths=tuple(_path(outline) for outline in chip.outlines),
        classes=tuple((name, hexadecimal(colour)) for name, colour in chip.classes),
        alt=f"Chip {chip.sample}{': ' + labels if labels else ''}{shapes}{drawn}",
    )


def _path(outline: Outline) -> tuple[str, str, str]:
    return path_of(outline.shape), hexadecimal(outline.colour), outline.category


def _moments(version: "Version", commits: "Iterable[Commit]") -> Iterator[_Moment]:
    tags: dict[str, list[str]] = {}
    for tag, named in version.repository.tags().items():
        tags.setdefault(named, []).append(tag)
    for commit in islice(commits, _COMMITS):
        yield _Moment(
            id=commit.id[:12],
            message=commit.message.splitlines()[0] if commit.message else "(no message)",
            author=commit.author.partition("<")[0].strip() or "somebody",
            day=commit.at.date().isoformat(),
            minute=commit.at.strftime("%H:%M"),
            tags=tuple(sorted(tags.get(commit.id, []))),
            merge=len(commit.parents) > 1,
            here=commit.id == version.commit.id,
        )
