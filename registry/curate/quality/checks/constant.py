"""No array is empty: all nodata, or one value everywhere."""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["CONSTANT"]


def _find(subject: Subject) -> pa.Table:
    return subject.sql(
        """
        select a.sample, a.asset,
            case when s.labels then 'info' else 'warning' end as severity,
            case when o.least is null then 'nothing was observed: all of it is nodata or NaN'
                else 'every value is ' || printf('%g', o.least) end as message,
            to_json({'value': o.least, 'nodata': o.nodata, 'nan': o.nan, 'elements': o.elements})
                ::varchar as evidence,
            case when s.labels then 'nothing, if there is nothing to label'
                else 'delete the sample' end as fix
        from assets a join observed o on a.pixels = o.sha256 join specs s using (asset)
        where o.elements > 1 and (o.least is null or o.least = o.greatest)
        order by 1, 2
        """
    )


CONSTANT = Check(
    name="constant",
    about="No array is all nodata or one value everywhere; labels may be.",
    find=_find,
)
