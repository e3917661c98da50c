"""Versioned object stores: one contract, several backends, each reached by its address."""

from registry.lake.addresses import connect, init
from registry.lake.contract import Lake, Repository, Transaction, Workspace
from registry.lake.records import (
    Change,
    ChangeKind,
    Commit,
    Conflict,
    Damage,
    Entry,
    Location,
    MergeConflictError,
    MergePlan,
    RefUpdate,
    Statistics,
    Sweep,
)

__all__ = [
    "Change",
    "ChangeKind",
    "Commit",
    "Conflict",
    "Damage",
    "Entry",
    "Lake",
    "Location",
    "MergeConflictError",
    "MergePlan",
    "RefUpdate",
    "Repository",
    "Statistics",
    "Sweep",
    "Transaction",
    "Workspace",
    "connect",
    "init",
]
