"""Arrays that a program made, such as the simulator, land as files do."""

import json
import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.formats.contract import (
    PLAN_ANNOTATIONS,
    PLAN_ASSETS,
    PLAN_SAMPLES,
    AssetKind,
    Plan,
    SourceOptions,
)
from registry.curate.formats.raster import RASTERS
from registry.curate.ingest.card import spec_of
from registry.curate.ingest.engine import IngestResult, result_of, source_branch
from registry.curate.ingest.findings import findings_table
from registry.curate.ingest.journal import open_journal
from registry.curate.ingest.landing import Destination, land
from registry.curate.ingest.pixels import stream_pixels
from registry.curate.ingest.planned import check_plan
from registry.curate.ingest.rows import build_rows
from registry.geo import Grid, footprints
from registry.lake.names import check_repository
from registry.progress import SILENT, Progress
from registry.tables.pixels import encode

if TYPE_CHECKING:
    from registry.catalog.registry import Registry

__all__ = ["ArrayBatch", "NamedArray", "ingest_arrays"]

_SOURCE_FIELDS: Final = ("href", "checksum", "licence", "provider", "collection", "item")


class NamedArray(Protocol):
    """One array of one sample."""

    @property
    def sample(self) -> str:
        """Id of the sample."""
        ...

    @property
    def asset(self) -> str:
        """Name of the asset."""
        ...

    @property
    def array(self) -> npt.NDArray[Any]:
        """Pixels, shape ``(band, y, x)`` or ``(time, band, y, x)``."""
        ...

    @property
    def bands(self) -> Sequence[str]:
        """Names of the bands; empty if they have none."""
        ...

    @property
    def grid(self) -> Grid | None:
        """Where the pixels lie."""
        ...

    @property
    def times(self) -> Sequence[datetime]:
        """One a time step, in UTC; empty without a time axis."""
        ...

    @property
    def nodata(self) -> float | None:
        """Value that means that nothing was observed."""
        ...


class ArrayBatch(Protocol):
    """Some samples with their arrays."""

    @property
    def samples(self) -> pa.Table:
        """Rows of ``samples/``; what is derived may be left out."""
        ...

    @property
    def assets(self) -> Sequence[NamedArray]:
        """The samples' arrays."""
        ...

    @property
    def annotations(self) -> pa.Table:
        """Rows of ``annotations/``, in the samples' CRS."""
        ...


def ingest_arrays(
    registry: "Registry",
    batches: Iterable[ArrayBatch],
    *,
    into: str,
    name: str,
    task: str | None = None,
    classes: Sequence[str] = (),
    branch: str | None = None,
    progress: Progress = SILENT,
) -> IngestResult:
    """Bring arrays into a draft of a dataset, which is made if there is none.

    Holds one batch of arrays at a time; rows of the small tables are held until the end.

    Args:
        registry: Where to.
        batches: Samples with their arrays.
        into: The dataset's name.
        name: The source's name; arrays of the same source replace what it said before.
        task: What the labels are for.
        classes: Class names in their order.
        branch: As for :func:`registry.curate.ingest.ingest`.
        progress: Told what happens.

    Returns:
        What was done; the same arrays again do nothing.

    Raises:
        RejectedError: There are no samples, or an id is malformed or comes twice.
        ConflictError: Source and draft changed the same.
    """
    check_repository(into)
    with open_journal(registry.lake.address, dataset=into, source=f"arrays:{name}") as journal:
        shutil.rmtree(journal.parts)
        journal.parts.mkdir()
        progress.stage("making", total=None, unit="samples")
        made = _Made()
        for number, batch in enumerate(batches):
            made.take(batch, journal.parts / f"part-{number:016x}")
            progress.advance(len(batch.samples))
        plan, rasters = made.plan(task, classes), made.rasters()
        check_plan(plan)
        progress.stage("writing", total=None, unit="samples")
        options = SourceOptions()
        landing = land(
            registry,
            spec_of(into, plan, options, rasters),
            build_rows(plan, rasters, options),
            findings=findings_table([]),
            pixels=lambda wanted: stream_pixels(wanted, journal.parts),
            to=Destination(source=source_branch(name), named=True, branch=branch),
        )
        shutil.rmtree(journal.parts)
    return result_of(into, "arrays", landing)


class _Made:
    """What has come so far: rows of the plan and of its parts."""

    def __init__(self) -> None:
        self._samples: list[pa.Table] = []
        self._assets: list[pa.Table] = []
        self._annotations: list[pa.Table] = []
        self._rasters: list[pa.Table] = [RASTERS.empty_table()]

    def take(self, batch: ArrayBatch, part: Path) -> None:
        self._samples.append(_plan_samples(batch.samples))
        self._annotations.append(batch.annotations)
        self._assets.append(
            pa.table({
                "sample": [each.sample for each in batch.assets],
                "asset": [each.asset for each in batch.assets],
                "kind": [AssetKind.RASTER.value] * len(batch.assets),
                "file": [_file(each) for each in batch.assets],
                "times": pa.array(
                    [list(each.times) for each in batch.assets],
                    pa.list_(PLAN_SAMPLES.field("datetime").type),
                ),
            })
        )
        self._rasters.append(_written(batch.assets, part))

    def plan(self, task: str | None, classes: Sequence[str]) -> Plan:
        samples = self._samples or [PLAN_SAMPLES.empty_table()]
        return Plan(
            task=task,
            classes=tuple(classes),
            samples=pa.concat_tables(samples),
            assets=pa.concat_tables(self._assets or [PLAN_ASSETS.empty_table()]),
            annotations=pa.concat_tables(self._annotations or [PLAN_ANNOTATIONS.empty_table()]),
        )

    def rasters(self) -> pa.Table:
        return pa.concat_tables(self._rasters)


def _plan_samples(samples: pa.Table) -> pa.Table:
    columns = {
        name: samples[name]
        for name in (*PLAN_SAMPLES.names, "properties")
        if name in samples.column_names
    }
    if "source" in samples.column_names:
        source = samples["source"].combine_chunks()
        columns |= {name: pc.struct_field(source, name) for name in _SOURCE_FIELDS}
    return pa.table(columns)


def _file(each: NamedArray) -> str:
    return f"{each.asset}/{each.sample}.tif"


def _written(assets: Sequence[NamedArray], part: Path) -> pa.Table:
    places = footprints([each.grid for each in assets])
    rows = []
    with part.with_suffix(".bin").open("wb") as pixels:
        for each, place in zip(assets, places, strict=True):
            encoded = encode(np.asarray(each.array))
            rows.append({
                "file": _file(each),
                "stamp": "",
                "part": part.name,
                "offset": pixels.tell(),
                "length": len(encoded.data),
                "sha256": encoded.sha256,
                "codec": encoded.codec,
                "shape": encoded.shape,
                "dtype": encoded.dtype,
                "crs": None if each.grid is None else each.grid.crs,
                "transform": None if each.grid is None else each.grid.transform,
                "nodata": each.nodata,
                "footprint": place,
                "said": json.dumps({"driver": "GTiff", "bands": list(each.bands)}),
            })
            pixels.write(encoded.data)
    return pa.Table.from_pylist(rows, schema=RASTERS)
