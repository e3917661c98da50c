"""No negative numbers were wrapped into an unsigned type."""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["WRAPPED"]


def _find(subject: Subject) -> pa.Table:
    # Decibels cast to uint16 are 65,497 … 65,531; no sensor fills half a chip so near to its end.
    return subject.sql(
        """
        select a.sample, a.asset, 'warning' as severity,
            printf('%.1f', 100.0 * o.top / (o.elements - o.nodata)) || ' % of its values lie '
                || 'near the greatest that ' || a.dtype || ' can hold ('
                || printf('%d to %d', o.least::bigint, o.greatest::bigint) || '): negative '
                || 'numbers that wrapped around, or nodata that is not declared' as message,
            to_json({'dtype': a.dtype, 'top': o.top, 'elements': o.elements, 'nodata': o.nodata,
                'least': o.least, 'greatest': o.greatest})::varchar as evidence,
            'ingest it again from a file of signed or floating numbers, declare the nodata value, '
                || 'or delete the sample' as fix
        from assets a join observed o on a.pixels = o.sha256 join specs s using (asset)
        where not s.labels and o.top * 2 > o.elements - o.nodata
        order by 1, 2
        """
    )


WRAPPED = Check(
    name="wrapped",
    about="No array is mostly within a twelfth of the greatest number that its type can hold.",
    find=_find,
)
