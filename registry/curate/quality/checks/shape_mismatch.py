"""Labels have the size and place of what they label, and arrays the bands that the card names."""

import json

import pyarrow as pa
import pyarrow.compute as pc
import shapely

from registry.curate.quality.check import Check
from registry.curate.quality.grids import grid_of
from registry.curate.quality.subject import Subject
from registry.geo import footprints

__all__ = ["SHAPE_MISMATCH"]


_ELSEWHERE = pa.schema([(name, pa.string()) for name in ("sample", "asset", "other", "evidence")])


def _find(subject: Subject) -> pa.Table:
    return subject.with_table("elsewhere", _elsewhere(subject)).sql(
        """
        with sized as (
            select a.sample, a.asset, s.labels, s.bands, a.shape,
                a.shape[-2] as height, a.shape[-1] as width, a.shape[-3] as depth,
                abs(a.transform[1]) + abs(a.transform[2]) as pixel
            from assets a join specs s using (asset)
            where len(a.shape) >= 3
        ), usual as (
            select asset, mode(depth) as depth from sized group by asset
        )
        select l.sample, l.asset, 'error' as severity,
            'it is ' || l.width || ' x ' || l.height || ' pixels, but '
                || string_agg(d.asset || ' is ' || d.width || ' x ' || d.height, ', '
                    order by d.asset) as message,
            to_json({'labels': [l.width, l.height],
                'data': list([d.width, d.height] order by d.asset)})::varchar as evidence,
            'cut both to the same grid' as fix
        from sized l join sized d on d.sample = l.sample and not d.labels
        where l.labels
        group by l.sample, l.asset, l.width, l.height, l.pixel
        -- Images of other pixel sizes may be of other sizes, but one must be of the labels'.
        having not bool_or(d.height = l.height and d.width = l.width)
            or bool_or((d.height <> l.height or d.width <> l.width)
                and abs(d.pixel - l.pixel) < 0.01 * l.pixel)
        union all by name
        select z.sample, z.asset, 'error' as severity,
            'it has ' || z.depth || ' bands, not '
                || coalesce(z.bands || ' as the card names', u.depth || ' as most others')
                as message,
            to_json({'bands': z.depth, 'expected': coalesce(z.bands, u.depth)})::varchar
                as evidence,
            'mend the file, or the bands in the card' as fix
        from sized z join usual u using (asset)
        where z.depth <> coalesce(z.bands, u.depth)
        union all by name
        select sample, asset, 'error' as severity,
            'it lies elsewhere: no part of it is on ' || other as message,
            evidence, 'pair it with the image of its own place' as fix
        from elsewhere
        order by 1, 2
        """
    )


def _elsewhere(subject: Subject) -> pa.Table:
    """Return labels that share no ground with any of their sample's images."""
    doubtful = _doubtful(subject)
    assets = subject.tables["assets"]
    owners = pc.is_in(assets["sample"], value_set=doubtful["sample"].combine_chunks())
    rows = assets.filter(owners).select(["sample", "asset", "crs", "transform", "shape"])
    placed = {(row["sample"], row["asset"]): row for row in rows.to_pylist()}
    covers = dict(zip(placed, footprints([grid_of(row) for row in placed.values()]), strict=True))
    found = []
    for row in doubtful.to_pylist():
        sample, asset, others = row["sample"], row["asset"], row["message"].split("\n")
        label = covers[sample, asset]
        images = {name: cover for name in others if (cover := covers[sample, name])}
        if label and images and not any(_overlap(label, image) for image in images.values()):
            bounds = {name: _bounds(one) for name, one in {asset: label, **images}.items()}
            said = {"other": ", ".join(images), "evidence": json.dumps({"bounds": bounds})}
            found.append({"sample": sample, "asset": asset, **said})
    return pa.Table.from_pylist(found, schema=_ELSEWHERE)


def _doubtful(subject: Subject) -> pa.Table:
    """Return labels that are not seen to lie on an image by their numbers alone.

    Returns:
        Columns of ``BREACHES``; the message is the names of the images, one a line.
    """
    return subject.sql(
        """
        with extents as (
            select a.sample, a.asset, s.labels, a.crs,
                t[3] + least(0, t[1] * w) + least(0, t[2] * h) as west,
                t[3] + greatest(0, t[1] * w) + greatest(0, t[2] * h) as east,
                t[6] + least(0, t[4] * w) + least(0, t[5] * h) as south,
                t[6] + greatest(0, t[4] * w) + greatest(0, t[5] * h) as north
            from (select *, transform as t, shape[-1] as w, shape[-2] as h from assets) a
                join specs s using (asset)
            where a.crs is not null and len(a.t) = 6 and len(a.shape) >= 3
        )
        select l.sample, l.asset, string_agg(d.asset, chr(10) order by d.asset) as message
        from extents l join extents d on d.sample = l.sample and l.labels and not d.labels
        group by l.sample, l.asset
        having bool_and(l.crs <> d.crs or l.east <= d.west or l.west >= d.east
            or l.north <= d.south or l.south >= d.north)
        """
    )


def _overlap(one: bytes, other: bytes) -> bool:
    return bool(shapely.from_wkb(one).intersection(shapely.from_wkb(other)).area > 0)


def _bounds(cover: bytes) -> list[float]:
    return [round(side, 6) for side in shapely.from_wkb(cover).bounds]


SHAPE_MISMATCH = Check(
    name="shape-mismatch",
    about="Labels have the size and place of what they label, arrays the bands of the card.",
    find=_find,
)
