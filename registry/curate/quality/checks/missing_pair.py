"""Every sample has the assets that its card requires, or that most others have."""

import pyarrow as pa

from registry.curate.quality.check import Check
from registry.curate.quality.subject import Subject

__all__ = ["MISSING_PAIR"]


def _find(subject: Subject) -> pa.Table:
    return subject.sql(
        """
        with held as (
            select asset, count(distinct sample) as holders from assets group by asset
        ), expected as (
            select s.asset, s.labels, coalesce(h.holders, 0) as holders
            from specs s left join held h using (asset)
            where coalesce(s.required, h.holders * 2 > (select count(*) from samples))
        ), pairs as (
            select x.id as sample, e.asset, e.labels, e.holders from samples x cross join expected e
        )
        select p.sample, p.asset,
            case when p.labels then 'error' else 'warning' end as severity,
            'it has no ' || p.asset || ', which '
                || p.holders || ' of ' || (select count(*) from samples) || ' samples have'
                as message,
            to_json({'holders': p.holders, 'samples': (select count(*) from samples)})::varchar
                as evidence,
            case when p.labels
                then 'add it, delete the sample, or allow it for samples without labels'
                else 'add it, delete the sample, or set required: false for the asset in the card'
            end as fix
        from pairs p anti join assets a on a.sample = p.sample and a.asset = p.asset
        union all by name
        select x.id as sample, null as asset, 'error' as severity,
            'it has no asset at all' as message, null as evidence,
            'ingest the sample again, or delete it' as fix
        from samples x anti join assets a on a.sample = x.id
        where (select count(*) from expected) = 0
        order by 1, 2
        """
    )


MISSING_PAIR = Check(
    name="missing-pair",
    about="Every sample has the assets that its card requires, or that most samples have.",
    find=_find,
)
