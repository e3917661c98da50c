"""Every stored array unpacks, and every pointer has its array."""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["UNREADABLE"]


def _find(subject: Subject) -> pa.Table:
    return subject.sql(
        """
        select a.sample, a.asset, 'error' as severity,
            'its pixels cannot be read: ' || o.problem as message,
            to_json({'sha256': lower(hex(a.pixels)), 'problem': o.problem})::varchar as evidence,
            'restore the object from a copy, or ingest the sample again' as fix
        from assets a join observed o on a.pixels = o.sha256
        where o.problem is not null and o.pointer is not true
        union all by name
        select a.sample, a.asset, 'error' as severity,
            'it points to pixels that are not there: ' || lower(hex(a.pixels)) as message,
            to_json({'sha256': lower(hex(a.pixels))})::varchar as evidence,
            'ingest the sample again, or undo the edit that lost them' as fix
        from assets a anti join observed o on a.pixels = o.sha256
        where a.pixels is not null
        union all by name
        select null as sample, null as asset, 'error' as severity,
            'the pixels table cannot be read to its end: ' || o.problem as message,
            to_json({'problem': o.problem})::varchar as evidence,
            'find the damaged object: eolab fsck' as fix
        from observed o where o.sha256 is null
        union all by name
        select sample, asset, 'error' as severity,
            'it has neither pixels nor an address' as message, null as evidence,
            'ingest the sample again, or delete the row' as fix
        from assets where pixels is null and href is null
        order by 1, 2
        """
    )


UNREADABLE = Check(
    name="unreadable",
    about="Every stored array unpacks, and every pointer has its array.",
    find=_find,
    denies="Q0",
)
