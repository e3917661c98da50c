"""Places and times: boxes, grids, coordinate systems, cells and intervals.

Longitude comes before latitude and x before y, everywhere and whatever the authority's own axis
order says. ``docs/concepts/conventions.md`` has the rest.
"""

from registry.geo.boxes import BBox, bbox_of, bounds_of, box_around, centres_of
from registry.geo.cells import area_m2, equal_area_cell, hilbert_key
from registry.geo.grids import Grid, footprint, footprints
from registry.geo.systems import from_crs84, normalise_crs, to_crs84, transform_points, utm_crs
from registry.geo.times import Interval, parse_interval

__all__ = [
    "BBox",
    "Grid",
    "Interval",
    "area_m2",
    "bbox_of",
    "bounds_of",
    "box_around",
    "centres_of",
    "equal_area_cell",
    "footprint",
    "footprints",
    "from_crs84",
    "hilbert_key",
    "normalise_crs",
    "parse_interval",
    "to_crs84",
    "transform_points",
    "utm_crs",
]
