"""Row 1: an epoch over chips of 6 x 256 x 256 pixels, warm and shuffled, batches of 32.

Each peer reads its own format of the same chips with the number of workers that its own
documentation advises for this machine, and without workers; the better of the two is its figure.
Workers stay alive between epochs, so nobody's start is timed. All give torch tensors.
"""

from typing import Final

from bench.chips import (
    lit_epoch,
    material,
    mds_epoch,
    ours,
    packed_share,
    tif_epoch,
    wds_epoch,
)
from bench.ground import scaled, workplace
from bench.pairs import Comparison, Contestant, Figure, compare, named

_CHIPS: Final = 2000
_WORKERS: Final = (0, 2)
_PEERS: Final = (
    ("rasterio", "DataLoader over GeoTIFF", tif_epoch, 10),
    ("litdata", "", lit_epoch, 4),
    ("webdataset", "", wds_epoch, 3),
    ("mosaicml-streaming", "MDS", mds_epoch, 2),
)
_SHARE: Final = 0.70


def run() -> tuple[list[Comparison], list[Figure]]:
    import torch

    torch.set_num_threads(1)
    count = scaled(_CHIPS, least=64)
    with workplace() as place:
        folder = material(place, count)
        mine = Contestant(name="ours", work=ours(folder))
        peers = [
            Contestant(
                name=f"{named(package)} {words}, {workers} workers".replace(" ,", ","),
                work=epoch(folder, workers),
                target=target,
            )
            for package, words, epoch, target in _PEERS
            for workers in _WORKERS
        ]
        compared = compare(f"1 · an epoch over {count:,} chips", mine, peers)
        best = min(sum(one.ours) / len(one.ours) for one in compared)
        share = packed_share(folder, count)
    return compared, [
        Figure(row="1 · stored bytes of raw bytes", value=share, unit="share", limit=_SHARE),
        Figure(row="1 · chips a second", value=count / best, unit="1/s"),
    ]
