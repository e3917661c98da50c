"""What a network answers: a class, a number, a map of either."""

from torch import Tensor, nn

from registry.learn.models.architecture import Head, HeadTask
from registry.learn.models.networks.encoding import resized

__all__ = ["DENSE", "SCENE", "OfPixels", "OfSamples", "outputs"]

DENSE = frozenset({HeadTask.SEGMENTATION, HeadTask.CHANGE, HeadTask.PIXEL_REGRESSION})
"""Tasks that answer for each pixel."""

SCENE = frozenset({HeadTask.CLASSIFICATION, HeadTask.MULTILABEL, HeadTask.REGRESSION})
"""Tasks that answer once a sample."""


def outputs(head: Head) -> int:
    """Return how many numbers a head gives, for a sample or a pixel.

    Args:
        head: Its classes, or none for a quantity.

    Returns:
        At least 1.

    Examples:
        >>> outputs(Head(name="mask", task=HeadTask.SEGMENTATION, classes=("land", "water")))
        2
    """
    quantity = head.task in {HeadTask.REGRESSION, HeadTask.PIXEL_REGRESSION}
    return 1 if quantity else max(1, len(head.classes))


class OfSamples(nn.Module):
    """One answer a sample, from an embedding.

    Args:
        channels: Length of the embedding.
        outputs: Numbers that it gives.
        dropout: Share of the embedding that training forgets.
    """

    def __init__(self, channels: int, outputs: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        self.forget = nn.Dropout(dropout)
        self.answer = nn.Linear(channels, outputs)

    def forward(self, embedding: Tensor) -> Tensor:
        """Return ``(sample, output)``.

        Args:
            embedding: ``(sample, channel)``.

        Returns:
            Logits or quantities.
        """
        out: Tensor = self.answer(self.forget(embedding))
        return out


class OfPixels(nn.Module):
    """One answer a pixel, from a decoder's map.

    Args:
        channels: Of the map.
        outputs: Numbers that it gives.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.answer = nn.Conv2d(channels, outputs, 3, padding=1)

    def forward(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Return ``(sample, output, y, x)``.

        Args:
            features: ``(sample, channel, y, x)``.
            size: Height and width of what is wanted, in pixels.

        Returns:
            Logits or quantities.
        """
        return resized(self.answer(features), size)
