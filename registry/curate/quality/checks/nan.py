"""No pixel is NaN unless NaN is declared to mean 'not observed'."""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["NAN"]


def _find(subject: Subject) -> pa.Table:
    return subject.sql(
        """
        select a.sample, a.asset, 'warning' as severity,
            o.nan || ' of ' || o.elements || ' values are NaN' as message,
            to_json({'nan': o.nan, 'elements': o.elements})::varchar as evidence,
            'fill them, or declare NaN as the nodata value' as fix
        from assets a join observed o on a.pixels = o.sha256
        where o.nan > 0
        order by 1, 2
        """
    )


NAN = Check(
    name="nan", about="No pixel is NaN unless NaN is declared as the nodata value.", find=_find
)
