"""Every stored array is the one that its name promises."""

import json

import pyarrow as pa

from registry.curate.quality.check import ERROR, Check
from registry.curate.quality.subject import Subject
from registry.tables.chips import untrue_indexes

__all__ = ["CHECKSUM"]

_BREACHES = pa.schema([
    (name, pa.string()) for name in ("sample", "asset", "severity", "message", "evidence", "fix")
])


def _find(subject: Subject) -> pa.Table:
    return pa.concat_tables([_other_arrays(subject), _untrue_indexes(subject)])


def _untrue_indexes(subject: Subject) -> pa.Table:
    there = "pixels" in subject.version.tables_published()
    paths = untrue_indexes(subject.version.root) if there else []
    rows = [
        {
            "severity": ERROR,
            "message": f"the index of pixels/{path} points at other arrays than the file holds",
            "evidence": json.dumps({"file": path}),
            "fix": "ingest the samples again, or publish from a copy that is whole",
        }
        for path in paths
    ]
    return pa.Table.from_pylist(rows, schema=_BREACHES)


def _other_arrays(subject: Subject) -> pa.Table:
    found = subject.sql(
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
    return found.select(_BREACHES.names).cast(_BREACHES)


CHECKSUM = Check(
    name="checksum",
    about="Every stored array has the SHA-256 that it is stored under, and is found under it.",
    find=_find,
    denies="Q0",
)
