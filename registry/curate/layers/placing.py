"""Where samples are: the centre of each one's box."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from registry.curate.layers.places import Floats
from registry.geo import bounds_of, centres_of

__all__ = ["centres"]

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def centres(samples: pa.Table) -> tuple[Floats, Floats]:
    """Return the centres of samples' boxes.

    Args:
        samples: With ``bbox``, or ``geometry`` as WKB in OGC:CRS84; neither is no place.

    Returns:
        Longitudes and latitudes in degrees; NaN where a sample has no place, or one that cannot be
        read.
    """
    bounds = np.full((samples.num_rows, 4), np.nan)
    if "bbox" in samples.column_names and pa.types.is_struct(samples["bbox"].type):
        boxes = samples["bbox"].combine_chunks()
        for i, corner in enumerate(_CORNERS):
            if boxes.type.get_field_index(corner) >= 0:
                edge = pc.cast(pc.struct_field(boxes, corner), pa.float64())
                bounds[:, i] = edge.to_numpy(zero_copy_only=False)
    if "geometry" in samples.column_names:
        nowhere = np.flatnonzero(np.isnan(bounds).any(axis=1))
        if nowhere.size:
            wkb = samples["geometry"].take(pa.array(nowhere)).to_numpy()
            bounds[nowhere] = bounds_of(shapely.from_wkb(wkb, on_invalid="ignore"))
    with np.errstate(invalid="ignore", over="ignore"):
        return centres_of(bounds)
