"""Foreign data become a draft: what a source says lands on its own branch and is merged."""

from registry.curate.formats.contract import SourceOptions
from registry.curate.ingest.engine import IngestFailedError, IngestResult, ingest
from registry.curate.ingest.generated import ArrayBatch, ingest_arrays

__all__ = [
    "ArrayBatch",
    "IngestFailedError",
    "IngestResult",
    "SourceOptions",
    "ingest",
    "ingest_arrays",
]
