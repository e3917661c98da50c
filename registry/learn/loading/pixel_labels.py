"""How masks are read, for whatever learns from them: :mod:`registry.curate.features.pixel_labels`."""

from registry.curate.features.pixel_labels import UNLABELLED, PixelLabels, pixel_labels

__all__ = ["UNLABELLED", "PixelLabels", "pixel_labels"]
