"""Row 9: how many bytes an edit of one pixel array in a hundred adds to the lake."""

import shutil
from pathlib import Path
from typing import Final

from bench.ground import chips_folder, emptied, scaled, workplace
from bench.pairs import Comparison, Figure

_CHIPS: Final = 2000
_SHARE: Final = 100  # one in so many is edited


def run() -> tuple[list[Comparison], list[Figure]]:
    from registry import connect, ingest
    from registry.curate.ingest import SourceOptions
    from registry.lake import init

    count = scaled(_CHIPS, least=_SHARE)
    with workplace() as place:
        folder = emptied(place / "edit")
        source = folder / "chips"
        shutil.copytree(chips_folder(place, count), source)
        init(str(folder / "lake"))
        registry = connect(str(folder / "lake"))
        options = SourceOptions(task="classification", licence="CC0-1.0", provider="simulator")
        ingest(registry, source, into="chips", options=options)
        before = _stored(folder / "lake")
        edited = sorted(source.rglob("*.tif"))[::_SHARE]
        for path in edited:
            _repaint(path)
        done = ingest(registry, source, into="chips", options=options)
        after = _stored(folder / "lake")
    if done.changed != len(edited):
        raise RuntimeError(f"{done.changed} changed, not {len(edited)}")
    grown = (after - before) / before * 100
    edit = f"9 · growth by an edit of 1 % of {count:,} chips"
    return [], [
        Figure(row=edit, value=grown, unit="%", limit=2),
        Figure(row="9 · stored before the edit", value=before / 1e6, unit="MB"),
    ]


def _stored(lake: Path) -> int:
    """Return the bytes of all that the lake keeps; links to the same bytes count once."""
    files = {path.stat().st_ino: path.stat().st_size for path in lake.rglob("*") if path.is_file()}
    return sum(files.values())


def _repaint(path: Path) -> None:
    import rasterio

    with rasterio.open(path, "r+") as file:
        pixels = file.read()
        pixels[:, :8, :8] += 1
        file.write(pixels)
