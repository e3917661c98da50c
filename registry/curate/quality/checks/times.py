"""Every sample says when it was acquired, and the times can be.

References:
    STAC 1.1.0, item: ``datetime`` is required, and null only beside ``start_datetime`` and
    ``end_datetime``.
"""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["MISSING_TIME", "TIME"]


def _missing(subject: Subject) -> pa.Table:
    return subject.sql(
        """
        select id as sample, 'warning' as severity, 'nobody says when it was acquired' as message,
            to_json({'start_datetime': start_datetime, 'end_datetime': end_datetime})::varchar
                as evidence,
            'state it at ingest: --time START/END' as fix
        from samples
        where datetime is null and (start_datetime is null or end_datetime is null)
        order by 1
        """
    )


def _impossible(subject: Subject) -> pa.Table:
    return subject.sql(
        """
        select id as sample, 'error' as severity,
            'it ends before it starts: ' || start_datetime || ' to ' || end_datetime as message,
            to_json({'start_datetime': start_datetime, 'end_datetime': end_datetime})::varchar
                as evidence,
            'put the interval right' as fix
        from samples where start_datetime > end_datetime
        union all by name
        select id as sample, 'error' as severity,
            'it was acquired on ' || datetime || ', outside its interval' as message,
            to_json({'datetime': datetime, 'start_datetime': start_datetime,
                'end_datetime': end_datetime})::varchar as evidence,
            'put the time or the interval right' as fix
        from samples
        where start_datetime <= end_datetime
            and (datetime < start_datetime or datetime > end_datetime)
        union all by name
        select id as sample, 'warning' as severity,
            'it was acquired on ' || coalesce(datetime, start_datetime)
                || ', before there were aerial photographs' as message,
            to_json({'datetime': datetime, 'start_datetime': start_datetime})::varchar as evidence,
            'put the time right' as fix
        from samples
        where coalesce(datetime, start_datetime) < timestamptz '1858-01-01 00:00:00+00'
        order by 1
        """
    )


MISSING_TIME = Check(
    name="missing-time",
    about="Every sample says when it was acquired: an instant, or both ends of an interval.",
    find=_missing,
    denies="Q1",
)

TIME = Check(
    name="time",
    about="An interval starts before it ends, and an instant lies in its interval.",
    find=_impossible,
    denies="Q1",
)
