"""Scores in the lake: rows of ``scores`` beside a version, and what they follow from in a file."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from registry.catalog.beside import beside
from registry.errors import CorruptError, InvalidInputError, NotFoundError
from registry.learn.scoring.statistics import Statistics
from registry.tables import store
from registry.tables.schemas import SCORES

if TYPE_CHECKING:
    from pathlib import Path

    from registry.catalog.registry import Registry
    from registry.catalog.version import Version

__all__ = ["Kept", "find", "keep", "scores_of", "statistics_of"]

FOLDER: Final = "evaluations"
"""Where the statistics of evaluations lie on the derived branch: one Parquet file a head."""

Kept = Mapping[str, Statistics]
"""What was kept of each sample, by head."""


def keep(registry: "Registry", version: "Version", rows: pa.Table, kept: Kept) -> None:
    """Keep the rows of one or several evaluations, in place of what was kept of the same ones.

    Args:
        registry: Where the version is.
        version: A published one.
        rows: With the columns of ``scores``.
        kept: What the figures follow from, by run and head as ``run/head``.

    Raises:
        InvalidInputError: The version is not published.
        ConflictError: Others kept moving the branch.
    """
    if version.tag is None:
        raise InvalidInputError(
            f"'{version.ref}' is not a published version, so no score can be kept beside it",
            hint=f"publish it first: eolab publish {version.dataset} -m 'why'; or use --no-keep",
        )
    runs = pc.unique(rows["run"])
    models = ", ".join(sorted({one for one in rows["model"].to_pylist() if one is not None}))

    def write(root: "Path") -> None:
        before = SCORES.arrow.empty_table()
        if store.exists(root, SCORES.name):
            read = store.read(root, SCORES.name)
            before = read.filter(pc.invert(pc.is_in(read["run"], value_set=runs)))
        whole = pa.concat_tables([before, rows.cast(before.schema)], promote_options="none")
        store.overwrite(root, SCORES, whole.sort_by("id"))
        for name, statistics in kept.items():
            path = root / _path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # what lies there may be a link to what never changes
            path.write_bytes(_bytes_of(statistics))

    beside(registry, version, f"scores of {models} on {version.ref}", write)


def scores_of(version: "Version") -> pa.Table:
    """Return the scores that were kept beside a version, newest last; no row if there are none."""
    if version.derived is None or not store.exists(version.derived, SCORES.name):
        return SCORES.arrow.empty_table()
    return store.read(version.derived, SCORES.name).sort_by([("created", "ascending")])


def statistics_of(version: "Version", run: str, head: str) -> Statistics:
    """Return what the figures of an evaluation follow from.

    Raises:
        NotFoundError: Nothing was kept of it.
        CorruptError: The file cannot be read.
    """
    missing = NotFoundError(
        f"no statistics of run {run} were kept beside {version.ref}",
        hint="evaluate the model again: eolab evaluate",
    )
    if version.derived_at is None:
        raise missing
    try:
        data = version.repository.read(_path(f"{run}/{head}"), at=version.derived_at)
    except NotFoundError:
        raise missing from None
    try:
        return Statistics.from_table(pq.read_table(io.BytesIO(data)))
    except (pa.ArrowException, OSError) as error:
        raise CorruptError(
            f"the statistics of run {run} cannot be read: {error}", hint="run eolab fsck"
        ) from error


def find(
    registry: "Registry", run: str, datasets: Sequence[str] | None = None
) -> tuple["Version", pa.Table]:
    """Return the version that a run was scored on, and the run's rows.

    Args:
        registry: Where to look.
        run: Name of an evaluation, or the id of one of its figures.
        datasets: Only among these; all if None.

    Raises:
        NotFoundError: There is no such run.
    """
    name = run.partition(":")[0]
    for dataset in registry.names() if datasets is None else datasets:
        for version in registry.versions(dataset):
            rows = scores_of(version)
            chosen = rows.filter(pc.equal(rows["run"], name))
            if name and chosen.num_rows:
                return version, chosen
    raise NotFoundError(
        f"there is no evaluation '{name}' in this lake",
        hint="see which there are: eolab leaderboard DATASET --runs",
    )


def _path(name: str) -> str:
    run, _, head = name.partition("/")
    plain = "".join(one if one.isalnum() or one in "-_" else "_" for one in head)
    return f"{FOLDER}/{run}/{plain}.parquet"


def _bytes_of(statistics: Statistics) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(statistics.to_table(), buffer, compression="zstd")
    return buffer.getvalue()
