"""Layouts of well-known datasets, one module each, loaded when they are asked for."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    from pathlib import Path

    from registry.catalog import Version
    from registry.progress import Progress

__all__ = ["FURTHER", "LayoutWriter", "Written", "layout_writer"]

FURTHER: Final[Mapping[str, str]] = MappingProxyType({
    "bigearthnet": "registry.curate.checkout.bigearthnet:write_bigearthnet",
    "pastis": "registry.curate.checkout.pastis:write_pastis",
    "torchgeo": "registry.curate.checkout.torchgeo:write_torchgeo",
})
"""Where the writer of each layout is, by the name that a user says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What a layout's writer did."""

    rasters: int
    """Files of pixels."""

    lost: tuple[str, ...] = ()
    """What the layout cannot hold, each as ``file: what: why``."""


class LayoutWriter(Protocol):
    """Writes a version's samples and assets; the card and the list of references follow."""

    def __call__(self, version: "Version", work: "Path", *, progress: "Progress") -> Written:
        """Write into an empty folder, which is thrown away if anything is raised.

        Raises:
            InvalidInputError: The version has nothing that the layout could hold.
        """
        ...


def layout_writer(name: str) -> LayoutWriter:
    """Return the writer of a layout in :data:`FURTHER`."""
    module, _, function = FURTHER[name].partition(":")
    return cast("LayoutWriter", getattr(import_module(module), function))
