"""Every sample says where on Earth it is, by a polygon that can be."""

import json
from math import isfinite

import numpy as np
import pyarrow as pa
import shapely

from registry.curate.quality.check import ERROR, Check
from registry.curate.quality.subject import BREACHES, Subject

__all__ = ["FOOTPRINT", "MISSING_FOOTPRINT"]

_EARTH = np.array([180.0, 90.0, 180.0, 90.0])


def _missing(subject: Subject) -> pa.Table:
    nowhere = [
        batch.column("id").filter(batch.column("geometry").is_null())
        for batch in subject.footprints()
    ]
    ids = pa.chunked_array([pa.array([], pa.string()), *nowhere]).combine_chunks()
    return subject.with_table("nowhere", pa.table({"id": ids})).sql(
        """
        select id as sample, 'warning' as severity, 'it has no footprint' as message,
            to_json({'georeferenced': georeferenced})::varchar as evidence,
            'ingest it from a georeferenced file or with a sidecar that says where it is' as fix
        from samples semi join nowhere using (id)
        order by 1
        """
    )


def _invalid(subject: Subject) -> pa.Table:
    parts = [_of_batch(batch) for batch in subject.footprints()]
    return pa.concat_tables([BREACHES.empty_table(), *parts])


def _of_batch(batch: pa.RecordBatch) -> pa.Table:
    binary = batch.column(1)
    present = binary.is_valid().to_numpy(zero_copy_only=False)
    shapes = shapely.from_wkb(binary.to_numpy(zero_copy_only=False), on_invalid="ignore")
    problem = _problems(shapes, present)
    rows = []
    for index in np.flatnonzero(problem != ""):
        bounds = [side for side in shapely.bounds(shapes[index]).tolist() if isfinite(side)]
        rows.append({
            "sample": batch.column(0)[index].as_py(),
            "severity": ERROR,
            "message": f"its footprint {problem[index]}",
            "evidence": json.dumps({"bounds": bounds}),
            "fix": "ingest the sample again with the right CRS, or mend the polygon",
        })
    return pa.Table.from_pylist(rows, schema=BREACHES)


def _problems(shapes: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Return what is wrong with each footprint, in words; empty where nothing is.

    Args:
        shapes: Footprints in degrees, None where unreadable; shape ``(n,)``.
        present: Whether there is one, unitless; shape ``(n,)``.
    """
    problem = np.full(len(shapes), "", dtype=object)
    unreadable = present & shapely.is_missing(shapes)
    solid = present & ~unreadable
    bounds = np.full((len(shapes), 4), 0.0)
    bounds[solid] = shapely.bounds(shapes[solid])
    with np.errstate(invalid="ignore"):
        inside = (np.abs(bounds) <= _EARTH).all(axis=1)
    kind = shapely.get_type_id(shapes)
    area = np.isin(kind, (3, 6))  # polygon, multipolygon
    for wrong, words in (
        (solid & ~shapely.is_valid(shapes), "is no valid polygon"),
        (solid & area & (shapely.area(shapes) == 0), "has no area"),
        (solid & ~inside, "leaves the Earth: longitude within ±180, latitude within ±90"),
        (solid & ~area & (kind != 0), "is neither a polygon nor a point"),
        (solid & shapely.is_empty(shapes), "is empty"),
        (unreadable, "is no well-known binary"),
    ):
        problem[wrong] = words
    return problem


MISSING_FOOTPRINT = Check(
    name="missing-footprint",
    about="Every sample says where on Earth it is.",
    find=_missing,
    denies="Q1",
)

FOOTPRINT = Check(
    name="footprint",
    about="Every footprint is a valid polygon within longitude ±180 and latitude ±90.",
    find=_invalid,
    denies="Q1",
)
