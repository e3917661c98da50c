"""A map of a whole scene by overlapping windows, beside TerraTorch's tiled inference.

Both get the same array in memory, windows of 256 that overlap by 64, batches of 16. The first row
has a network that costs nothing, so what is timed is all that happens outside the forward pass;
the second has a small convolutional one. TerraTorch holds scene and answer whole; ours gives
strips, which are laid into one array as they come.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import numpy as np

from bench.ground import scaled
from bench.pairs import Comparison, Contestant, Figure, compare, named

if TYPE_CHECKING:
    from torch import nn

    from registry.learn.inference.windows import Region

NEEDS: Final = "terratorch"
_SIDE: Final = 4096
_WINDOW: Final = 256
_OVERLAP: Final = 64
_BATCH: Final = 16
_BANDS: Final = 6
_CLASSES: Final = 5
_TARGET: Final = 3.0


class _Held:
    """A scene in memory."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.height, self.width = array.shape[1:]

    def read(self, region: "Region") -> tuple[Mapping[str, np.ndarray], np.ndarray]:
        rows = slice(region.top, region.top + region.height)
        columns = slice(region.left, region.left + region.width)
        seen = np.ones((region.height, region.width), np.bool_)
        return {"image": self._array[:, rows, columns]}, seen


def run() -> tuple[list[Comparison], list[Figure]]:
    import torch

    side = scaled(_SIDE, least=600)
    array = np.random.default_rng(1).random((_BANDS, side, side), np.float32)
    torch.manual_seed(0)
    real = torch.nn.Sequential(
        torch.nn.Conv2d(_BANDS, 16, 3, padding=1), torch.nn.ReLU(),
        torch.nn.Conv2d(16, _CLASSES, 3, padding=1),
    ).eval()  # fmt: skip
    free = torch.nn.Identity()
    done = []
    for what, network, target in (
        ("outside the forward pass", free, _TARGET), ("with a small network", real, 1.0)
    ):  # fmt: skip
        ours, theirs = _ours(array, network), _theirs(array, network)
        _agree(ours(), theirs())
        peer = Contestant(name=f"{named('terratorch')} tiled_inference", work=theirs, target=target)
        row = f"whole scene · {side} by {side} pixels, {what}"
        done += compare(row, Contestant(name="ours", work=ours), [peer])
    return done, []


def _ours(array: np.ndarray, network: "nn.Module") -> Callable[[], np.ndarray]:
    import torch

    from registry.learn.inference.blending import sweep
    from registry.learn.inference.windows import Plan

    scene = _Held(array)
    plan = Plan(height=scene.height, width=scene.width, window=_WINDOW, overlap=_OVERLAP)

    def net(arrays: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
        with torch.inference_mode():
            return {"a": network(torch.from_numpy(arrays["image"]))[:, :_CLASSES].numpy()}

    def work() -> np.ndarray:
        whole = np.empty((_CLASSES, scene.height, scene.width), np.float32)
        for strip in sweep(scene, net, plan, channels={"a": _CLASSES}, batch_size=_BATCH):
            values = strip.values["a"]
            whole[:, strip.top : strip.top + values.shape[1]] = values
        return whole

    return work


def _theirs(array: np.ndarray, network: "nn.Module") -> Callable[[], np.ndarray]:
    import torch
    from terratorch.tasks.tiled_inference import tiled_inference

    image = torch.from_numpy(array)[None]

    def work() -> np.ndarray:
        with torch.inference_mode():
            found = tiled_inference(
                lambda chips, **_: network(chips)[:, :_CLASSES], image, out_channels=_CLASSES,
                crop=_WINDOW, stride=_WINDOW - _OVERLAP, delta=0, batch_size=_BATCH, padding=False,
            )  # fmt: skip
        return found[0].numpy()

    return work


def _agree(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Refuse to time answers that differ by more than how they blend at the network's borders.

    Raises:
        AssertionError: They do.
    """
    inner = np.s_[:, _WINDOW:-_WINDOW, _WINDOW:-_WINDOW]
    apart = np.abs(ours[inner] - theirs[inner]).mean()
    if apart > 0.05:  # noqa: PLR2004 — of answers around 1
        raise AssertionError(f"the answers differ by {apart:g} on average")
