"""Every class that occurs is one that the card names."""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["UNKNOWN_CLASSES"]


def _find(subject: Subject) -> pa.Table:
    classes = pa.table({"name": pa.array(subject.version.spec.classes, pa.string())})
    return subject.with_table("classes", classes).sql(
        """
        with used as (
            select unnest(label) as class, id as sample, 'labels' as kind from samples
            union all
            select category as class, sample, 'annotations' as kind from annotations
        ), unknown as (
            select class, kind, count(*) as n, min(sample) as sample
            from used anti join classes on classes.name = used.class
            where class is not null and (select count(*) from classes) > 0
            group by class, kind
        )
        select sample, 'error' as severity,
            'the class ''' || class || ''' of ' || n || ' ' || kind || ' is not in the card'
                as message,
            to_json({'class': class, 'kind': kind, 'count': n})::varchar as evidence,
            'correct the label, or add the class to the card: '
                || 'eolab card NAME --set "classes=[…]"' as fix
        from unknown
        union all by name
        select null as sample, 'warning' as severity,
            'the card names no classes, but ' || count(distinct class) || ' occur' as message,
            to_json({'classes': list(distinct class order by class)[:100]})::varchar as evidence,
            'list them in the card: eolab card NAME --set "classes=[…]"' as fix
        from used
        where class is not null and (select count(*) from classes) = 0
        having count(*) > 0
        union all by name
        select a.sample, a.asset, 'error' as severity,
            'the values ' || array_to_string(list_filter(o.values,
                v -> not list_contains(s.valued, v)), ', ') || ' stand for no class' as message,
            to_json({'values': o.values, 'known': s.valued})::varchar as evidence,
            'correct the mask, or name the values in the card: eolab card NAME --set '
                || '"assets.' || a.asset || '.values={1: water, …}"' as fix
        from assets a join observed o on a.pixels = o.sha256 join specs s using (asset)
        where s.valued is not null and not list_has_all(s.valued, o.values)
        order by 1
        """
    )


UNKNOWN_CLASSES = Check(
    name="unknown-classes",
    about="Every class of a label, an annotation or a mask is one that the card names.",
    find=_find,
)
