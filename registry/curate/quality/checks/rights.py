"""Somebody may use the data, and it is known who made them."""

import pyarrow as pa

from registry.curate.quality.check import ERROR, WARNING, Check
from registry.curate.quality.subject import Subject

__all__ = ["LICENCE", "PROVIDER"]


def _licence(subject: Subject) -> pa.Table:
    return _unstated(
        subject,
        "licence",
        stated=subject.version.spec.licence is not None,
        severity=ERROR,
        fix="state it: license in the card, or --licence at ingest",
    )


def _provider(subject: Subject) -> pa.Table:
    return _unstated(
        subject,
        "provider",
        stated=bool(subject.version.spec.providers),
        severity=WARNING,
        fix="state it: providers in the card, or --provider at ingest",
    )


def _unstated(subject: Subject, what: str, *, stated: bool, severity: str, fix: str) -> pa.Table:
    """Return one breach for the whole dataset if neither the card nor every sample says it."""
    return subject.sql(
        f"""
        select '{severity}' as severity,
            case when n = 0 then 'the {what} is not stated'
                else 'the {what} of ' || n || ' of ' || total
                    || ' samples is not stated, nor is the dataset''s' end as message,
            to_json({{'samples': n, 'first': first}})::varchar as evidence,
            '{fix}' as fix
        from (
            select count(*) filter (where coalesce(trim(source.{what}), '') = '') as n,
                count(*) as total,
                min(id) filter (where coalesce(trim(source.{what}), '') = '') as first
            from samples
        )
        where {"false" if stated else "n > 0 or total = 0"}
        """  # noqa: S608 — only words of this file go in
    )


LICENCE = Check(
    name="licence",
    about="The card or every sample says under which licence the data may be used.",
    find=_licence,
    denies="Q1",
)

PROVIDER = Check(
    name="provider",
    about="The card or every sample says who made the data.",
    find=_provider,
    denies="Q1",
)
