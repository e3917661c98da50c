"""No two samples have exactly the same pixels."""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["DUPLICATES"]


def _find(subject: Subject) -> pa.Table:
    return subject.sql(
        """
        with shared as (
            select a.asset, a.pixels, min(a.sample) as sample,
                list(distinct a.sample order by a.sample) as samples,
                count(distinct to_json(list_sort(x.label))) > 1 as labels_differ
            from assets a join specs s using (asset) join samples x on x.id = a.sample
            where not s.labels and a.pixels is not null
            group by a.asset, a.pixels
            having count(distinct a.sample) > 1
        )
        select sample, asset, 'warning' as severity,
            'its pixels are also those of ' || array_to_string(samples[2:4], ', ')
                || case when len(samples) > 4 then ' and ' || (len(samples) - 4) || ' more' else ''
                end
                || case when labels_differ then ', under other labels' else '' end as message,
            to_json({'samples': samples[:100], 'count': len(samples),
                'labels_differ': labels_differ, 'sha256': lower(hex(pixels))})::varchar as evidence,
            'keep one of them, or keep them on one side of every split' as fix
        from shared
        order by 1, 2
        """
    )


DUPLICATES = Check(
    name="exact-duplicates", about="No two samples have exactly the same pixels.", find=_find
)
