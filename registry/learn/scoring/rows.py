"""Figures as rows of the table ``scores``."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from registry.learn.models.architecture import Head
from registry.learn.scoring.intervals import Figure, measured
from registry.learn.scoring.protocol import Exam, Subject, code_version, digest
from registry.learn.scoring.statistics import Key, Statistics
from registry.tables.schemas import SCORES

__all__ = ["heads_document", "rows_of"]


def rows_of(
    exam: Exam,
    subject: Subject,
    heads: Mapping[str, Head],
    kept: Mapping[str, Statistics],
    *,
    groups: Mapping[str, str | None],
    strata: Mapping[str, Mapping[str, str]],
) -> pa.Table:
    """Return every figure of an evaluation with its interval.

    Args:
        exam: What was scored on.
        subject: What was scored.
        heads: Its answers.
        kept: By head, what was kept of each sample.
        groups: By sample, its group.
        strata: By dimension and sample, its stratum.

    Returns:
        Rows of ``scores``: of all samples for each class, of each stratum for all classes.
    """
    documents = {name: exam.document(heads[name], kept[name].classes) for name in kept}
    protocols = {name: digest(document) for name, document in documents.items()}
    run = subject.run_of(exam, sorted(protocols.values()))
    created = datetime.now(tz=UTC)
    rows: list[dict[str, Any]] = []
    for name, statistics in kept.items():
        base = {
            "run": run,
            "protocol": protocols[name],
            "model": subject.ref,
            "weights": subject.weights,
            "method": subject.method,
            "inputs": digest(subject.inputs),
            "content_id": exam.version.content_id,
            "split": exam.split,
            "split_id": exam.split_id(),
            "subset": exam.subset,
            "head": name,
            "task": str(statistics.task),
            "seed": subject.seed,
            "smoke": subject.smoke,
            "details": json.dumps(
                _details(subject, documents[name], heads[name]), ensure_ascii=False, sort_keys=True
            ),
            "created": created,
        }
        for stratum, key, figure in _figures(exam, statistics, groups, strata):
            rows.append(base | _figure(run, name, stratum, key, figure, smoke=subject.smoke))
    return pa.Table.from_pylist(rows, SCORES.arrow)


def heads_document(heads: Sequence[Head]) -> list[dict[str, Any]]:
    """Return what heads are, as JSON's own types."""
    return [
        {"name": one.name, "task": str(one.task), "classes": list(one.classes), "unit": one.unit}
        for one in heads
    ]


def _details(subject: Subject, document: Mapping[str, Any], head: Head) -> dict[str, Any]:
    return {
        "protocol": dict(document),
        "inputs": dict(subject.inputs),
        "said": list(subject.said),
        "notes": [dict(one) for one in subject.notes],
        "settings": dict(subject.settings),
        "code": code_version(),
        "unit": head.unit,
    }


def _figures(
    exam: Exam,
    statistics: Statistics,
    groups: Mapping[str, str | None],
    strata: Mapping[str, Mapping[str, str]],
) -> Iterator[tuple[str | None, Key, Figure]]:
    from registry.learn.scoring.intervals import clusters_of

    def of(part: Statistics) -> dict[Key, Figure]:
        clusters = clusters_of([groups.get(one) for one in part.ids])
        return measured(part, clusters, resamples=exam.resamples, seed=exam.seed)

    for key, figure in of(statistics).items():
        yield None, key, figure
    for dimension, told in strata.items():
        places: dict[str, list[int]] = {}
        for place, one in enumerate(statistics.ids):
            places.setdefault(told[one], []).append(place)
        for stratum, inside in sorted(places.items()):
            chosen: npt.NDArray[np.int64] = np.array(inside, np.int64)
            for key, figure in of(statistics.take(chosen)).items():
                if key[1] is None:
                    yield f"{dimension}={stratum}", key, figure


def _figure(
    run: str, head: str, stratum: str | None, key: Key, figure: Figure, *, smoke: bool
) -> dict[str, Any]:
    metric, of_class = key
    there = not smoke
    return {
        "id": ":".join([run, head, metric, of_class or "*", stratum or "*"]),
        "metric": metric,
        "class": of_class,
        "stratum": stratum,
        "value": _number(figure.value) if there else None,
        "low": _number(figure.low) if there else None,
        "high": _number(figure.high) if there else None,
        "count": figure.count,
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
