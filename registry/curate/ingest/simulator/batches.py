"""Chips as Arrow tables with the arrays beside them, as ingest takes them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from registry.curate.ingest.simulator.chips import SimulatedChip
from registry.curate.ingest.simulator.defects import break_some
from registry.curate.ingest.simulator.simulation import simulate
from registry.errors import InvalidInputError
from registry.geo import Grid, bounds_of, centres_of, footprints, hilbert_key
from registry.tables.schemas import ANNOTATIONS, samples_schema

__all__ = ["PROPERTIES", "AssetArray", "SimulatedBatch", "batches"]

PROPERTIES: Final = pa.struct([
    ("eo:cloud_cover", pa.float64()),
    ("gsd", pa.float64()),
    ("view:sun_elevation", pa.float64()),
    ("view:sun_azimuth", pa.float64()),
])
"""Typed properties of simulated samples: percent, metres, degrees, degrees."""

_LICENCE = "CC0-1.0"
_PROVIDER = "EO Training Data Lab simulator"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssetArray:
    """One array of one sample, and where it lies."""

    sample: str
    """Id of the sample."""

    asset: str
    """Name of the asset."""

    array: npt.NDArray[Any]
    """Shape ``(band, y, x)`` or ``(time, band, y, x)``."""

    bands: tuple[str, ...]
    """Names of the bands."""

    grid: Grid
    """Where the pixels lie."""

    times: tuple[datetime, ...]
    """One a time step, in UTC; empty without a time axis."""

    nodata: float | None
    """What means "unknown"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedBatch:
    """Some chips as tables."""

    samples: pa.Table
    """Columns of ``samples/`` with ``PROPERTIES``, in the order of simulation."""

    assets: tuple[AssetArray, ...]
    """Every array of every sample, in the samples' order."""

    annotations: pa.Table
    """Columns of ``annotations/``."""

    defects: dict[str, tuple[str, ...]]
    """What was broken on purpose, by sample."""


def batches(
    task: str,
    *,
    samples: int,
    seed: int,
    sensor: str | None = None,
    size: int = 64,
    places: Sequence[str] = (),
    defects: Sequence[str] = (),
    batch: int = 256,
) -> Iterator[SimulatedBatch]:
    """Make chips whose truth is known, as Arrow tables.

    Args:
        task: As for :func:`simulate`, like ``samples``, ``seed``, ``sensor``, ``size`` and
            ``places``.
        samples: How many chips.
        seed: What chance starts from.
        sensor: ``hls`` or ``sentinel-2``; None for the task's usual one.
        size: Pixels along the edge of a chip.
        places: Names of places to stay at.
        defects: What to break on purpose, keys of ``DEFECTS``; one chip each.
        batch: Most samples in a batch.

    Yields:
        Batches of up to ``batch`` samples.

    Raises:
        NotFoundError: There is no such task, sensor, place or defect.
        InvalidInputError: A number is out of range, or the places do not suit the task.

    Examples:
        >>> batch = next(batches("detection", samples=3, seed=1))
        >>> batch.samples.num_rows, batch.annotations["category"][0].as_py()
        (3, 'Boat')
    """
    if batch < 1:
        raise InvalidInputError(f"batch={batch} holds nothing", hint="give at least 1")
    chips = simulate(task, samples=samples, seed=seed, sensor=sensor, size=size, places=places)
    if defects:
        chips = break_some(chips, samples=samples, defects=defects)
    while some := list(islice(chips, batch)):
        yield _batch(some)


def _batch(chips: list[SimulatedChip]) -> SimulatedBatch:
    return SimulatedBatch(
        samples=_samples(chips),
        assets=tuple(
            AssetArray(
                sample=chip.id, asset=name, array=asset.array, bands=asset.bands, grid=chip.grid,
                times=asset.times, nodata=asset.nodata,
            )
            for chip in chips
            for name, asset in chip.assets.items()
        ),
        annotations=_annotations(chips),
        defects={chip.id: chip.defects for chip in chips if chip.defects},
    )  # fmt: skip


def _samples(chips: list[SimulatedChip]) -> pa.Table:
    places = footprints([chip.grid for chip in chips])
    bounds = bounds_of(shapely.from_wkb(np.array(places, dtype=object)))
    keys = hilbert_key(*centres_of(bounds))
    rows = [
        {
            "id": chip.id,
            "geometry": place,
            "bbox": None
            if place is None
            else dict(zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)),
            "datetime": chip.moment,
            "start_datetime": _ends(chip)[0],
            "end_datetime": _ends(chip)[1],
            "label": list(chip.labels) or None,
            "target": chip.target,
            "group": chip.group,
            "georeferenced": place is not None,
            "declared": [],
            "source": {
                "licence": _LICENCE,
                "provider": _PROVIDER,
                "collection": "simulated",
                "item": chip.id,
            },
            "hilbert": key,
            "properties": dict(chip.properties),
        }
        for chip, place, box, key in zip(chips, places, bounds.tolist(), keys.tolist(), strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=samples_schema(PROPERTIES).arrow)


def _ends(chip: SimulatedChip) -> tuple[datetime | None, datetime | None]:
    times = next(iter(chip.assets.values())).times
    return (times[0], times[-1]) if times else (None, None)


def _annotations(chips: list[SimulatedChip]) -> pa.Table:
    rows = [
        {
            "id": thing.id,
            "sample": chip.id,
            "geometry": shapely.to_wkb(thing.geometry),
            "frame": "crs",
            "category": thing.category,
            "attributes": json.dumps(dict(thing.attributes)),
            "method": "derived",
            "created": chip.moment,
            "status": "accepted",
            "area": thing.geometry.area,
            "iscrowd": False,
            "isbox": False,
        }
        for chip in chips
        for thing in chip.annotations
    ]
    return pa.Table.from_pylist(rows, schema=ANNOTATIONS.arrow)
