"""Row 2: one chip of 6 x 256 x 256 pixels unpacked on one core, beside GDAL's Zstandard.

GDAL reads a GeoTIFF in memory (Zstandard level 3, predictor 2, one tile a band) that stays open, so
that opening it, which takes as long again, is not timed.
"""

from functools import partial
from typing import Any, Final

import numpy as np

from bench.chips import SHAPE, chips
from bench.ground import scaled
from bench.pairs import Comparison, Contestant, Figure, compare, named

_CHIPS: Final = 64
_ROUNDS: Final = 20
_TARGET: Final = 12


def run() -> tuple[list[Comparison], list[Figure]]:
    import rasterio
    from rasterio.io import MemoryFile

    from registry.tables.pixels import decode, encode

    count = scaled(_CHIPS, least=4)
    arrays = list(chips(count))
    packed = [encode(one) for one in arrays]
    out = np.empty(SHAPE, np.uint16)
    memory = [MemoryFile() for _ in arrays]
    for file, array in zip(memory, arrays, strict=True):
        with file.open(
            driver="GTiff", width=SHAPE[2], height=SHAPE[1], count=SHAPE[0], dtype="uint16",
            tiled=True, blockxsize=SHAPE[2], blockysize=SHAPE[1], compress="zstd", predictor=2,
            zstd_level=3,
        ) as image:  # fmt: skip
            image.write(array)
    sizes = [len(file.getbuffer()) for file in memory]

    def unpack() -> None:
        for _ in range(_ROUNDS):
            for one in packed:
                decode(one.data, codec=one.codec, dtype=one.dtype, shape=one.shape, out=out)

    def read(images: list[Any]) -> None:
        for image in images:
            image.read(out=out)

    def opened() -> None:
        held[:] = [file.open() for file in memory]  # a new dataset keeps no block of the last

    held: list[Any] = []
    with rasterio.Env(GDAL_NUM_THREADS=1, GDAL_CACHEMAX=0):
        compared = compare(
            f"2 · {_ROUNDS} x {count} chips unpacked",
            Contestant(name="ours", work=unpack),
            [
                Contestant(
                    name=f"{named('rasterio')} ZSTD predictor 2 (one round)",
                    work=partial(read, held),
                    target=_TARGET / _ROUNDS,
                    ready=opened,
                )
            ],
        )
        for image in held:
            image.close()
    raw = int(np.prod(SHAPE)) * 2 * count
    best = min(sum(one.ours) / len(one.ours) for one in compared)
    mine = sum(len(one.data) for one in packed)
    return compared, [
        Figure(row="2 · unpacked a second", value=raw * _ROUNDS / best / 1e6, unit="MB"),
        Figure(row="2 · our bytes for one of theirs", value=mine / sum(sizes), unit="", limit=1),
    ]
