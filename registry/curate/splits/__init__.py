"""Splits of a version: who trains, who judges, and what leaks between them."""

from registry.curate.splits.leaking import LeakReport, leaks
from registry.curate.splits.plan import HoldOut, Plan
from registry.curate.splits.shares import Shares
from registry.curate.splits.splitting import Split, split

__all__ = ["HoldOut", "LeakReport", "Plan", "Shares", "Split", "leaks", "split"]
