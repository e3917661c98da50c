"""Temporal features: harmonics, seasons, trend and break, and how densely a place was seen."""

from registry.curate.features.sets.temporal.definition import TEMPORAL

__all__ = ["TEMPORAL"]
