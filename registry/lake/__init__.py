"""Versioned object stores: one contract, several backends, each reached by its address."""

from registry.lake.addresses import connect, init
from registry.lake.contract import (
    Change,
    ChangeKind,
    Commit,
    Conflict,
    Damage,
    Entry,
    Lake,
    Location,
    MergePlan,
    RefUpdate,
    Repository,
    Statistics,
    Sweep,
    Transaction,
    Workspace,
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
