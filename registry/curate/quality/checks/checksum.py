"""Every stored array is the one that its name promises."""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["CHECKSUM"]


def _find(subject: Subject) -> pa.Table:
    return subject.sql(
        """
        select a.sample, a.asset, 'error' as severity,
            'its pixels are not those that were stored: their SHA-256 is another' as message,
            to_json({'expected': lower(hex(a.pixels))})::varchar as evidence,
            'restore the object from a copy, or ingest the sample again' as fix
        from assets a join observed o on a.pixels = o.sha256
        where o.matches = false
        order by 1, 2
        """
    )


CHECKSUM = Check(
    name="checksum",
    about="Every stored array has the SHA-256 that it is stored under.",
    find=_find,
    denies="Q0",
)
