"""A partition is a dataset; new ones appear as they are made."""

import dagster as dg

__all__ = ["datasets"]

datasets = dg.DynamicPartitionsDefinition(name="datasets")
