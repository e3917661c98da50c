"""Conflicts as text: lines of a table, and a file that is decided in with an editor."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from registry.catalog.merging.conflicts import SET, SIDES, Clash, ClashKind, Decision
from registry.cli.editor import edited
from registry.errors import InvalidInputError

if TYPE_CHECKING:
    import pyarrow as pa

    from registry.catalog import Pending, Registry

__all__ = [
    "conflict_rows",
    "conflicts_text",
    "decided_in_editor",
    "decided_in_file",
    "decisions_of",
    "documents_of",
    "frames_of",
    "write_conflicts",
]

_ALL = ("base", *SIDES)

_LONGEST = 60
"""Characters of a value that a table shows."""

_DERIVED = frozenset({"area", "bbox", "hilbert"})
"""Columns that follow from an outline, and say nothing beside it."""

_LINE = re.compile(r"(?P<number>[0-9]{1,9})[ \t]*=[ \t]*(?P<said>.*)")
_HEAD = """\
# {way} of {name} into {into}: {count} conflicts.
# Write behind each '=' one of
#   ours                     keep what {into} has
#   theirs                   take what {name} has
#   set {{"column": "SQL"}}    values of your own, such as set {{"label": "['Forest']"}}
# or leave it empty to decide later. Lines that begin with # are not read.
"""


def conflict_rows(
    clashes: Iterable[Clash], frames: Mapping[str, str] | None = None
) -> list[tuple[object, ...]]:
    """Return conflicts as rows of a table for people.

    Args:
        clashes: The conflicts.
        frames: What the outlines of some are drawn in, as :func:`frames_of` returns it.
    """
    return [
        (
            clash.table,
            clash.key,
            ", ".join(clash.columns) or str(clash.kind),
            *(_short(_said(clash, side, (frames or {}).get(clash.id))) for side in _ALL),
            _decision_text(clash),
        )
        for clash in clashes
    ]


def documents_of(table: "pa.Table") -> list[dict[str, Any]]:
    """Return conflicts as JSON's own values, without JSON in text.

    Args:
        table: As :func:`registry.catalog.merging.conflicts.table_of_clashes` makes it.
    """
    texts = {"row", *_ALL, "value"}
    return [
        {
            name: json.loads(said) if name in texts and isinstance(said, str) else said
            for name, said in row.items()
        }
        for row in table.to_pylist()
    ]


def frames_of(
    registry: "Registry", dataset: str, waiting: "Pending", clashes: Iterable[Clash]
) -> dict[str, str]:
    """Return what the outlines of annotations are drawn in, by the id of the conflict.

    Args:
        registry: Where the dataset is.
        dataset: Its name.
        waiting: The merge.
        clashes: Its conflicts; of those over no outline nothing is looked up.

    Returns:
        ``pixel`` or a coordinate system; what is not known is left out.
    """
    import pyarrow.compute as pc

    from registry.catalog.comparing.difference import systems_of
    from registry.geo.likeness import PIXEL
    from registry.tables import store

    drawn = [c for c in clashes if c.table == "annotations" and "geometry" in c.columns]
    version = registry.resolve(f"{dataset}@{waiting.ours}") if drawn else None
    if version is None or "annotations" not in version.tables():
        return {}
    wanted = pc.field("id").isin([clash.row[0] for clash in drawn])
    home, columns = version.home_of("annotations"), ["id", "sample", "frame"]
    rows = store.read(home, "annotations", columns=columns, filter=wanted).to_pylist()
    by_id = {row["id"]: row for row in rows}
    systems = systems_of(version, sorted({row["sample"] for row in rows if row["sample"]}))
    frames: dict[str, str] = {}
    for clash in drawn:
        row = by_id.get(clash.row[0])
        frame = row and (PIXEL if row["frame"] == PIXEL else systems.get(row["sample"]))
        if frame:
            frames[clash.id] = frame
    return frames


def _said(clash: Clash, side: str, frame: str | None) -> str:
    """Return what a side has, an outline by how it lies to the one before instead of as WKT."""
    text: str | None = getattr(clash, side)
    row = json.loads(text) if text is not None else None
    if clash.kind is ClashKind.ORPHAN or not isinstance(row, dict) or "geometry" not in row:
        return side_text(clash, side)
    before = json.loads(clash.base) if clash.base is not None and side != "base" else {}
    outline = _outline(row["geometry"], before.get("geometry"), frame)
    rest = {name: v for name, v in row.items() if name not in {*_DERIVED, "geometry"}}
    return ", ".join([outline, *([json.dumps(rest, ensure_ascii=False)] if rest else [])])


def _outline(wkt: object, before: object, frame: str | None) -> str:
    if not isinstance(wkt, str):
        return "no outline"
    import shapely

    from registry.catalog.comparing.differing import shape_text
    from registry.geo.likeness import likeness

    kind = wkt.partition("(")[0].strip().lower() or "outline"
    if not isinstance(before, str):
        return kind
    if before == wkt:
        return f"{kind} as before"
    shapes = shapely.from_wkt([before, wkt], on_invalid="ignore")
    found = likeness(*(None if one is None else one.wkb for one in shapes), frame=frame)
    known = frame is not None
    return f"{kind}, " + shape_text({
        "iou": found.iou,
        "distance": found.distance if known else None,
        "unit": found.unit,
        "note": found.note if known else "",
    })


def side_text(clash: Clash, side: str) -> str:
    """Return what a side has, for people: the value alone where it is one column."""
    text: str | None = getattr(clash, side)
    if text is None:
        return "deleted" if side != "base" and clash.kind is not ClashKind.CARD else "none"
    if clash.kind is ClashKind.ORPHAN:
        return f"used by {text}"
    said = json.loads(text)
    if isinstance(said, dict) and len(said) == 1 and len(clash.columns) == 1:
        return json.dumps(next(iter(said.values())), ensure_ascii=False)
    return text


def _decision_text(clash: Clash) -> str:
    if clash.decision is None:
        return ""
    if clash.decision.side == SET:
        return "; ".join(f"{name}={said}" for name, said in clash.decision.values.items())
    return clash.decision.side


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def write_conflicts(table: "pa.Table", file: Path) -> None:
    """Write conflicts to a Parquet, CSV or JSON file, as its name ends.

    Raises:
        InvalidInputError: Its name ends otherwise.
    """
    ending = file.suffix.lower()
    if ending == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, file)
    elif ending == ".csv":
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.csv

        joined = pc.binary_join(table.column("columns").cast(pa.list_(pa.string())), " ")
        at = table.schema.get_field_index("columns")
        pyarrow.csv.write_csv(table.set_column(at, "columns", joined), file)
    elif ending == ".json":
        file.write_text(
            json.dumps(documents_of(table), ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
    else:
        raise InvalidInputError(
            f"'{file.name}' ends with no format of conflicts",
            hint="write to a .parquet, .csv or .json file",
        )


# --------------------------------------------------------------------------- the editor
def conflicts_text(waiting: "Pending") -> str:
    """Return a file in which every conflict has a line to decide it in."""
    joining = waiting.joining
    head = _HEAD.format(
        way=joining.way, name=joining.name, into=joining.into, count=len(waiting.clashes)
    )
    return "\n".join([head, *(_block(n, clash) for n, clash in enumerate(waiting.clashes, 1))])


def _block(number: int, clash: Clash) -> str:
    columns = f": {', '.join(clash.columns)}" if clash.columns else ""
    lines = [f"# {clash.table}  {clash.key}  ({clash.kind}{columns})"]
    for side in ("base", *SIDES):
        # A value with a line break stays a comment: JSON writes it as \n, else it is said so here.
        said = "\n#          ".join(side_text(clash, side).splitlines())
        lines.append(f"#   {side:<6} {said}")
    said = ""
    if clash.decision is not None:
        values = json.dumps(dict(clash.decision.values), ensure_ascii=False)
        said = f" set {values}" if clash.decision.side == SET else f" {clash.decision.side}"
    return "\n".join([*lines, f"{number} ={said}", ""])


def decisions_of(text: str, waiting: "Pending") -> dict[str, Decision]:
    """Return what a file says that :func:`conflicts_text` wrote and somebody changed.

    Args:
        text: The file.
        waiting: The merge that it was written for.

    Returns:
        Decisions by the id of the conflict.

    Raises:
        InvalidInputError: A line is none of a decision, names no conflict or one a second time,
            or says what cannot be done; says which line.
    """
    decisions: dict[str, Decision] = {}
    seen: set[int] = set()
    for place, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        number = int(match["number"]) if match else 0
        if match is None or not 1 <= number <= len(waiting.clashes):
            raise _refusal(place, line, f"write 'N = ours', N from 1 to {len(waiting.clashes)}")
        if number in seen:
            raise _refusal(place, line, f"decide conflict {number} on one line")
        seen.add(number)
        if said := match["said"].strip():
            clash = waiting.clashes[number - 1]
            decisions[clash.id] = _decision(said, clash, place, line)
    return decisions


def _decision(said: str, clash: Clash, place: int, line: str) -> Decision:
    if said in SIDES:
        return Decision(side=said)
    word, _, rest = said.partition(" ")
    if word != SET:
        raise _refusal(place, line, 'write ours, theirs, or set {"column": "SQL"}')
    try:
        values = json.loads(rest)
    except ValueError as error:
        raise _refusal(place, line, f"write a JSON object behind 'set': {error}") from error
    if not isinstance(values, dict) or not values:
        raise _refusal(place, line, "write a JSON object with a column behind 'set'")
    texts = all(isinstance(value, str) for value in values.values())
    known = clash.kind is ClashKind.DELETED or set(values) <= {*clash.columns, clash.key}
    if not texts or not known or clash.kind in {ClashKind.FILE, ClashKind.TABLE, ClashKind.ORPHAN}:
        raise _refusal(place, line, f"set SQL text for {', '.join(clash.columns) or 'nothing'}")
    return Decision(side=SET, values=values)


def _refusal(place: int, line: str, hint: str) -> InvalidInputError:
    return InvalidInputError(f"line {place} decides nothing: {line.strip()[:80]!r}", hint=hint)


def decided_in_file(waiting: "Pending", file: Path) -> dict[str, Decision]:
    """Return what a file decides.

    Raises:
        InvalidInputError: It is no text, or a line of it decides nothing.
    """
    try:
        return decisions_of(file.read_text(encoding="utf-8"), waiting)
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"{file} is not UTF-8", hint="save it as UTF-8") from error


def decided_in_editor(waiting: "Pending") -> dict[str, Decision]:
    """Open the user's editor on the conflicts and return what it decides.

    Raises:
        InvalidInputError: A line decides nothing; the file is kept, and the hint says where.
        UnavailableError: There is no editor, or it failed.
    """
    return edited(
        conflicts_text(waiting),
        name="conflicts.txt",
        take=lambda file: decided_in_file(waiting, file),
    )
