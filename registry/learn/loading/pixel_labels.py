"""How masks are read, where loaders look: see :mod:`registry.curate.features.pixel_labels`."""

from registry.curate.features.pixel_labels import UNLABELLED, PixelLabels, pixel_labels

__all__ = ["UNLABELLED", "PixelLabels", "pixel_labels"]
