"""What a network is made of, as text that travels with its weights."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from registry.errors import InvalidInputError

__all__ = ["Architecture", "Head", "HeadTask"]


class HeadTask(StrEnum):
    """What one head of a network gives."""

    CLASSIFICATION = "classification"  # one class a sample: logits (sample, class)
    MULTILABEL = "multilabel"  # some classes a sample: logits (sample, class)
    SEGMENTATION = "segmentation"  # one class a pixel: logits (sample, class, y, x)
    CHANGE = "change"  # like segmentation, of two dates
    REGRESSION = "regression"  # one number a sample: (sample, 1)
    PIXEL_REGRESSION = "pixel-regression"  # one number a pixel: (sample, 1, y, x)
    DETECTION = "detection"  # boxes
    RECONSTRUCTION = "reconstruction"  # pretraining by a masked autoencoder
    CONTRASTIVE = "contrastive"  # pretraining by two views of one sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """One answer of a network."""

    name: str
    """What it is called among the network's outputs; for one head its task's name."""

    task: HeadTask
    """What it gives."""

    classes: tuple[str, ...] = ()
    """Class names in the order of its outputs; empty for quantities."""

    asset: str | None = None
    """The mask or raster it learns from; None for labels, targets and boxes of samples."""

    unit: str | None = None
    """Unit of a quantity."""

    weight: float = 1.0
    """Of its loss among those of other heads, above 0."""

    mean: float = 0.0
    """Of a quantity among training samples, in its unit: outputs are ``(value - mean) / std``."""

    std: float = 1.0
    """Of a quantity among the training samples, in its unit, above 0."""

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise InvalidInputError(
                f"head '{self.name}' has a deviation of {self.std}", hint="give one above 0"
            )
        if not self.weight > 0:
            raise InvalidInputError(
                f"head '{self.name}' has weight {self.weight}", hint="give a weight above 0"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """How a network is built."""

    factory: str
    """``lab``, ``smp``, ``timm``, ``torchvision``, ``torchgeo``, ``terratorch``, the name of an
    entry point of the group ``eolab.architectures``, or ``class`` with ``args.class_path``."""

    args: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    """What the factory takes, such as ``{"name": "Unet", "encoder_name": "resnet18"}``."""

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        return {"factory": self.factory, "args": dict(self.args)}
