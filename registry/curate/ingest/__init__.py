"""Foreign data become a draft: what a source says lands on its own branch and is merged."""

from registry.curate.formats.contract import SourceOptions
from registry.curate.ingest.engine import IngestFailedError, IngestResult, ingest

__all__ = ["IngestFailedError", "IngestResult", "SourceOptions", "ingest"]
