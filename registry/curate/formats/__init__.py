"""Foreign formats, one module each; :mod:`.detection` knows them all.

Loads nothing by itself, because the limited child that reads rasters lives in here.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from registry.curate.formats.contract import (
        Listing,
        Plan,
        SourceFinding,
        SourceFormat,
        SourceOptions,
    )
    from registry.curate.formats.detection import FORMATS, Detection, detect, plan
    from registry.curate.formats.listing import open_listing

__all__ = [
    "FORMATS",
    "Detection",
    "Listing",
    "Plan",
    "SourceFinding",
    "SourceFormat",
    "SourceOptions",
    "detect",
    "open_listing",
    "plan",
]

_HOMES: Final = {
    "contract": ("Listing", "Plan", "SourceFinding", "SourceFormat", "SourceOptions"),
    "detection": ("FORMATS", "Detection", "detect", "plan"),
    "listing": ("open_listing",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"registry.curate.formats.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
