"""What ingest left out or found odd is said again, where it is decided on."""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["LEFT_OUT"]


def _find(subject: Subject) -> pa.Table:
    # An error of ingest is a file that is not in the dataset, so nothing in it is wrong by that.
    return subject.sql(
        """
        select i.sample, i.asset,
            case when i.severity = 'error' then 'warning' else i.severity end as severity,
            case when i.severity = 'error' then 'left out at ingest (' else 'at ingest (' end
                || i."check" || '): ' || i.message as message,
            i.evidence, i.fix
        from ingested i
        order by i.id
        """
    )


LEFT_OUT = Check(
    name="ingest",
    about="What ingest left out, or took in with a doubt, is known to whoever publishes.",
    find=_find,
)
