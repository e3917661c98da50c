"""The tables fit each other, and there is something in them."""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["EMPTY", "ORPHANS"]


def _empty(subject: Subject) -> pa.Table:
    return subject.sql(
        """
        select 'error' as severity, 'the dataset has no samples' as message,
            'bring some in: eolab ingest' as fix
        where (select count(*) from samples) = 0
        """
    )


def _orphans(subject: Subject) -> pa.Table:
    return subject.sql(
        """
        select a.sample, a.asset, 'error' as severity,
            'it belongs to a sample that is not there' as message, null as evidence,
            'delete the row, or bring the sample back' as fix
        from assets a anti join samples s on s.id = a.sample
        union all by name
        select sample, null as asset, 'error' as severity,
            n || ' annotations belong to it, but it is not there' as message,
            to_json({'annotations': n})::varchar as evidence,
            'delete them, or bring the sample back' as fix
        from (
            select a.sample, count(*) as n
            from annotations a anti join samples s on s.id = a.sample group by a.sample
        )
        union all by name
        select id as sample, null as asset, 'error' as severity,
            n || ' samples have this id, apart from case' as message,
            to_json({'samples': n})::varchar as evidence, 'rename all but one' as fix
        from (
            select min(id) as id, count(*) as n from samples group by lower(id) having count(*) > 1
        )
        order by 1, 2
        """
    )


EMPTY = Check(name="empty", about="A dataset has samples.", find=_empty)

ORPHANS = Check(
    name="orphans",
    about="Every asset and annotation belongs to a sample, and ids differ by more than case.",
    find=_orphans,
)
