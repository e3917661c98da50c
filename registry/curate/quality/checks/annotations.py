"""Every annotation has a valid outline that lies on its sample."""

import numpy as np
import pyarrow as pa
import shapely

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["ANNOTATIONS"]

_OUTLINES = pa.schema([
    ("id", pa.string()),
    ("sample", pa.string()),
    ("frame", pa.string()),
    ("problem", pa.string()),
    ("bounds", pa.list_(pa.float64())),
])


def _find(subject: Subject) -> pa.Table:
    return subject.with_table("outlines", _outlines(subject)).sql(
        """
        with sized as (
            select a.sample, a.asset, a.shape[-1] as width, a.shape[-2] as height, a.transform as t
            from assets a join specs s using (asset)
            where not s.labels and len(a.shape) >= 3
        ), corners as (
            select sample, 'pixel' as frame, 0 as west, 0 as south, width as east, height as north
            from sized
            union all by name
            select sample, 'crs' as frame,
                t[3] + least(0, width * t[1]) + least(0, height * t[2]) as west,
                t[6] + least(0, width * t[4]) + least(0, height * t[5]) as south,
                t[3] + greatest(0, width * t[1]) + greatest(0, height * t[2]) as east,
                t[6] + greatest(0, width * t[4]) + greatest(0, height * t[5]) as north
            from sized where len(t) = 6
        ), extents as (
            select sample, frame, min(west) as west, min(south) as south, max(east) as east,
                max(north) as north
            from corners group by sample, frame
        )
        select sample, 'warning' as severity,
            'the outline of annotation ''' || id || ''' ' || problem as message,
            to_json({'annotation': id})::varchar as evidence,
            'draw it again, or delete it' as fix
        from outlines where problem is not null
        union all by name
        select o.sample, 'warning' as severity,
            'annotation ''' || o.id || ''' lies wholly outside its sample' as message,
            to_json({'annotation': o.id, 'bounds': o.bounds, 'sample':
                [e.west, e.south, e.east, e.north]})::varchar as evidence,
            'see whether its CRS is the sample''s, or delete it' as fix
        from outlines o join extents e using (sample, frame)
        where o.problem is null
            and (o.bounds[3] < e.west or o.bounds[1] > e.east
                or o.bounds[4] < e.south or o.bounds[2] > e.north)
        order by 1, 3
        """
    )


def _outlines(subject: Subject) -> pa.Table:
    drawn = subject.tables["annotations"].select(["id", "sample", "frame", "geometry"])
    parts = [_outlines_of(batch) for batch in drawn.to_batches(max_chunksize=65_536)]
    return pa.concat_tables([_OUTLINES.empty_table(), *parts])


def _outlines_of(batch: pa.RecordBatch) -> pa.Table:
    batch = batch.filter(batch.column("geometry").is_valid())
    shapes = shapely.from_wkb(
        batch.column("geometry").to_numpy(zero_copy_only=False), on_invalid="ignore"
    )
    problem = np.full(len(shapes), None, dtype=object)
    problem[~shapely.is_valid(shapes)] = "crosses itself or is otherwise invalid"
    problem[shapely.is_empty(shapes)] = "is empty"
    problem[shapely.is_missing(shapes)] = "is no well-known binary"
    bounds = pa.array(list(shapely.bounds(shapes)), pa.list_(pa.float64()))
    columns = [batch.column(name) for name in ("id", "sample", "frame")]
    return pa.table([*columns, pa.array(problem, pa.string()), bounds], schema=_OUTLINES)


ANNOTATIONS = Check(
    name="annotations",
    about="Every annotation has a valid outline that lies on its sample.",
    find=_find,
)
