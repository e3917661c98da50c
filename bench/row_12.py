"""Row 12: EuroSAT.zip and 2,000 GeoTIFF chips in, beside a rasterio loop on one core.

The loop is what a careful person writes: open every file, read all its pixels, its CRS, its
transform and its class, and write them compressed (Zstandard) into one Parquet file. It neither
checks, hashes, deduplicates, versions nor survives a kill. Ours is ``eolab ingest`` as a command.
"""

import shutil
from functools import partial
from pathlib import Path
from typing import Final
from zipfile import ZIP_STORED, ZipFile

from bench.ground import chips_folder, command, emptied, peak_memory, real, scaled, workplace
from bench.pairs import Comparison, Contestant, Figure, compare, named

_CHIPS: Final = 2000
_PICTURES: Final = 4050
_TARGET: Final = 5
_LOOP: Final = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from pathlib import Path
from zipfile import ZipFile
import pyarrow as pa, pyarrow.parquet as pq, rasterio
from rasterio.io import MemoryFile

SCHEMA = pa.schema([
    ("id", pa.string()), ("label", pa.string()), ("crs", pa.string()),
    ("transform", pa.list_(pa.float64())), ("dtype", pa.string()),
    ("shape", pa.list_(pa.int32())), ("data", pa.binary()),
])

def row(path, file):
    pixels = file.read()
    return {
        "id": path.stem, "label": path.parent.name,
        "crs": file.crs.to_string() if file.crs else None, "transform": list(file.transform)[:6],
        "dtype": str(pixels.dtype), "shape": list(pixels.shape), "data": pixels.tobytes(),
    }

def rows(source):
    if source.is_dir():
        for path in sorted(source.rglob("*.tif")):
            with rasterio.open(path) as file:
                yield row(path, file)
        return
    with ZipFile(source) as archive:
        for name in archive.namelist():
            if name.endswith(".jpg"):
                with MemoryFile(archive.read(name)) as memory, memory.open() as file:
                    yield row(Path(name), file)

with pq.ParquetWriter(sys.argv[2], SCHEMA, compression="zstd") as out:
    held = []
    for one in rows(Path(sys.argv[1])):
        held.append(one)
        if len(held) == 500:
            out.write_table(pa.Table.from_pylist(held, SCHEMA))
            held = []
    out.write_table(pa.Table.from_pylist(held, SCHEMA))
"""


def run() -> tuple[list[Comparison], list[Figure]]:
    import warnings

    warnings.simplefilter("ignore")
    compared: list[Comparison] = []
    figures: list[Figure] = []
    with workplace() as place:
        work = emptied(place / "intake")
        chips = chips_folder(place, scaled(_CHIPS, least=20))
        for name, source in (("EuroSAT.zip", _eurosat(place)), ("GeoTIFF chips", chips)):
            count = _count(source)
            lake = work / "lake"
            compared += compare(
                f"12 · {count:,} {name} in",
                Contestant(
                    name="ours",
                    work=partial(command, *_ingest(source), env={"EOLAB_LAKE": str(lake)}),
                    ready=partial(_lake, lake),
                ),
                [
                    Contestant(
                        name=f"{named('rasterio')} loop, one core",
                        work=partial(command, "python", "-c", _LOOP, source, work / "loop.parquet"),
                        target=_TARGET,
                    )
                ],
            )
            _lake(lake)
            peak = peak_memory(*_ingest(source), env={"EOLAB_LAKE": str(lake)})
            figures.append(
                Figure(row=f"12 · most memory, {count:,} {name}", value=peak, unit="MB", limit=1000)
            )
        shutil.rmtree(work)
    return compared, figures


def _ingest(source: Path) -> tuple[str | Path, ...]:
    return (
        "eolab", "ingest", source, "--into", "pictures", "--task", "classification",
        "--licence", "MIT", "--provider", "DFKI", "--time", "2015/2017",
    )  # fmt: skip


def _lake(folder: Path) -> None:
    from registry.lake import init

    init(str(emptied(folder)))


def _eurosat(place: Path) -> Path:
    """Return the real archive where it is at hand, else one of simulated pictures like it."""
    from registry.curate.ingest.simulator import write_folder

    if found := real("eurosat-rgb", "EuroSAT.zip"):
        return found
    folder = place / f"pictures-{scaled(_PICTURES, least=20)}"
    if not folder.exists():
        half = emptied(place / "pictures.half")
        count = scaled(_PICTURES, least=20)
        write_folder("classification", half, samples=count, seed=3, layout="image-folder")
        half.rename(folder)
    return next(folder.glob("*.zip"))


def _count(source: Path) -> int:
    if source.is_dir():
        return sum(1 for _ in source.rglob("*.tif"))
    with ZipFile(source, compression=ZIP_STORED) as archive:
        return sum(name.endswith(".jpg") for name in archive.namelist())
