"""The same chips in the lab's tables and in the formats of its peers, and an epoch over each."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from bench.ground import emptied

__all__ = ["BATCH", "FORMATS", "SHAPE", "chips", "lit_epoch", "material", "mds_epoch", "ours",
           "packed_share", "tif_epoch", "wds_epoch"]  # fmt: skip

SHAPE: Final = (6, 256, 256)
"""Bands of HLS, and pixels."""

BATCH: Final = 32
"""Samples of a batch."""

FORMATS: Final = ("tif", "lit", "mds", "wds")
"""What the peers read."""

_SCENES: Final = 32
_SHARD: Final = 64 * 2**20
_SEED: Final = 11
_LEVEL: Final = 3  # of Zstandard in GeoTIFF
_EPSG: Final = 32614


def chips(count: int) -> Iterator[npt.NDArray[np.uint16]]:
    """Yield simulated HLS chips, turned and with sensor noise, so that no two are alike."""
    from registry.curate.ingest.simulator import simulate

    scenes = [
        one.assets["hls"].array
        for one in simulate("burn-scars", samples=min(count, _SCENES), seed=_SEED, size=SHAPE[1])
    ]
    chance = np.random.default_rng(_SEED)
    for number in range(count):
        turned = np.rot90(scenes[number % len(scenes)], number // len(scenes), axes=(1, 2))
        noise = chance.integers(0, 3, SHAPE, dtype=np.uint16)
        yield np.ascontiguousarray(turned.astype(np.uint16) + noise)


def material(place: Path, count: int, *, formats: tuple[str, ...] = FORMATS) -> Path:
    """Return a folder with the chips as ``lake`` and in some of the peers' formats.

    Args:
        place: The work folder; what is there from before is used.
        count: How many chips.
        formats: Some of ``FORMATS``.
    """
    made: dict[str, Callable[[Path, int], None]] = {
        "lake": _lake, "tif": _tif, "lit": _lit, "mds": _mds, "wds": _wds,
    }  # fmt: skip
    folder = place / f"stream-{count}"
    for name in ("lake", *formats):
        if not (folder / name).exists():
            half = emptied(folder / f"{name}.half")
            made[name](half, count)
            half.rename(folder / name)
    return folder


def _lake(folder: Path, count: int) -> None:
    import pyarrow as pa

    from registry import Spec, connect
    from registry.lake import init
    from registry.tables import store
    from registry.tables.pixels import encode
    from registry.tables.schemas import ASSETS, PIXELS, SAMPLES

    init(str(folder))
    registry = connect(str(folder))
    draft = registry.create(Spec(name="chips"))
    repository, main = draft.repository, draft.repository.resolve("main")
    samples: list[dict[str, Any]] = []
    assets: list[dict[str, Any]] = []

    def packed() -> Iterator[pa.RecordBatch]:
        for number, chip in enumerate(chips(count)):
            row = encode(chip)
            name = f"chip_{number:06d}"
            samples.append({"id": name, "hilbert": number, "georeferenced": False, "declared": []})
            assets.append({
                "sample": name, "asset": "hls", "pixels": row.sha256, "shape": list(row.shape),
                "dtype": row.dtype, "times": [],
            })  # fmt: skip
            one = {"sha256": row.sha256, "codec": row.codec, "data": row.data}
            yield pa.RecordBatch.from_pylist([one], PIXELS.arrow)

    with repository.workspace(draft.branch) as workspace:
        for schema in (SAMPLES, ASSETS, PIXELS):
            store.create(workspace.path, schema)
        store.append(workspace.path, PIXELS, packed())
        for schema, rows in ((SAMPLES, samples), (ASSETS, assets)):
            store.append(workspace.path, schema, pa.Table.from_pylist(rows, schema.arrow))
        # Checks are another benchmark's: this one begins after them.
        commit = workspace.commit("chips", metadata={"verdict": "passed"}).id
    repository.advance("main", to=commit, expected=main)
    registry.release("chips", commit=commit, message="chips")


def _tif(folder: Path, count: int) -> None:
    import rasterio

    for number, chip in enumerate(chips(count)):
        with rasterio.open(
            folder / f"{number:06d}.tif", "w", driver="GTiff", width=SHAPE[2], height=SHAPE[1],
            count=SHAPE[0], dtype="uint16", crs=f"EPSG:{_EPSG}", tiled=True, blockxsize=SHAPE[2],
            blockysize=SHAPE[1], compress="zstd", predictor=2, zstd_level=_LEVEL,
            transform=rasterio.transform.from_origin(440_280, 3_159_720, 30, 30),
        ) as file:  # fmt: skip
            file.write(chip)


def _lit(folder: Path, count: int) -> None:
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(folder), chunk_bytes=_SHARD)
    for number, chip in enumerate(chips(count)):
        writer[number] = chip
    writer.done()
    writer.merge()


def _mds(folder: Path, count: int) -> None:
    from streaming import MDSWriter

    columns = {"image": f"ndarray:uint16:{','.join(map(str, SHAPE))}"}
    with MDSWriter(out=str(folder), columns=columns, size_limit=_SHARD, exist_ok=True) as writer:
        for chip in chips(count):
            writer.write({"image": chip})


def _wds(folder: Path, count: int) -> None:
    import webdataset

    pattern = str(folder / "shard-%05d.tar")
    with webdataset.ShardWriter(pattern, maxsize=_SHARD, maxcount=count, verbose=0) as writer:
        for number, chip in enumerate(chips(count)):
            packed = io.BytesIO()
            np.save(packed, chip)
            writer.write({"__key__": f"{number:06d}", "npy": packed.getvalue()})


Epoch = Callable[[], int]


def _counted(batches: Callable[[], Any]) -> Epoch:
    def epoch() -> int:
        return sum(len(batch) for batch in batches())

    return epoch


def ours(folder: Path, **more: Any) -> Epoch:  # noqa: ANN401 — a stream's own arguments
    import torch

    from registry import connect
    from registry.learn.loading.stream import stream

    found = stream("chips@v1", registry=connect(str(folder / "lake")), batch_size=BATCH, **more)
    return _counted(lambda: (torch.from_numpy(batch.arrays["hls"]) for batch in found))


def _loader(dataset: Any, workers: int, **more: Any) -> Any:  # noqa: ANN401 — torch's, untyped
    from torch.utils.data import DataLoader

    if workers:
        more |= {"num_workers": workers, "prefetch_factor": 4, "persistent_workers": True}
    return DataLoader(dataset, batch_size=BATCH, **more)


def tif_epoch(folder: Path, workers: int) -> Epoch:
    import rasterio
    import torch
    from torch.utils.data import Dataset

    class Chips(Dataset[Any]):
        files = sorted((folder / "tif").glob("*.tif"))

        def __len__(self) -> int:
            return len(self.files)

        def __getitem__(self, at: int) -> torch.Tensor:
            with rasterio.open(self.files[at]) as file:
                return torch.from_numpy(file.read())

    loader = _loader(Chips(), workers, shuffle=True)
    return _counted(lambda: loader)


def lit_epoch(folder: Path, workers: int) -> Epoch:
    import litdata
    import torch

    class Chips(litdata.StreamingDataset):
        def __getitem__(self, at: int) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(super().__getitem__(at)))

    dataset = Chips(str(folder / "lit"), shuffle=True)
    more = {"prefetch_factor": 4, "persistent_workers": True} if workers else {}
    loader = litdata.StreamingDataLoader(dataset, batch_size=BATCH, num_workers=workers, **more)
    return _counted(lambda: loader)


def mds_epoch(folder: Path, workers: int) -> Epoch:
    import torch
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    class Chips(StreamingDataset):
        def __getitem__(self, at: int) -> torch.Tensor:
            return torch.from_numpy(np.array(super().__getitem__(at)["image"]))

    clean_stale_shared_memory()
    loader = _loader(Chips(local=str(folder / "mds"), shuffle=True, batch_size=BATCH), workers)
    return _counted(lambda: loader)


def wds_epoch(folder: Path, workers: int) -> Epoch:
    import torch
    import webdataset

    shards = sorted(map(str, (folder / "wds").glob("*.tar")))
    dataset = (
        webdataset
        .WebDataset(shards, shardshuffle=8, nodesplitter=None, empty_check=False)
        .shuffle(200)
        .map(lambda one: torch.from_numpy(np.load(io.BytesIO(one["npy"]))))
    )
    loader = _loader(dataset, workers)
    return _counted(lambda: loader)


def packed_share(folder: Path, count: int) -> float:
    """Return how large the chips are in the lab's table, as a share of the raw arrays."""
    from registry import connect
    from registry.tables import store

    root = connect(str(folder / "lake")).resolve("chips@v1").root
    size = sum(path.stat().st_size for path in store.files(root, "pixels"))
    return size / (count * int(np.prod(SHAPE)) * 2)
