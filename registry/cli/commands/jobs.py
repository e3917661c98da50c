"""Jobs: what runs on this machine, on Slurm or on Kubernetes."""

import typer

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add these commands to the program."""
