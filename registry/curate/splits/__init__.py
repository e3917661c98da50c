"""Splits of a version: who trains, who judges, and what leaks between them."""
