"""Splits: who trains, who judges, and what leaks between them."""

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
