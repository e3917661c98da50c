"""What people see of a version in Dagster's UI: counts, pictures, columns, further SQL."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from registry.catalog import Version
from registry.curate.quality import Report

if TYPE_CHECKING:
    from registry.curate.bias import BiasReport

__all__ = [
    "bias_described", "described", "features_described", "findings_text", "items_described",
    "markdown",
]  # fmt: skip

_MOST_FINDINGS = 50
_ITEMS = "items.parquet"


def described(version: Version, *, table: str | None = None) -> dict[str, Any]:
    """Return metadata and data version of a materialisation.

    Args:
        version: What was made.
        table: The table that was made; None means the version as a whole.
    """
    from registry.web.pictures import chips_png, data_uri, map_png

    name = f'"{version.ref}"'
    shown: dict[str, Any] = {
        "samples": version.count("samples"),
        "commit": version.commit.id,
        "content id": version.content_id,
        "rows": dg.MetadataValue.md(_rows_text(version)),
        "classes": dg.MetadataValue.md(_classes_text(version)),
        "chips": dg.MetadataValue.md(f"![chips]({data_uri(chips_png(version))})"),
        "map": dg.MetadataValue.md(f"![map]({data_uri(map_png(version))})"),
        "look further": dg.MetadataValue.md(f"```sql\nselect * from {name}.samples limit 20\n```"),
        "dagster/column_schema": columns(version, table or "samples"),
        "dagster/row_count": version.count(table or "samples"),
    }
    content = version.data_id_of(table) if table else version.content_id
    return {"metadata": shown, "data_version": dg.DataVersion(content)}


def items_described(version: Version) -> dict[str, Any]:
    """Return metadata and data version of a version's STAC items."""
    import pyarrow.parquet as pq

    written = pq.read_metadata(version.root.path / _ITEMS)
    columns = [
        dg.TableColumn(name=field.name, type=str(field.type))
        for field in written.schema.to_arrow_schema()
    ]
    left_out = version.count("samples") - written.num_rows
    shown = {
        "items": written.num_rows,
        "samples left out": left_out,
        "commit": version.commit.id,
        "dagster/column_schema": dg.TableSchema(columns=columns),
        "dagster/row_count": written.num_rows,
    }
    return {
        "metadata": shown,
        "data_version": dg.DataVersion(version.content_id_of(_ITEMS)),
    }


def features_described(version: Version, done: Mapping[str, Any]) -> dict[str, Any]:
    """Return metadata and data version of feature sets.

    Args:
        version: What they were computed on.
        done: The job's answer.
    """
    from registry.web.distributions import histograms_png
    from registry.web.pictures import data_uri

    tables = [f"features/{one['set']}" for one in done["sets"]]
    rows = [
        (
            one["set"],
            one["status"],
            one["evaluated"],
            one["kept"],
            one["failed"],
            one["recipe"][:12],
        )
        for one in done["sets"]
    ]
    headings = ("set", "status", "computed", "taken over", "without values", "recipe")
    shown: dict[str, Any] = {
        "sets": dg.MetadataValue.md(markdown(headings, rows)),
        "left out": dg.MetadataValue.md(
            markdown(("set", "why"), list((done.get("left_out") or {}).items()))
        ),
        "commit": done.get("commit") or "nothing had to be computed",
        "content id": version.content_id,
    }
    for name in tables:
        picture = histograms_png(version, name)
        if picture is not None:
            shown[name] = dg.MetadataValue.md(f"![{name}]({data_uri(picture)})")
    return {
        "metadata": shown,
        "data_version": dg.DataVersion(version.content_id_of(*tables)) if tables else None,
    }


def bias_described(version: Version, report: "BiasReport", page: Path) -> dict[str, Any]:
    """Return metadata and data version of a bias report.

    Args:
        version: What was measured.
        report: The measures.
        page: The passport.
    """
    from registry.web.pictures import data_uri, map_png

    rows = report.measures.slice(0, _MOST_FINDINGS).to_pylist()
    flagged = [(row["measure"], row["note"], row["reference"]) for row in rows if row["flagged"]]
    shown = {
        "passport": dg.MetadataValue.url(page.as_uri()),
        "samples": report.samples,
        "flagged": report.flagged,
        "against": report.against,
        "what stands out": dg.MetadataValue.md(
            markdown(("measure", "in words", "beside"), flagged) if flagged else "nothing"
        ),
        "map": dg.MetadataValue.md(f"![map]({data_uri(map_png(version))})"),
        "content id": report.content_id,
        "rules": report.rules,
    }
    return {"metadata": shown, "data_version": dg.DataVersion(version.data_id_of("reports/bias"))}


def columns(version: Version, table: str) -> dg.TableSchema:
    """Return a table's columns with what they mean."""
    from registry.tables import schema_of

    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=field.name,
                type=str(field.type),
                description=((field.metadata or {}).get(b"meaning") or b"").decode(),
            )
            for field in schema_of(version.root, table).arrow
        ]
    )


def findings_text(report: Report) -> str:
    """Return findings as a Markdown table, the gravest first."""
    rows = report.findings.select(["severity", "check", "sample", "message", "fix"]).to_pylist()
    rank = {"error": 0, "warning": 1, "info": 2}
    rows.sort(key=lambda row: rank[row["severity"]])
    if not rows:
        return "nothing was found"
    return markdown(tuple(rows[0]), [tuple(row.values()) for row in rows[:_MOST_FINDINGS]])


def _rows_text(version: Version) -> str:
    return markdown(("table", "rows"), [(name, version.count(name)) for name in version.tables()])


def _classes_text(version: Version) -> str:
    from registry.web.counts import class_bars

    rows = [(what, bar.name, bar.count) for what, bars in class_bars(version) for bar in bars]
    return markdown(("of", "class", "count"), rows) if rows else "no classes"


def markdown(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as a Markdown table."""

    def line(cells: Sequence[object]) -> str:
        said = (str("" if cell is None else cell).replace("|", "\\|") for cell in cells)
        return "| " + " | ".join(said) + " |"

    return "\n".join([line(headings), line(["---"] * len(headings)), *map(line, rows)])
