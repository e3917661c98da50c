"""Every georeferenced array says its CRS, and its coordinates fit that CRS."""

import pyarrow as pa
import pyarrow.compute as pc

from registry.curate.quality.check import Check
from registry.curate.quality.grids import grid_of
from registry.curate.quality.subject import Subject
from registry.errors import InvalidInputError
from registry.geo import footprints
from registry.geo.systems import system

__all__ = ["CRS"]

_SYSTEMS = pa.schema([
    ("crs", pa.string()),
    ("geographic", pa.bool_()),
    ("local", pa.bool_()),
    ("problem", pa.string()),
])
_NOWHERE = pa.schema([("sample", pa.string()), ("asset", pa.string())])


def _find(subject: Subject) -> pa.Table:
    subject = subject.with_table("systems", _systems(subject.tables["assets"]))
    subject = subject.with_table("nowhere", _nowhere(subject))
    return subject.sql(
        """
        with corners as (
            select a.sample, a.asset, a.crs, k.geographic, k.local, k.problem,
                list_transform([[0, 0], [a.shape[-1], 0], [0, a.shape[-2]],
                    [a.shape[-1], a.shape[-2]]], p -> t[1] * p[1] + t[2] * p[2] + t[3]) as xs,
                list_transform([[0, 0], [a.shape[-1], 0], [0, a.shape[-2]],
                    [a.shape[-1], a.shape[-2]]], p -> t[4] * p[1] + t[5] * p[2] + t[6]) as ys,
                a.t, a.shape[-2] as rows
            from (select *, transform as t from assets) a join systems k using (crs)
            where len(a.shape) >= 3 and len(a.t) = 6
        ), extents as (
            select *, list_min(xs) as west, list_max(xs) as east,
                list_min(ys) as south, list_max(ys) as north,
                t[1] = 1 and abs(t[5]) = 1 and t[2] = 0 and t[4] = 0 and t[3] = 0
                    and (t[6] = 0 or t[6] = rows) as counted,
                geographic and (west < -361 or east > 361 or south < -91 or north > 91) as far,
                not geographic and west >= -180 and east <= 180 and south >= -90 and north <= 90
                    and abs(t[1]) + abs(t[2]) < 0.1 as small
            from corners
        )
        select sample, asset, 'error' as severity,
            'its CRS is ' || crs || ' but its corners are (' || printf('%g', west) || ', '
                || printf('%g', south) || ') to (' || printf('%g', east) || ', '
                || printf('%g', north) || '), which are no degrees' as message,
            to_json({'crs': crs, 'bounds': [west, south, east, north]})::varchar as evidence,
            'state the real CRS and transform, or none: these look like pixel coordinates' as fix
        from extents
        where far
        union all by name
        select sample, asset, 'error' as severity,
            'its CRS is ' || left(crs, 40) || ' but its coordinates count pixels: (0, 0) to ('
                || printf('%g', east) || ', ' || printf('%g', north) || '), one a pixel'
                as message,
            to_json({'crs': crs, 'transform': t})::varchar as evidence,
            'state the real CRS and transform, or none' as fix
        from extents where counted and not far
        union all by name
        select sample, asset, 'error' as severity,
            'its CRS is ' || left(crs, 40) || ' but its corners are (' || printf('%g', west) || ', '
                || printf('%g', south) || ') to (' || printf('%g', east) || ', '
                || printf('%g', north) || '), which are nowhere near where that is used'
                as message,
            to_json({'crs': crs, 'bounds': [west, south, east, north]})::varchar as evidence,
            'state the real CRS: these look like pixels, or coordinates of another' as fix
        from extents semi join nowhere using (sample, asset)
        where not far and not small and not counted and not local
        union all by name
        select sample, asset, 'error' as severity,
            'its CRS is ' || left(crs, 40) || ', in metres, but its corners are ('
                || printf('%g', west) || ', ' || printf('%g', south) || ') to ('
                || printf('%g', east) || ', ' || printf('%g', north) || '), which look like degrees'
                as message,
            to_json({'crs': crs, 'bounds': [west, south, east, north]})::varchar as evidence,
            'state the real CRS: EPSG:4326 if they are degrees' as fix
        from extents
        where small
        union all by name
        select a.sample, a.asset, 'warning' as severity,
            'its CRS is a local one, which is nowhere on Earth: ' || left(a.crs, 60) as message,
            to_json({'crs': a.crs})::varchar as evidence,
            'state the real one: --crs EPSG:n, or mend the file' as fix
        from assets a join systems k using (crs) where k.local
        union all by name
        select a.sample, a.asset, 'error' as severity,
            'its CRS ' || left(a.crs, 60) || ' is not known: ' || k.problem as message,
            to_json({'crs': a.crs})::varchar as evidence,
            'state it as EPSG:n or as WKT2' as fix
        from assets a join systems k using (crs) where k.problem is not null
        union all by name
        select a.sample, a.asset, 'warning' as severity,
            'it has no CRS' || case when a.transform is null then ', as others have'
                else ' though it has a transform' end as message,
            to_json({'transform': a.transform})::varchar as evidence,
            'state it at ingest: --crs EPSG:n' as fix
        from assets a
        where a.crs is null and a.pixels is not null
            and (a.transform is not null
                or exists (select 1 from assets o where o.asset = a.asset and o.crs is not null))
        order by 1, 2
        """
    )


def _systems(assets: pa.Table) -> pa.Table:
    rows = []
    for crs in pc.drop_null(assets.column("crs").combine_chunks().unique()).to_pylist():
        try:
            known = system(crs)
            rows.append({
                "crs": crs, "geographic": known.is_geographic, "local": known.is_engineering,
            })  # fmt: skip
        except InvalidInputError as error:
            rows.append({"crs": crs, "problem": error.problem})
    return pa.Table.from_pylist(rows, schema=_SYSTEMS)


def _nowhere(subject: Subject) -> pa.Table:
    """Return the assets of samples without a footprint whose own grid covers no ground."""
    samples, assets = subject.tables["samples"], subject.tables["assets"]
    placed = pc.fill_null(samples["georeferenced"], False)  # noqa: FBT003 — Arrow's false
    placeless = samples["id"].filter(pc.invert(placed)).combine_chunks()
    rows = assets.filter(pc.is_in(assets["sample"], value_set=placeless)).to_pylist()
    grids = [grid_of(row) for row in rows]
    found = [
        {"sample": row["sample"], "asset": row["asset"]}
        for row, grid, cover in zip(rows, grids, footprints(grids), strict=True)
        if grid is not None and cover is None
    ]
    return pa.Table.from_pylist(found, schema=_NOWHERE)


CRS = Check(
    name="crs",
    about="Every georeferenced array says its CRS, and its coordinates fit that CRS.",
    find=_find,
)
