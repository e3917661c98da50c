"""The tables that checks look at, opened once for all of them, and asked in SQL."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from registry.curate.quality.observing import OBSERVED, observe
from registry.progress import SILENT, Progress
from registry.tables import store
from registry.tables.schemas import ANNOTATIONS, ASSETS, FINDINGS, SAMPLES

if TYPE_CHECKING:
    import duckdb

    from registry.catalog import Version

__all__ = ["BREACHES", "Subject", "is_labels"]

BREACHES = pa.schema([
    (name, pa.string()) for name in ("sample", "asset", "severity", "message", "evidence", "fix")
])
"""Columns of what a check returns."""

_LABEL_NAMES = frozenset({"mask", "masks", "label", "labels", "annotation", "target"})
_WANTED = {
    "samples": (
        SAMPLES.arrow,
        ["id", "datetime", "start_datetime", "end_datetime", "label", "source", "georeferenced"],
    ),
    "assets": (
        ASSETS.arrow,
        ["sample", "asset", "pixels", "href", "shape", "dtype", "crs", "transform", "nodata"],
    ),
    "annotations": (ANNOTATIONS.arrow, ["id", "sample", "geometry", "frame", "category"]),
}
_SPECS = pa.schema([
    ("asset", pa.string()),
    ("labels", pa.bool_()),
    ("bands", pa.int64()),
    ("required", pa.bool_()),
    ("valued", pa.list_(pa.int64())),
])


def is_labels(asset: str, role: str | None) -> bool:
    """Return whether an asset holds labels rather than what they are learnt from.

    Examples:
        >>> is_labels("burn_mask", None), is_labels("s2", "data"), is_labels("lc", "labels-raster")
        (True, False, True)
    """
    if role:
        return role.startswith(("label", "mask"))
    return asset.lower().replace("-", "_").split("_")[-1] in _LABEL_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A version as checks see it: its tables, and what was seen in each stored array."""

    version: "Version"
    """What is judged."""

    tables: Mapping[str, pa.Table] = field(repr=False)
    """``samples``, ``assets``, ``annotations``, ``observed``, ``specs``, ``ingested``."""

    _connection: "duckdb.DuckDBPyConnection" = field(repr=False)

    @classmethod
    def of(cls, version: "Version", *, progress: Progress = SILENT) -> "Subject":
        """Open a version's tables and look at every stored array once.

        Args:
            version: What will be judged.
            progress: Told how far the look at pixels is.

        Returns:
            The subject.
        """
        names = set(version.tables_published())
        tables = {
            name: store.read(version.root, name, columns=columns)
            if name in names
            else _only(schema, columns).empty_table()
            for name, (schema, columns) in _WANTED.items()
        }
        tables["specs"] = _specs(version, tables["assets"])
        tables["ingested"] = (
            store.read(version.root, "reports/ingest")
            if "reports/ingest" in names
            else FINDINGS.arrow.empty_table()
        )
        tables["observed"] = (
            observe(version.root, tables["assets"], tables["specs"], progress=progress)
            if "pixels" in names
            else OBSERVED.empty_table()
        )
        return cls(version=version, tables=tables, _connection=_connect(tables))

    def with_table(self, name: str, table: pa.Table) -> "Subject":
        """Return this subject with one more table to ask.

        Args:
            name: What SQL calls it.
            table: Its rows.
        """
        self._connection.register(name, _bare(table))
        return replace(self, tables={**self.tables, name: table})

    def footprints(self) -> Iterator[pa.RecordBatch]:
        """Yield ``id`` and ``geometry`` of the samples, streamed: polygons are most of a table."""
        if "samples" in self.version.tables_published():
            yield from self.version.scan("samples", ["id", "geometry"])

    def sql(self, query: str) -> pa.Table:
        """Return what a query over the tables finds, as breaches.

        Args:
            query: SQL that names some of the columns of ``BREACHES``; others become null.
        """
        found = self._connection.execute(query).to_arrow_table()
        columns = {
            name: found.column(name).cast(pa.string())
            if name in found.column_names
            else pa.nulls(found.num_rows, pa.string())
            for name in BREACHES.names
        }
        return pa.table(columns, schema=BREACHES)


def _only(schema: pa.Schema, columns: list[str]) -> pa.Schema:
    return pa.schema([schema.field(name) for name in columns])


def _specs(version: "Version", assets: pa.Table) -> pa.Table:
    stated = version.spec.assets
    names = sorted({*stated, *assets.column("asset").unique().to_pylist()})
    rows = []
    for name in names:
        said = stated.get(name)
        rows.append({
            "asset": name,
            "labels": is_labels(name, said.role if said else None),
            "bands": len(said.bands) or None if said else None,
            "required": _required(said.extra.get("required") if said else None),
            "valued": sorted(said.values) or None if said else None,
        })
    return pa.Table.from_pylist(rows, schema=_SPECS)


def _required(said: object) -> bool | None:
    return said if isinstance(said, bool) else None


def _connect(tables: Mapping[str, pa.Table]) -> "duckdb.DuckDBPyConnection":
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "enable_external_access": "false",
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "preserve_insertion_order": "true",
        },
    )
    for name, table in tables.items():
        connection.register(name, _bare(table))
    return connection


def _bare(table: pa.Table) -> pa.Table:
    # DuckDB would parse what is marked as geometry, and stop at the first that is none.
    fields = [pa.field(one.name, one.type) for one in table.schema]
    return pa.table(table.columns, schema=pa.schema(fields))
