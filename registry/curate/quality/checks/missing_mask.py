"""Whoever learns to segment is given masks; outlines alone are given as boxes."""

import pyarrow as pa

from registry.catalog.card.spec import Task
from registry.curate.quality.check import INFO, Check
from registry.curate.quality.subject import BREACHES, Subject

__all__ = ["MISSING_MASK"]


def _find(subject: Subject) -> pa.Table:
    spec = subject.version.spec
    outlines = subject.tables["annotations"].num_rows
    specs = subject.tables["specs"].to_pylist()
    if spec.task != Task.SEGMENTATION or not outlines or any(
        one["labels"] or one["valued"] for one in specs
    ):  # fmt: skip
        return BREACHES.empty_table()
    found = {
        "severity": INFO,
        "message": f"the card says segmentation, and no asset is a mask: there are {outlines:,} "
        "outlines alone",
        "fix": f"learn boxes of them: eolab card {subject.version.dataset} --set task=detection; "
        "or ingest masks",
    }
    return pa.Table.from_pylist([found], BREACHES)


MISSING_MASK = Check(
    name="missing-mask",
    about="A dataset for segmentation has masks, not outlines alone.",
    find=_find,
)
