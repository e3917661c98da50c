"""What an audit leaves beside a published version: its figures, and a weight for each sample."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from registry.catalog.beside import beside
from registry.catalog.ref import Ref
from registry.curate.bias.engine import Engine, Work
from registry.curate.bias.report import BiasReport
from registry.curate.bias.weighing import Weights
from registry.progress import Progress
from registry.tables import store
from registry.tables.schemas import MEASURES

if TYPE_CHECKING:
    from registry.catalog.registry import Registry
    from registry.catalog.version import Version

__all__ = ["keep"]


def keep(
    registry: "Registry",
    version: "Version",
    report: BiasReport,
    weights: Weights | None,
    work: Work,
    *,
    engine: Engine,
    progress: Progress,
) -> None:
    """Keep figures as ``reports/bias`` and weights as ``features/bias-weights``, in one commit.

    Nothing is written where the same figures are there already, or once it is withdrawn.

    Args:
        registry: Where the version is.
        version: A published one.
        report: Its figures.
        weights: Of combinations of strata; None if there are none.
        work: What was counted.
        engine: Weighs the samples.
        progress: Told what is done.

    Raises:
        ConflictError: Others kept moving the branch.
    """
    if _is_there(version, report, weights):
        return
    with tempfile.TemporaryDirectory(prefix="eolab-bias-") as folder:
        if weights is not None:
            engine.weigh(work, weights, Path(folder), progress)

        def write(root: Path) -> None:
            store.overwrite(root, MEASURES, report.measures)
            if weights is not None:
                store.overwrite(root, weights.table_schema(), _batches(Path(folder)))

        beside(
            registry,
            registry.resolve(Ref(dataset=version.dataset, at=version.tag)),  # however it was named
            f"bias of {version.ref} against {report.against}",
            write,
            metadata={"bias": report.rules, "against": report.against},
            unless=lambda: registry.resolve(version.ref).tombstone is not None,
        )


def _is_there(version: "Version", report: BiasReport, weights: Weights | None) -> bool:
    if version.derived is None or not store.exists(version.derived, MEASURES.name):
        return False
    if not store.read(version.derived, MEASURES.name).equals(report.measures):
        return False
    return weights is None or store.exists(version.derived, weights.table_schema().name)


def _batches(folder: Path) -> Iterator[pa.RecordBatch]:
    for path in sorted(folder.glob("*.parquet")):
        with pq.ParquetFile(path) as file:
            yield from file.iter_batches()
