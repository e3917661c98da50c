"""Scores: evaluation, comparisons, leaderboards, the floor of a dataset."""

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
