"""Datasets: what they promise, where they stand in their history, how they are cited."""

from registry.catalog.card.columns import column_type, column_type_text
from registry.catalog.card.spec import AssetSpec, DatasetType, Provider, Spec, Task
from registry.catalog.cite import cite
from registry.catalog.comparing.difference import DatasetDiff
from registry.catalog.editing import Edited, edit_rows
from registry.catalog.merging.merged import Merged
from registry.catalog.merging.pending import Pending, pending
from registry.catalog.ref import Ref, caller, draft_branch
from registry.catalog.registry import MAIN, Registry, connect
from registry.catalog.version import Draft, Tombstone, Version
from registry.lake import MergeConflictError

__all__ = [
    "MAIN",
    "AssetSpec",
    "DatasetDiff",
    "DatasetType",
    "Draft",
    "Edited",
    "MergeConflictError",
    "Merged",
    "Pending",
    "Provider",
    "Ref",
    "Registry",
    "Spec",
    "Task",
    "Tombstone",
    "Version",
    "caller",
    "cite",
    "column_type",
    "column_type_text",
    "connect",
    "draft_branch",
    "edit_rows",
    "pending",
]
