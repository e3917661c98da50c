"""Label features: class shares of masks, counts and sizes of objects, pixels under outlines."""

from registry.curate.features.sets.labels.definition import LABELS
from registry.curate.features.sets.labels.zones import ZONAL, zonal

__all__ = ["LABELS", "ZONAL", "zonal"]
