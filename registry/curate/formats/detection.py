"""Which format a source is of: seen from its files' names, or said by the user."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from registry.curate.formats.bigearthnet import BigEarthNet
from registry.curate.formats.coco import Coco
from registry.curate.formats.contract import Listing, Plan, SourceFormat, SourceOptions
from registry.curate.formats.geotiff_sidecar import GeotiffSidecar
from registry.curate.formats.image_folder import ImageFolder
from registry.curate.formats.image_mask import ImageMask
from registry.curate.formats.pastis import Pastis
from registry.curate.formats.planning import rasters, suffix
from registry.curate.formats.stac_items import StacItems
from registry.curate.formats.worldcereal import WorldCereal
from registry.errors import InvalidInputError

__all__ = ["FORMATS", "Detection", "detect", "plan", "seen"]

FORMATS: Final[Mapping[str, SourceFormat]] = MappingProxyType({
    each.name: each
    for each in (
        Coco(), StacItems(), Pastis(), WorldCereal(), BigEarthNet(), ImageMask(), GeotiffSidecar(),
        ImageFolder(),
    )
})  # fmt: skip
"""Every format there is, by the name that a user says."""

_UNSURE: Final = 0.15
_TIE: Final = 0.02
_SHOWN: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """What a source was taken for."""

    format: SourceFormat
    """The reader."""

    sure: float
    """How sure it is, 0 to 1; 1 if the user said so."""

    reason: str
    """Why, for people."""


def detect(listing: Listing, options: SourceOptions) -> Detection:
    """Return which format a source is of.

    Args:
        listing: The source.
        options: ``format`` decides, if it is given.

    Returns:
        The surest format, and what was seen.

    Raises:
        InvalidInputError: No format is sure, two are equally so, or there is none of that name.
    """
    if options.format is not None:
        if options.format not in FORMATS:
            raise InvalidInputError(
                f"there is no format {options.format!r}", hint=f"known are {', '.join(FORMATS)}"
            )
        return Detection(format=FORMATS[options.format], sure=1.0, reason="as said by --format")
    sure = {name: each.recognises(listing) for name, each in FORMATS.items()}
    ranked = sorted(sure, key=lambda name: sure[name], reverse=True)
    first, second = ranked[:2]
    if sure[first] < _UNSURE:
        raise InvalidInputError(
            f"the source {listing.name!r} is of no format that is known: {seen(listing)}",
            hint=_hint(listing),
        )
    if sure[first] - sure[second] < _TIE:
        raise InvalidInputError(
            f"the source {listing.name!r} may be {first} or {second}: {seen(listing)}",
            hint=f"say which with --format {first} or --format {second}",
        )
    return Detection(
        format=FORMATS[first], sure=sure[first], reason=f"{seen(listing)}; {first} fits best"
    )


def _hint(listing: Listing) -> str:
    if rasters(listing):
        return f"say which with --format; known are {', '.join(FORMATS)}"
    return (
        "give images (GeoTIFF, JPEG, PNG, JPEG 2000) with their labels, COCO, or STAC items;"
        " convert other arrays and layers, and unpack archives, first"
    )


def plan(listing: Listing, options: SourceOptions) -> Plan:
    """Return what to make of a source, in the format that it is of.

    Raises:
        InvalidInputError: Its format cannot be told.
        RejectedError: It breaks its format as a whole.
    """
    return detect(listing, options).format.plan(listing, options)


def seen(listing: Listing) -> str:
    """Return a short account of a listing: how many files of which kind, and some names."""
    kinds = Counter(suffix(path) or "no suffix" for path in listing.files)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(_SHOWN))
    names = ", ".join(repr(path) for path in list(listing.files)[:_SHOWN])
    return f"{len(listing.files)} files ({counts}), such as {names}"
