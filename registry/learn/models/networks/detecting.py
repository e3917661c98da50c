"""Boxes around objects, without anchors: FCOS on the features of any encoder."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final

import torch
from torch import Tensor
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.fcos import FCOS, FCOSHead
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import FeaturePyramidNetwork

from registry.errors import InvalidInputError
from registry.learn.models.architecture import Head
from registry.learn.models.networks.network import Around, Features, Network
from registry.learn.models.networks.pyramid import Enlarged

__all__ = ["Detector", "Targets"]

Targets = Sequence[Any]
"""One a sample: a mapping with ``boxes`` ``(object, 4)`` and ``labels`` ``(object,)``, or
:class:`registry.learn.loading.batch.Boxes`."""

_COARSEST: Final = 64
_FAR: Final = 1.85  # softplus makes 2 of it: boxes begin with sides of four times the stride
_MOST: Final = 300  # objects of one image: harbours hold more than the usual hundred


class Detector(Around):
    """Finds objects on a pyramid of an encoder's features.

    Args:
        network: Encoders, and heads beside the boxes if there are any.
        head: Its classes are those of the objects.
        width: Channels of the pyramid, a multiple of 32.
        convolutions: In each branch of the head.
        score: The least score of a box that is given, in [0, 1].
        overlap: Intersection over union above which the weaker of two boxes is dropped.
        finest: Pixels of an image for one of the finest level: objects that are smaller are hardly
            found, and half of it costs four times as much.

    References:
        Tian et al. (2019), FCOS, arXiv:1904.01355; Lin et al. (2017), FPN, arXiv:1612.03144.
    """

    network: Network
    """Encoders, and heads beside the boxes if there are any."""

    def __init__(
        self,
        network: Network,
        head: Head,
        *,
        width: int = 64,
        convolutions: int = 2,
        score: float = 0.05,
        overlap: float = 0.5,
        finest: int = 4,
    ) -> None:
        super().__init__(network)
        if not head.classes:
            raise InvalidInputError(
                f"head '{head.name}' has no classes of objects", hint="name at least one"
            )
        self.head = head
        self.heads = (*network.heads, head)
        self.levels = _levels(network.strides, finest)
        channels = [network.channels[level] for level in self.levels]
        strides = [network.strides[level] for level in self.levels]
        plain = len(channels) > 1 and len(set(strides)) == 1
        self.enlarge = Enlarged(channels, strides, width=width) if plain else None
        if self.enlarge is not None:
            channels, strides = list(self.enlarge.channels), list(self.enlarge.strides)
        pyramid = FeaturePyramidNetwork(channels, width)
        pyramid.out_channels = width
        sizes = tuple((int(stride),) for stride in strides)
        self.fcos = FCOS(
            pyramid,
            num_classes=len(head.classes),
            anchor_generator=AnchorGenerator(sizes, ((1.0,),) * len(sizes)),
            head=_head(width, len(head.classes), convolutions),
            score_thresh=score,
            nms_thresh=overlap,
            detections_per_img=_MOST,
        )

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
        """Return the objects of each sample.

        Args:
            inputs: By asset, as all networks take them.

        Returns:
            By name of the head: a list with one mapping a sample, of ``boxes`` ``(object, 4)`` in
            pixels (x and y of the upper left, then of the lower right corner), ``scores`` and
            ``labels`` ``(object,)``, best first; other heads give tensors.
        """
        features = self.network.features(inputs)
        found, anchors, counts = self._found(features)
        split = {name: list(torch.split(values, counts, dim=1)) for name, values in found.items()}
        levels = [list(torch.split(each, counts)) for each in anchors]
        boxes = self.fcos.postprocess_detections(split, levels, [features.size] * len(anchors))
        return {**self.network.answered(features), self.head.name: boxes}

    def losses(self, inputs: Mapping[str, Tensor], boxes: Targets) -> dict[str, Tensor]:
        """Return the losses of the boxes alone.

        Args:
            inputs: By asset.
            boxes: What should be found, one a sample; those of no area do not count.

        Returns:
            ``classification``, ``box`` and ``centre``; their sum is to be made small.
        """
        found, anchors, counts = self._found(self.network.features(inputs))
        device = anchors[0].device
        targets = [_target(one, device, len(self.head.classes)) for one in boxes]
        losses = self.fcos.compute_loss(targets, found, anchors, counts)
        return {
            "classification": losses["classification"],
            "box": losses["bbox_regression"],
            "centre": losses["bbox_ctrness"],
        }

    def _found(self, features: Features) -> tuple[dict[str, Tensor], list[Tensor], list[int]]:
        levels = [features.levels[level] for level in self.levels]
        if self.enlarge is not None:
            levels = self.enlarge(levels)
        named = OrderedDict((str(number), level) for number, level in enumerate(levels))
        pyramid = list(self.fcos.backbone(named).values())
        # boxes in half precision would be pixels off
        found = {name: values.float() for name, values in self.fcos.head(pyramid).items()}
        count = pyramid[0].shape[0]
        image = pyramid[0].new_empty((count, 1, *features.inner))
        anchors = self.fcos.anchor_generator(ImageList(image, [features.inner] * count), pyramid)
        anchors = [each.float() for each in anchors]
        return found, anchors, [level.shape[-2] * level.shape[-1] for level in pyramid]


def _head(width: int, classes: int, convolutions: int) -> FCOSHead:
    """Return the head of FCOS, whose distances to a box's sides always have a slope.

    Where a rectifier alone keeps them positive, it can fall silent for every box in the first
    steps, and then no box ever gets an area.
    """
    head = FCOSHead(width, 1, classes, convolutions)
    distances = head.regression_head.bbox_reg
    torch.nn.init.constant_(distances.bias, _FAR)
    head.regression_head.bbox_reg = torch.nn.Sequential(distances, torch.nn.Softplus())
    return head


def _levels(strides: Sequence[int], finest: int) -> list[int]:
    """Return the levels that are worth looking for objects on."""
    if len(strides) > 1 and len(set(strides)) == 1:  # each before the last is made twice as fine
        count = sum(strides[0] // 2**doubled >= finest for doubled in range(len(strides)))
        return list(range(len(strides)))[-max(1, count) :]
    good = [level for level, stride in enumerate(strides) if finest <= stride <= _COARSEST]
    return good or [len(strides) - 1]


def _target(one: Any, device: torch.device, classes: int) -> dict[str, Tensor]:  # noqa: ANN401 — either form
    said = (one["boxes"], one["labels"]) if isinstance(one, Mapping) else (one.corners, one.classes)
    boxes = torch.as_tensor(said[0], dtype=torch.float32, device=device).reshape(-1, 4)
    labels = torch.as_tensor(said[1], dtype=torch.int64, device=device).reshape(-1)
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise InvalidInputError(
            f"a box has class {int(labels.max())}; the head has {classes}",
            hint="count classes from 0, as the head orders them",
        )
    real = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
    return {"boxes": boxes[real], "labels": labels[real]}
