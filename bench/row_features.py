"""Features of 2,000 chips on one core, reading included, beside a plain rasterio and NumPy loop.

The loop is what a careful person writes: open each GeoTIFF, read it as reflectance, evaluate the
formula of every spectral index that its bands allow, and take mean, standard deviation and three
percentiles by NumPy's functions for arrays with gaps. Ours reads the same chips from the lake. Both
are processes held to one core, start included, and write one Parquet file; values are compared.
"""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.ground import command, emptied, scaled, workplace
from bench.large import BANDS, published
from bench.pairs import Comparison, Contestant, Figure, compare, named

if TYPE_CHECKING:
    from registry.catalog import Registry

_CHIPS: Final = 2_000
_TARGET: Final = 5.0
_LETTERS: Final = ("B", "G", "R", "N", "S1", "S2")
_OURS: Final = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from pathlib import Path
import registry
from registry.curate.features.planning import plan, work_of
from registry.curate.features.threads import on_threads
from registry.curate.features.work import Call
from registry.progress import SILENT
found = plan(registry.connect(sys.argv[1]), "large@v1", [Call(name="spectral")])
work = work_of(found, found.calls, samples=None, on_error="stop")
on_threads(work, Path(sys.argv[2]), SILENT, threads=1)
"""
_LOOP: Final = """
import os, sys, json
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from pathlib import Path
import numpy as np, pyarrow as pa, pyarrow.parquet as pq, rasterio

said = json.loads(Path(sys.argv[2]).read_text())
formulas = {name: compile(text, name, "eval") for name, text in said["formulas"].items()}
rows = []
for path in sorted(Path(sys.argv[1]).glob("*.tif")):
    with rasterio.open(path) as file:
        pixels = file.read().astype("float32") * np.float32(0.0001)
        if file.nodata is not None:
            pixels[pixels == file.nodata] = np.nan
    bands = dict(zip(said["letters"], pixels))
    row = {"sample": path.stem}
    for name, formula in formulas.items():
        with np.errstate(all="ignore"):
            values = eval(formula, bands)
        values[~np.isfinite(values)] = np.nan
        low, middle, high = np.nanpercentile(values, [10, 50, 90])
        row |= {
            f"{name}_mean": float(np.nanmean(values)), f"{name}_std": float(np.nanstd(values)),
            f"{name}_p10": float(low), f"{name}_p50": float(middle), f"{name}_p90": float(high),
        }
    rows.append(row)
pq.write_table(pa.Table.from_pylist(rows), sys.argv[3], compression="zstd")
"""


def run() -> tuple[list[Comparison], list[Figure]]:
    count = scaled(_CHIPS, least=20)
    with workplace() as place:
        registry = published(place, rows=count, chips=count)
        work = emptied(place / "features")
        folder = _files(registry, work / "chips")
        wanted = work / "formulas.json"
        wanted.write_text(json.dumps({"letters": _LETTERS, "formulas": _formulas()}), "utf-8")
        lake = str(registry.lake.address)
        ours = partial(command, "python", "-c", _OURS, lake, work / "ours")
        loop = partial(command, "python", "-c", _LOOP, folder, wanted, work / "loop.parquet")
        ours()
        loop()
        _agree(work / "ours" / "part-0.parquet", work / "loop.parquet")
        row = f"features · {len(_formulas())} spectral indices of {count:,} chips on one core"
        peer = Contestant(name=f"{named('rasterio')} and NumPy loop", work=loop, target=_TARGET)
        return compare(row, Contestant(name="ours", work=ours), [peer]), []


def _formulas() -> dict[str, str]:
    """Return the formulas that the chips' bands allow, constants put in."""
    from registry.curate.features.sets.spectral import INDICES

    found = {}
    for index in INDICES:
        if set(index.bands) <= {*_LETTERS}:
            constants = ", ".join(f"{name}={value!r}" for name, value in index.constants.items())
            found[index.name.lower()] = f"(lambda {constants}: {index.formula})()"
    return found


def _files(registry: "Registry", folder: Path) -> Path:
    """Write every chip as a GeoTIFF, deflated, as chips usually come."""
    import rasterio

    from registry.curate.features.planning import computable
    from registry.tables import store
    from registry.tables.pixels import decode

    root = computable(registry, "large@v1").root
    packed = {one["sha256"]: one for one in store.read(root, "pixels").to_pylist()}
    folder.mkdir()
    for asset in store.read(root, "assets").to_pylist():
        pixels = packed[asset["pixels"]]
        array = decode(
            pixels["data"], codec=pixels["codec"], dtype=asset["dtype"], shape=asset["shape"]
        )
        bands, height, width = array.shape
        with rasterio.open(
            folder / f"{asset['sample']}.tif", "w", driver="GTiff", count=bands, height=height,
            width=width, dtype=array.dtype, compress="deflate", crs="EPSG:32633",
            transform=rasterio.Affine(30, 0, 500_000, 0, -30, 5_000_000),
        ) as file:  # fmt: skip
            file.write(array)
    return folder


def _agree(ours: Path, loop: Path) -> None:
    """Compare every value that both have.

    Raises:
        RuntimeError: They differ.
    """
    import pyarrow.parquet as pq

    mine = pq.read_table(ours).sort_by("sample")
    other = pq.read_table(loop).sort_by("sample")
    values = mine.column("spectral").combine_chunks()
    for name in other.column_names[1:]:
        one = values.field(name).to_numpy(zero_copy_only=False).astype(np.float64)
        two = other.column(name).to_numpy()
        if not np.allclose(one, two, rtol=1e-2, atol=1e-4, equal_nan=True):
            raise RuntimeError(f"{name}: ours and the loop differ, by {np.abs(one - two).max()}")


if len(BANDS) != len(_LETTERS):
    raise RuntimeError("the chips have other bands than these letters")
