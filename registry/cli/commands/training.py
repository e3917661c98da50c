"""Training: recipes, runs, pretraining."""

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
