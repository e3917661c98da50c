"""Burn scars in six bands for rows that train: the same chips as a lake and as GeoTIFF files."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.ground import emptied, real

__all__ = ["BANDS", "CLASSES", "REF", "SUBSETS", "Scars", "material"]

REF: Final = "scars@v1"
"""What the lake calls them."""

BANDS: Final = ("BLUE", "GREEN", "RED", "NIR_NARROW", "SWIR_1", "SWIR_2")
"""Of HLS, as Prithvi reads them."""

CLASSES: Final = ("not burnt", "burnt")
"""Values of the masks; -1 says nothing."""

SUBSETS: Final = ("train", "validate", "test")
"""A folder each, and rows of the split."""

_REAL: Final = "hls_burn_scars"  # as its authors lay it out: training/ and validation/
_EVERY: Final = 5  # of its training chips one is held out to choose by
_SEED: Final = 21


@dataclass(frozen=True, slots=True, kw_only=True)
class Scars:
    """One set, twice."""

    folder: Path
    """Holds ``lake``, ``tif`` and what is known of both."""

    counts: dict[str, int]
    """Chips by subset."""

    means: list[float]
    """By band, of the training chips as they are stored."""

    stds: list[float]
    """Likewise, deviations."""

    simulated: bool
    """Whether nobody ever flew over them."""

    @property
    def lake(self) -> str:
        """Address of the lake."""
        return str(self.folder / "lake")

    def tif(self, subset: str) -> Path:
        """Return the folder of a subset's ``*_image.tif`` and ``*_mask.tif``."""
        return self.folder / "tif" / subset


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chip:
    name: str
    subset: str
    image: npt.NDArray[Any]  # (band, y, x)
    mask: npt.NDArray[np.int16]  # (1, y, x)


def material(place: Path, counts: dict[str, int], *, size: int, own: bool = False) -> Scars:
    """Return burn scars on disk; made if they are not there from before.

    Args:
        place: The work folder.
        counts: How many are simulated, by subset.
        size: Pixels along the edge of simulated chips.
        own: Whether to take the real set where ``EOLAB_BENCH_DATA`` holds one, as
            ``hls_burn_scars/{training,validation}/*_merged.tif`` beside ``*.mask.tif``.
    """
    found = real(_REAL) if own else None
    said = _REAL if found else f"scars-{size}-{'-'.join(str(counts[one]) for one in SUBSETS)}"
    done = place / said
    if not done.exists():
        half = emptied(place / f"{said}.half")
        _write(half, _simulated(counts, size) if found is None else _read(found))
        half.rename(done)
    known = json.loads((done / "known.json").read_text("utf-8"))
    return Scars(folder=done, simulated=found is None, **known)


def _simulated(counts: dict[str, int], size: int) -> Iterator[_Chip]:
    from registry.curate.ingest.simulator import simulate

    subsets = [one for one in SUBSETS for _ in range(counts[one])]
    found = simulate("burn-scars", samples=len(subsets), seed=_SEED, size=size)
    for number, (subset, one) in enumerate(zip(subsets, found, strict=True)):
        mask = one.assets["mask"].array.astype(np.int16)
        mask[mask >= len(CLASSES)] = -1
        image = one.assets["hls"].array
        yield _Chip(name=f"{subset}_{number:06d}", subset=subset, image=image, mask=mask)


def _read(folder: Path) -> Iterator[_Chip]:
    """Yield the real chips; the set has no test of its own, so its validation is that."""
    import rasterio

    for part in ("training", "validation"):
        for number, path in enumerate(sorted((folder / part).glob("*_merged.tif"))):
            name = path.name.removesuffix("_merged.tif")
            with rasterio.open(path) as file:
                image = file.read()
            with rasterio.open(path.with_name(f"{name}.mask.tif")) as file:
                mask = file.read().astype(np.int16)
            held = "validate" if number % _EVERY == 0 else "train"
            subset = held if part == "training" else "test"
            yield _Chip(name=name, subset=subset, image=image, mask=mask)


def _write(folder: Path, found: Iterator[_Chip]) -> None:
    import pyarrow as pa

    from registry import connect
    from registry.lake import init
    from registry.learn.training.recipe import Smoke
    from registry.learn.training.simulated import spec_of
    from registry.tables import store
    from registry.tables.pixels import encode
    from registry.tables.schemas import ASSETS, PIXELS, SAMPLES, SPLITS

    for subset in SUBSETS:
        (folder / "tif" / subset).mkdir(parents=True)
    init(str(folder / "lake"))
    registry = connect(str(folder / "lake"))
    draft = registry.create(replace(spec_of(Smoke(task="burn-scars")), name="scars"))
    repository, main = draft.repository, draft.repository.resolve("main")
    samples: list[dict[str, Any]] = []
    assets: list[dict[str, Any]] = []
    splits: list[dict[str, Any]] = []
    tally = _Tally()

    def packed() -> Iterator[pa.RecordBatch]:
        there: set[str] = set()
        for number, chip in enumerate(found):
            _tif(folder / "tif" / chip.subset / f"{chip.name}_image.tif", chip.image)
            _tif(folder / "tif" / chip.subset / f"{chip.name}_mask.tif", chip.mask)
            tally.add(chip)
            one = {"id": chip.name, "hilbert": number, "georeferenced": False, "declared": []}
            samples.append(one)
            splits.append({"sample": chip.name, "subset": chip.subset})
            for asset, array in (("image", chip.image), ("mask", chip.mask)):
                row = encode(array)
                assets.append({
                    "sample": chip.name, "asset": asset, "pixels": row.sha256,
                    "shape": list(row.shape), "dtype": row.dtype, "times": [],
                })  # fmt: skip
                if row.sha256 not in there:
                    there.add(row.sha256)
                    stored = {"sha256": row.sha256, "codec": row.codec, "data": row.data}
                    yield pa.RecordBatch.from_pylist([stored], PIXELS.arrow)

    with repository.workspace(draft.branch) as workspace:
        for schema in (SAMPLES, ASSETS, PIXELS, SPLITS):
            store.create(workspace.path, schema)
        store.append(workspace.path, PIXELS, packed())
        for schema, rows in ((SAMPLES, samples), (ASSETS, assets), (SPLITS, splits)):
            store.append(workspace.path, schema, pa.Table.from_pylist(rows, schema.arrow))
        # Checks are another benchmark's: this one begins after them.
        commit = workspace.commit("scars", metadata={"verdict": "passed"}).id
    repository.advance("main", to=commit, expected=main)
    registry.release("scars", commit=commit, message="scars")
    (folder / "known.json").write_text(json.dumps(tally.known()), "utf-8")


class _Tally:
    """Counts, and moments of the training chips."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(SUBSETS, 0)
        self.pixels = 0
        self.sums = np.zeros(len(BANDS))
        self.squares = np.zeros(len(BANDS))

    def add(self, chip: _Chip) -> None:
        self.counts[chip.subset] += 1
        if chip.subset == "train":
            values = chip.image.reshape(len(BANDS), -1).astype(np.float64)
            self.pixels += values.shape[1]
            self.sums += values.sum(1)
            self.squares += (values**2).sum(1)

    def known(self) -> dict[str, object]:
        means = self.sums / self.pixels
        stds = np.sqrt(self.squares / self.pixels - means**2)
        return {"counts": self.counts, "means": means.tolist(), "stds": stds.tolist()}


def _tif(path: Path, array: npt.NDArray[Any]) -> None:
    """Write a file as a reader likes it best: without compression, in one piece a band."""
    import rasterio

    bands, height, width = array.shape
    with rasterio.open(
        path, "w", driver="GTiff", width=width, height=height, count=bands,
        dtype=array.dtype.name, crs="EPSG:32614",
        transform=rasterio.transform.from_origin(440_280, 3_159_720, 30, 30),
    ) as file:  # fmt: skip
        file.write(array)
