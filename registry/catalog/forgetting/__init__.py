"""Rows taken out of every commit there is, for good."""
