"""Quality: checks on a version, their findings, a verdict, and the level that holds."""

from registry.curate.quality.check import Check
from registry.curate.quality.checks import CHECKS
from registry.curate.quality.judging import check, rules_hash
from registry.curate.quality.report import Report

__all__ = ["CHECKS", "Check", "Report", "check", "rules_hash"]
