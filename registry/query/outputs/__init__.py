"""Rows as files and text: table, CSV, JSON, GeoJSON, Parquet, Arrow."""

from registry.query.outputs.writing import FORMATS, write

__all__ = ["FORMATS", "write"]
