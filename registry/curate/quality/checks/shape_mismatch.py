"""Labels have the size of what they label, and arrays the bands that the card names."""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["SHAPE_MISMATCH"]


def _find(subject: Subject) -> pa.Table:
    return subject.sql(
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
        order by 1, 2
        """
    )


SHAPE_MISMATCH = Check(
    name="shape-mismatch",
    about="Labels have the size of what they label, and arrays the bands that the card names.",
    find=_find,
)
