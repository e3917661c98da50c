"""The command line: parse, call one verb, render."""

from registry.cli.app import main

__all__ = ["main"]
