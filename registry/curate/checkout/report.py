"""What a checkout made, and what it could not keep."""

from dataclasses import dataclass
from pathlib import Path

__all__ = ["CheckoutReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckoutReport:
    """What a checkout made."""

    folder: Path
    """Where the files are, absolute."""

    layout: str
    """``files``, ``coco``, or that of a well-known dataset, such as ``bigearthnet``."""

    files: int
    """Files written, sidecars and card among them."""

    rasters: int
    """Images and masks among them."""

    by_reference: int
    """Assets that have no pixels here; listed in ``references.csv`` where there are any."""

    lost_tags: tuple[str, ...]
    """What a file's format cannot hold, each as ``file: what: why``, sorted."""
